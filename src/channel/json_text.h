/* Writes JSON into a buffer of fixed size, without allocation: for the messages that a channel sends. Reading
 * JSON is jansson's work.
 */
#ifndef LIMPET_CHANNEL_JSON_TEXT_H
#define LIMPET_CHANNEL_JSON_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_text {
	char *bytes;
	size_t length, size;
	bool full; /* something did not fit: the text is of no use */
};

#define JSON_TEXT(array)                                                                                     \
	(struct json_text)                                                                                   \
	{                                                                                                    \
		.bytes = (array), .size = sizeof(array)                                                      \
	}

/* Appends as printf() does: the fixed parts and numbers. */
void json_text_add(struct json_text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Appends a number. */
void json_text_number(struct json_text *text, uint64_t number);

/* Appends a literal. */
#define json_text_literal(text, literal) json_text_raw((text), (literal), sizeof(literal) - 1)

/* Appends bytes as they are. */
void json_text_raw(struct json_text *text, const char *bytes, size_t length);

/* Appends a string with its quotes, escaped. Bytes that are not UTF-8 become '?'. NULL: an empty string. */
void json_text_string(struct json_text *text, const char *string);

#endif
