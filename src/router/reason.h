/* Why a connection was closed by the front: one table for the log, the counters and the answer to the client. */
#ifndef LIMPET_ROUTER_REASON_H
#define LIMPET_ROUTER_REASON_H

#include "stats/stats.h"

/* REASON(NAME, counter, HTTP status or 0: closed without an answer) */
#define CLOSE_REASONS(REASON)                                                                                  \
	REASON(ACKNOWLEDGED, acknowledged, 0)                                                                  \
	REASON(UNANSWERED, unanswered, 0)                                                                      \
	REASON(CLIENT, closed_by_client, 0)                                                                    \
	REASON(HEAD_INVALID, head_invalid, 400)                                                                \
	REASON(HEAD_TIMEOUT, head_timeout, 408)                                                                \
	REASON(HEAD_TOO_LARGE, head_too_large, 431)                                                            \
	REASON(HEAD_EMPTY, head_empty, 0)                                                                      \
	REASON(CLIENT_LIMIT, client_limit, 429)                                                                \
	REASON(WAITING_LIMIT, waiting_limit, 503)                                                              \
	REASON(EVICTED, evicted, 0)                                                                            \
	REASON(NO_WORKER, no_worker, 503)                                                                      \
	REASON(HOLD_EXPIRED, hold_expired, 503)                                                                \
	REASON(QUEUE_FULL, queue_full, 503)                                                                    \
	REASON(QUEUE_TIMEOUT, queue_timeout, 503)                                                              \
	REASON(PROXY_INVALID, proxy_invalid, 0)                                                                \
	REASON(PROXY_UNTRUSTED, proxy_untrusted, 0)                                                            \
	REASON(OUT_OF_MEMORY, out_of_memory, 0)                                                                \
	REASON(SHUT_DOWN, shut_down, 503)

enum close_reason {
#define REASON_ENUM(name, counter, status) CLOSE_##name,
	CLOSE_REASONS(REASON_ENUM)
#undef REASON_ENUM
	    CLOSE_REASON_COUNT
};

struct close_reason_description {
	const char *name; /* the counter's */
	enum counter counter;
	unsigned status;
};

extern const struct close_reason_description close_reasons[CLOSE_REASON_COUNT];

/* The whole HTTP answer for a status; *length gets its size. */
const char *answer_text(unsigned status, size_t *length);

#endif
