/* A limpet that is asked for a place in one of its pools: what goes over the pool's socket, as limpet-worker(7) has it. Non-blocking;
 * owns no fd.
 */
#ifndef LIMPET_JOIN_FRONT_H
#define LIMPET_JOIN_FRONT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"

#define FRONT_NAME_MAX 64
#define FRONT_REASON_MAX 256

struct front_hello {
	const char *pool; /* NULL: whatever the socket's is */
	const char *slot; /* NULL: any */
	enum protocol protocol;
	enum flavour flavour;
	bool ready; /* the worker takes connections already */
};

/* Connects to the socket, a path or "@name". The fd, or a negative errno. */
int front_connect(const char *socket);

/* Says hello and passes the front's end of the worker's channel (borrowed). 0 or a negative errno. */
int front_say_hello(int front, const struct front_hello *hello, int channel);

enum front_message {
	FRONT_NOTHING, /* none yet, or one that means nothing here */
	FRONT_WELCOME,
	FRONT_READY, /* it has heard that the worker is ready */
	FRONT_DRAIN, /* the worker is to finish */
	FRONT_BYE,   /* it refuses, or goes */
	FRONT_END,   /* nothing will come any more */
};

struct front_answer {
	char pool[FRONT_NAME_MAX + 1]; /* WELCOME; these four */
	char slot[FRONT_NAME_MAX + 1];
	uint32_t generation;
	uint32_t worker;
	char reason[FRONT_REASON_MAX]; /* BYE */
	bool again;                    /* BYE: it may be otherwise another time */
};

/* The next message. */
enum front_message front_receive(int front, struct front_answer *answer);

/* One message as text; exported for its tests. */
enum front_message front_parse(const char *bytes, size_t length, struct front_answer *answer);

#endif
