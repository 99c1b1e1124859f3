#include "channel/json_text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/decimal.h"

void json_text_raw(struct json_text *text, const char *bytes, size_t length)
{
	if (text->full || length > text->size - text->length) {
		text->full = true;
		return;
	}
	memcpy(text->bytes + text->length, bytes, length);
	text->length += length;
}

void json_text_number(struct json_text *text, uint64_t number)
{
	char digits[DECIMAL_MAX];

	json_text_raw(text, digits, decimal_write(digits, number));
}

void json_text_add(struct json_text *text, const char *format, ...)
{
	size_t room = text->size - text->length;
	va_list arguments;
	int length;

	if (text->full)
		return;
	va_start(arguments, format);
	length = vsnprintf(text->bytes + text->length, room, format, arguments);
	va_end(arguments);
	if (length < 0 || (size_t)length >= room)
		text->full = true;
	else
		text->length += (size_t)length;
}

/* The length of the well-formed UTF-8 sequence of two or more bytes that starts here, or 0 (RFC 3629, section
 * 4). */
static size_t sequence_length(const unsigned char *s)
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
	if (s[0] == 0xe0)
		low = 0xa0;
	else if (s[0] == 0xed)
		high = 0x9f;
	else if (s[0] == 0xf0)
		low = 0x90;
	else if (s[0] == 0xf4)
		high = 0x8f;
	/* The terminating NUL ends a sequence that is cut short: it is no continuation byte. */
	if (s[1] < low || s[1] > high)
		return 0;
	for (size_t i = 2; i < length; i++)
		if (s[i] < 0x80 || s[i] > 0xbf)
			return 0;
	return length;
}

/* How many characters follow that are written as they are? */
static size_t plain_length(const unsigned char *s)
{
	size_t length = 0;

	while (s[length] >= 0x20 && s[length] < 0x7f && s[length] != '"' && s[length] != '\\')
		length++;
	return length;
}

void json_text_string(struct json_text *text, const char *string)
{
	const unsigned char *s = (const unsigned char *)(string ? string : "");

	json_text_raw(text, "\"", 1);
	while (*s) {
		size_t length = plain_length(s);

		if (length) {
			json_text_raw(text, (const char *)s, length);
			s += length;
			continue;
		}
		length = 1;
		if (*s == '"' || *s == '\\') {
			json_text_add(text, "\\%c", (char)*s);
		} else if (*s < 0x20 || *s == 0x7f) {
			json_text_add(text, "\\u%04x", *s);
		} else if ((length = sequence_length(s))) {
			json_text_raw(text, (const char *)s, length);
		} else {
			json_text_raw(text, "?", 1);
			length = 1;
		}
		s += length;
	}
	json_text_raw(text, "\"", 1);
}
