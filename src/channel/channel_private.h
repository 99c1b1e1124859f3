/* What channel.c and the protocols behind it share. Not for anyone outside src/channel/. */
#ifndef LIMPET_CHANNEL_CHANNEL_PRIVATE_H
#define LIMPET_CHANNEL_CHANNEL_PRIVATE_H

#include <jansson.h>

#include "channel/channel.h"
#include "channel/image.h"
#include "channel/output.h"
#include "channel/pending.h"

/* Bytes read in one call of channel_readable(). */
#define READ_BUDGET 65536

/* What a protocol does. Errors as in channel.h. Those marked optional may be NULL. */
struct channel_protocol {
	/* Allocates channel->state. stop() is called if that is set, also after a failure. */
	int (*start)(struct channel *channel, unsigned window);
	void (*stop)(struct channel *channel);
	/* The protocol's part of an image. restore() takes the place of start(); what it cannot do is left in
	 * image->error. The parts before it have been restored, and may be checked. */
	void (*save)(const struct channel *channel, struct image_writer *image);
	void (*restore)(struct channel *channel, unsigned window, struct image_reader *image);
	unsigned char image_code; /* stands for the protocol in an image */
	void (*readable)(struct channel *channel);
	bool (*can_send)(const struct channel *channel); /* optional; what channel_can_send() asks besides */
	int (*send_connection)(struct channel *channel, const struct channel_connection *connection);
	int (*answer_listen)(struct channel *channel, uint64_t request, int error,
	    const struct address *sockname, int fd, const char *data); /* optional: -ENOENT */
	int (*keep)(struct channel *channel, const char *key, uint64_t number, int fd); /* optional: -EINVAL */
	void (*offer_accept)(struct channel *channel); /* optional */
	int (*drain)(struct channel *channel);
	int (*leave)(struct channel *channel, const char *reason); /* optional: nothing is said */
	int (*probe)(struct channel *channel);
	/* Called before each message of the queue is written; may prepend one. False: the queue waits for the
	 * worker's next answer. Optional. */
	bool (*may_write)(struct channel *channel);
	/* The first bytes of a message of the queue, and its fd, went out. Optional. */
	void (*written)(struct channel *channel, const struct output_message *message);
};

struct acceptor;

struct channel {
	const struct channel_protocol *protocol;
	void *state; /* the protocol's */
	struct acceptor *acceptor; /* data sockets (accept_private.h); NULL: none so far */
	int fd;
	int poll_fd; /* what channel_fd() returns: fd, or the protocol's own */
	enum flavour flavour;
	const struct channel_events *events;
	void *owner;
	struct pending pending;
	struct output output;
	uint64_t skipped;
	bool over; /* failed() was called: the last callback */
	bool
	    broken; /* nothing can be written any more; failed() follows when the last bytes have been read */
	bool full;  /* the socket took no more when last tried */
	bool held;  /* may_write() said no when last tried */
	bool ending;  /* told to drain, or leaving by itself: no new hand-offs */
	bool drained; /* told to drain */
	bool ready_told;
	int error;
	const char *reason; /* of broken */
};

extern const struct channel_protocol node_cluster_protocol;
extern const struct channel_protocol node_ipc_protocol;
extern const struct channel_protocol native_protocol;
extern const struct channel_protocol accept_protocol;

/* A channel with neither state nor pending. fd: consumed. NULL: out of memory. */
struct channel *channel_make(
    enum protocol protocol, enum flavour flavour, int fd, const struct channel_events *events, void *owner);

/* The channel is over, from within channel_readable() or channel_writable(): tells the owner, once. */
void channel_fail(struct channel *channel, int error, const char *reason);

/* The channel is over, from anywhere: the owner is told in the next channel_readable(). */
void channel_break(struct channel *channel, int error);

/* The reason for an error of channel_break(). */
const char *channel_break_reason(int error);

/* Reading ended: 0 at the end of the stream, or a negative errno. */
void channel_read_ended(struct channel *channel, int error);

/* Queues a message and writes what the socket takes. fd: consumed; -1: none. 0, -ENOMEM, -ENOBUFS or -EPIPE.
 */
int channel_post(
    struct channel *channel, const char *bytes, size_t length, int fd, int kind, uint64_t number);

/* Writes a message at once or not at all, nothing being queued. fd is borrowed. 0 or a negative errno. */
int channel_send_now(struct channel *channel, const char *bytes, size_t length, int fd);

/* Writes what is queued, as far as the socket and the protocol allow. */
void channel_flush(struct channel *channel);

/* Events, with what every protocol does for them. */
void channel_is_ready(struct channel *channel);
void channel_is_leaving(struct channel *channel);

/* The numbers of a message "stats": all of them are told, or, if any is wrong, none, and false is returned. NULL: it has none. */
bool channel_take_stats(struct channel *channel, json_t *values);

/* An answer to the hand-off seq. False if there is no such hand-off. */
bool channel_answered(struct channel *channel, uint64_t seq, bool accepted);

/* A random number below 2^31. */
uint32_t channel_random(void);

#endif
