/* What the demo worker says: its pages, its status and its WebSocket messages, as bytes. */
#ifndef LIMPET_WORKER_DEMO_ANSWER_H
#define LIMPET_WORKER_DEMO_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "worker/demo_http.h"

/* Who answers, and whom. All texts are borrowed. */
struct demo_about {
	const char *pool;
	const char *slot;
	const char *generation;
	pid_t pid;
	const char *key;    /* what decided: "ip", "cookie", ... */
	const char *client; /* client address */
	unsigned connections;
};

/* The response to a request, in one allocation that the caller frees; NULL: out of memory. *close says
 * whether the connection ends behind it: set by the caller to what it wants, and raised to true where the
 * answer demands it. */
char *demo_answer(
    const struct demo_about *about, const struct demo_request *request, bool *close, size_t *length);

/* The same for what was no request: an error, after which the connection always ends. */
char *demo_answer_error(enum demo_http_result error, size_t *length);

/* 307 to the same place: the browser comes back on a new connection, which limpet decides about anew. Always
 * closes. */
char *demo_answer_again(const struct demo_request *request, size_t *length);

/* The answer to a WebSocket request: 101, with *accepted true, or an error. */
char *demo_answer_websocket(const struct demo_request *request, bool *accepted, size_t *length);

/* The JSON that echoes a WebSocket message. */
char *demo_answer_echo(
    const struct demo_about *about, const char *message, size_t length, bool text, size_t *answer_length);

#endif
