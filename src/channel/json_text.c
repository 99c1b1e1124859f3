#include "channel/json_text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/decimal.h"
#include "base/utf8.h"

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
		} else if ((length = utf8_sequence_length(s, strnlen((const char *)s, 4)))) {
			json_text_raw(text, (const char *)s, length);
		} else {
			json_text_raw(text, "?", 1);
			length = 1;
		}
		s += length;
	}
	json_text_raw(text, "\"", 1);
}
