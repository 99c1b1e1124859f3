/* The HTTP that the demo worker understands: requests out of a byte stream, and responses. No sockets, no
 * clock.
 *
 * The demo worker is a program of its own behind limpet, and reads whole requests (bodies, keep-alive,
 * pipelining); the front reads request heads only and does so in src/route. They share no code on purpose.
 */
#ifndef LIMPET_WORKER_DEMO_HTTP_H
#define LIMPET_WORKER_DEMO_HTTP_H

#include <http_parser.h>
#include <stdbool.h>
#include <stddef.h>

#define DEMO_HEAD_MAX (8 * 1024)
#define DEMO_BODY_MAX (1024 * 1024)

/* One request, complete. Texts are NUL-terminated and cut to their size. */
struct demo_request {
	char target[512];
	char cookie[1024];
	char websocket_key[32];
	char websocket_version[4];
	bool head_only; /* HEAD */
	bool get;       /* GET or HEAD */
	bool keep_alive;
	bool websocket; /* asks for an upgrade to WebSocket */
};

enum demo_http_result {
	DEMO_HTTP_NEED_MORE,
	DEMO_HTTP_REQUEST,      /* one request is complete; what follows it was not consumed */
	DEMO_HTTP_INVALID,      /* 400 */
	DEMO_HTTP_HEAD_TOO_BIG, /* 431 */
	DEMO_HTTP_BODY_TOO_BIG, /* 413 */
	DEMO_HTTP_URL_TOO_LONG, /* 414 */
};

struct demo_http {
	http_parser parser;
	struct demo_request request;
	enum demo_http_result refusal; /* what a callback objected to, or DEMO_HTTP_NEED_MORE */
	char *value;                   /* where the header under way goes, or NULL */
	size_t value_size;
	char field[24]; /* its name so far */
	size_t field_length;
	bool in_value;
	bool websocket_upgrade;
	size_t body;
};

void demo_http_init(struct demo_http *http);

/* Consumes bytes up to the end of one request at most, bodies included, and says how many in *consumed. After
 * REQUEST the request is in http->request until the next call; after an error the connection is good for one
 * response and its close. */
enum demo_http_result demo_http_read(
    struct demo_http *http, const char *bytes, size_t length, size_t *consumed);

/* Finds the parameter or cookie `name` in "a=1&b=2" (separator '&') or "a=1; b=2" (separator ';'), copies its
 * value as it is, cut to size. False: there is none. */
bool demo_http_find(const char *list, char separator, const char *name, char *value, size_t size);

/* The path of a target ("/a?b=1" gives 2) and where its query starts ("" without one). */
size_t demo_http_path_length(const char *target);
const char *demo_http_query(const char *target);

/* A whole response in one allocation that the caller frees; NULL: out of memory. headers: more lines, each
 * ended by
 * "\r\n", or "". The body is left out, but announced, if the request was HEAD. */
char *demo_http_response(const struct demo_request *request, int status, const char *type,
    const char *headers, const char *body, size_t body_length, bool close, size_t *length);

#endif
