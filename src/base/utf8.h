/* UTF-8 (RFC 3629, section 4). Inline, so that the C library for workers can use it without linking anything of the front. */
#ifndef LIMPET_BASE_UTF8_H
#define LIMPET_BASE_UTF8_H

#include <stddef.h>

/* The length of the well-formed sequence of two or more bytes that starts at s, of which `available` may be read (at least 1);
 * 0: there is none. */
static inline size_t utf8_sequence_length(const unsigned char *s, size_t available)
{
	unsigned char low = 0x80, high = 0xbf;
	size_t length;

	if (s[0] >= 0xc2 && s[0] <= 0xdf)
		length = 2;
	else if (s[0] >= 0xe0 && s[0] <= 0xef)
		length = 3;
	else if (s[0] >= 0xf0 && s[0] <= 0xf4)
		length = 4;
	else
		return 0;
	if (available < length)
		return 0;
	if (s[0] == 0xe0)
		low = 0xa0;
	else if (s[0] == 0xed)
		high = 0x9f;
	else if (s[0] == 0xf0)
		low = 0x90;
	else if (s[0] == 0xf4)
		high = 0x8f;
	if (s[1] < low || s[1] > high)
		return 0;
	for (size_t i = 2; i < length; i++)
		if (s[i] < 0x80 || s[i] > 0xbf)
			return 0;
	return length;
}

#endif
