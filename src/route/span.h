/* A piece of somebody else's bytes: how the parsers of this layer hand out what they found without copying
 * it.
 *
 * Owns nothing. Not NUL-terminated; the bytes must outlive the span. An absent piece has length 0, and then
 * at may be NULL.
 */
#ifndef LIMPET_ROUTE_SPAN_H
#define LIMPET_ROUTE_SPAN_H

#include <stdbool.h>
#include <stddef.h>

struct span {
	const char *at;
	size_t length;
};

/* Without the spaces, tabs and line ends (of a folded field) at both of its ends. */
struct span span_trim(struct span span);

bool span_equal(struct span span, const char *text);

/* ASCII letters count the same in both cases; the locale has no say. */
bool span_equal_nocase(struct span span, const char *text);

#endif
