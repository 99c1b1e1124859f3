/* Comparing and trimming spans. */
#include "route/span.h"

#include <string.h>

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct span span_trim(struct span span)
{
	while (span.length && is_blank(span.at[0])) {
		span.at++;
		span.length--;
	}
	while (span.length && is_blank(span.at[span.length - 1]))
		span.length--;
	return span;
}

bool span_equal(struct span span, const char *text)
{
	return strlen(text) == span.length && (span.length == 0 || memcmp(span.at, text, span.length) == 0);
}

static unsigned char lower(char c)
{
	return (unsigned char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

bool span_equal_nocase(struct span span, const char *text)
{
	if (strlen(text) != span.length)
		return false;
	for (size_t i = 0; i < span.length; i++)
		if (lower(span.at[i]) != lower(text[i]))
			return false;
	return true;
}
