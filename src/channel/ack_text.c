#include "channel/ack_text.h"

#include <stdbool.h>

/* Of 2^31 - 1. */
#define DIGITS_MAX 10

struct reader {
	const char *at, *end;
};

static bool skip_text(struct reader *reader, const char *text)
{
	for (; *text; text++) {
		if (reader->at == reader->end || *reader->at++ != *text)
			return false;
		if ((*text == ':' || *text == ',') && reader->at < reader->end && *reader->at == ' ')
			reader->at++;
	}
	return true;
}

static bool read_number(struct reader *reader, uint32_t *number)
{
	const char *start = reader->at;
	uint64_t value = 0;

	while (reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9' && reader->at - start < DIGITS_MAX)
		value = value * 10 + (uint64_t)(*reader->at++ - '0');
	*number = (uint32_t)value;
	/* JSON knows no leading zeros. */
	return reader->at > start && (*start != '0' || reader->at - start == 1) && value <= INT32_MAX;
}

enum ack_text ack_text_parse(const char *bytes, size_t length, uint32_t *number)
{
	struct reader reader = {bytes, bytes + length}, rest;
	enum ack_text kind = ACK_TEXT_ID;

	if (!skip_text(&reader, "{\"type\":\"ack\","))
		return ACK_TEXT_OTHER;
	rest = reader;
	if (!skip_text(&reader, "\"id\":")) {
		kind = ACK_TEXT_THROUGH;
		reader = rest;
		if (!skip_text(&reader, "\"through\":"))
			return ACK_TEXT_OTHER;
	}
	if (!read_number(&reader, number) || !skip_text(&reader, "}") || reader.at != reader.end)
		return ACK_TEXT_OTHER;
	return kind;
}
