/* The first message of an external worker at its pool's socket: limpet-worker(7). Pure. */
#ifndef LIMPET_SUPERVISOR_HELLO_H
#define LIMPET_SUPERVISOR_HELLO_H

#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"

/* Longest hello, in bytes. */
#define HELLO_MAX 8192

#define HELLO_NAME_MAX 64

struct hello {
	char pool[HELLO_NAME_MAX + 1]; /* empty: not said */
	char slot[HELLO_NAME_MAX + 1]; /* empty: any */
	enum protocol protocol;        /* limpet if not said */
	enum flavour flavour;
	bool ready; /* it takes connections already: its front is another one now */
};

/* Reads {"type": "hello", "version": 1, ...}. 0, or -EPROTO with *why set to a static text for the worker. */
int hello_parse(struct hello *hello, const char *bytes, size_t length, const char **why);

#endif
