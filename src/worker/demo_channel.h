/* The demo worker's end of the channel to the front: protocol "limpet" (limpet-worker(7)), datagrams of JSON
 * on a Unix SEQPACKET socket. Owns the channel's fd. Never blocks, and queues at most one message: while the
 * front does not read, nothing more is read from it.
 */
#ifndef LIMPET_WORKER_DEMO_CHANNEL_H
#define LIMPET_WORKER_DEMO_CHANNEL_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>

struct demo_channel_events {
	/* A connection came. fd is consumed. Nothing may be read from it before started(), which follows
	 * (maybe later) once the front was told that this worker has it. client and key are valid during the
	 * call. The result is handed to started(); NULL: refused, the front gives it to another worker. */
	void *(*connection)(void *owner, int fd, const char *client, const char *key);
	void (*started)(void *owner, void *connection);
	/* No more connections will come. */
	void (*drain)(void *owner);
	/* The channel is over; error 0: the front is gone, else a negative errno. The last callback. */
	void (*ended)(void *owner, int error);
};

struct demo_channel {
	struct ev_loop *loop;
	const struct demo_channel_events *events;
	void *owner;
	ev_io io;
	ev_prepare prepare;
	int fd;
	unsigned closed;   /* ended connections that the front was not told of yet */
	char pending[128]; /* the message that the socket had no room for */
	size_t pending_length;
	void *pending_connection; /* started() is due for it when the message is out */
};

/* Says hello and ready. fd is consumed. 0 or a negative errno (the channel is then closed, without a
 * callback). */
int demo_channel_open(struct demo_channel *channel, struct ev_loop *loop, int fd, const char *pool,
    const char *slot, const struct demo_channel_events *events, void *owner);
void demo_channel_close(struct demo_channel *channel);

/* One of the connections has ended. Told to the front once a turn of the loop. */
void demo_channel_count_closed(struct demo_channel *channel);

#endif
