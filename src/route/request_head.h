/* The head of an HTTP/1 request: method, target and fields, found in bytes that were peeked at.
 *
 * The only user of http-parser. Owns nothing: everything in a struct request_head points into the bytes that
 * were given, which the caller keeps while it uses the head. The body is never looked at.
 *
 * Source of the format: RFC 9112. What a distribution's http-parser lets through (Debian builds the lenient
 * variant) is checked again here: field names are tokens, a CR stands only before an LF, no control
 * characters, no bytes above 0x7e in the target, no space before a colon. Otherwise the worker behind could
 * read another head than limpet did.
 */
#ifndef LIMPET_ROUTE_REQUEST_HEAD_H
#define LIMPET_ROUTE_REQUEST_HEAD_H

#include <stdbool.h>
#include <stddef.h>

#include "route/span.h"

/* Bounds of every head, beside the listener's own limit. */
#define REQUEST_HEAD_MAX (80 * 1024)
#define REQUEST_HEAD_FIELDS_MAX 128
#define REQUEST_HEAD_METHOD_MAX 32

enum head_result {
	HEAD_DONE,
	HEAD_NEED_MORE,       /* a valid beginning, as far as can be told */
	HEAD_INVALID,         /* not HTTP/1, or malformed: 400 */
	HEAD_TLS,             /* a TLS ClientHello begins: bytes 0x16 0x03 */
	HEAD_HTTP2,           /* an HTTP/2 preface begins: "PRI " */
	HEAD_TOO_MANY_FIELDS, /* over REQUEST_HEAD_FIELDS_MAX fields or REQUEST_HEAD_MAX bytes: 431 */
};

struct request_field {
	struct span name;  /* a token */
	struct span value; /* without blanks at its ends; a folded value holds its line ends and may hold any
	                      byte above 0x7f */
};

struct request_head {
	size_t length; /* bytes of the head, the empty lines before and the one after it included */
	struct span method;
	struct span target; /* printable ASCII: origin, absolute, authority or asterisk form, perhaps with a
	                       fragment */
	struct request_field fields[REQUEST_HEAD_FIELDS_MAX];
	size_t fields_count;
};

/* Parses the head at the beginning of the bytes. *head is meaningful only after HEAD_DONE.
 *
 * Stateless: called again from byte 0 with more bytes. HEAD_DONE and HEAD_INVALID are the same however the
 * bytes were split. Any method that is a token goes through; HTTP/0.9 and versions other than 1.x do not. A
 * few empty lines before the request are skipped (RFC 9112, 2.2). Content-Length twice, or beside
 * Transfer-Encoding, is invalid. Folded fields are valid: the worker decides about them. */
enum head_result request_head_parse(struct request_head *head, const char *bytes, size_t length);

/* Is it time to parse again, now that previous_length bytes have become length (both counted from byte 0)?
 * True for the first few bytes, whenever the length has passed a power of two, and when the new bytes hold
 * the end of a head; looks at the new bytes only. So a client that sends single bytes costs a few parses, not
 * one a byte; errors of an unfinished head show a little later. */
bool request_head_worth_parsing(const char *bytes, size_t previous_length, size_t length);

/* The next field of this name (case does not matter) at *index or behind it; advances *index past it. Start
 * with 0. NULL: there is none. */
const struct request_field *request_head_next_field(
    const struct request_head *head, const char *name, size_t *index);

#endif
