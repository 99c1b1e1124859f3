/* One client of the demo worker: owns its socket from the moment the front passed it, through requests and
 * responses or a WebSocket, to the close. */
#ifndef LIMPET_WORKER_DEMO_CLIENT_H
#define LIMPET_WORKER_DEMO_CLIENT_H

#include <stdbool.h>
#include <sys/types.h>

struct ev_loop;
struct demo_client;

/* The worker as its clients see it. */
struct demo_worker {
	struct ev_loop *loop;
	const char *pool;
	const char *slot;
	const char *generation;
	pid_t pid;
	unsigned connections; /* kept by demo_client_new() and the close */
	bool draining;        /* responses end their connections */
	/* A client's connection has ended; already counted in `connections`. Called from the loop. */
	void (*closed)(struct demo_worker *worker);
};

/* Takes the socket, which is consumed, also on failure. Nothing is read from it before demo_client_start().
 * client, key: copied. NULL: out of memory, or the socket is unusable. */
struct demo_client *demo_client_new(struct demo_worker *worker, int fd, const char *client, const char *key);

/* Starts to read. The client frees itself when its connection ends, possibly in this very call. */
void demo_client_start(struct demo_client *client);

#endif
