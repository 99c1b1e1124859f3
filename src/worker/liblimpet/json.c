#include "json.h"

#include <string.h>

#include "base/utf8.h"

/* A name that is compared, with its NUL. */
#define WORD_MAX 32

struct reader {
	const char *at, *end;
};

/* Where a string goes. Without bytes it is only checked. */
struct decoded {
	char *bytes;
	size_t size, length;
	bool unfit; /* it did not fit, or has a NUL */
};

static bool skip_value(struct reader *reader, int depth);

static void skip_space(struct reader *reader)
{
	while (reader->at < reader->end && memchr(" \t\n\r", *reader->at, 4))
		reader->at++;
}

static bool take(struct reader *reader, char byte)
{
	if (reader->at == reader->end || *reader->at != byte)
		return false;
	reader->at++;
	return true;
}

static bool skip_word(struct reader *reader, const char *word)
{
	size_t length = strlen(word);

	if ((size_t)(reader->end - reader->at) < length || memcmp(reader->at, word, length) != 0)
		return false;
	reader->at += length;
	return true;
}

static bool skip_digits(struct reader *reader)
{
	const char *first = reader->at;

	while (reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9')
		reader->at++;
	return reader->at > first;
}

static bool skip_number(struct reader *reader)
{
	take(reader, '-');
	if (!take(reader, '0') && !skip_digits(reader))
		return false;
	if (take(reader, '.') && !skip_digits(reader))
		return false;
	if (take(reader, 'e') || take(reader, 'E')) {
		if (!take(reader, '+'))
			take(reader, '-');
		return skip_digits(reader);
	}
	return true;
}

static void put(struct decoded *decoded, const char *bytes, size_t length)
{
	if (!decoded->bytes || decoded->unfit)
		return;
	if (length >= decoded->size - decoded->length) {
		decoded->unfit = true;
		return;
	}
	memcpy(decoded->bytes + decoded->length, bytes, length);
	decoded->length += length;
}

static void put_code_point(struct decoded *decoded, uint32_t code)
{
	unsigned length = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
	static const unsigned char first[] = {0, 0, 0xc0, 0xe0, 0xf0};
	char bytes[4];

	if (!code)
		decoded->unfit = true;
	for (unsigned i = length; i-- > 1; code >>= 6)
		bytes[i] = (char)(0x80 | (code & 0x3f));
	bytes[0] = (char)(first[length] | code);
	put(decoded, bytes, length);
}

static bool take_hex(struct reader *reader, uint32_t *code)
{
	*code = 0;
	if (reader->end - reader->at < 4)
		return false;
	for (int i = 0; i < 4; i++) {
		char c = *reader->at++;
		char lower = (char)(c | 0x20);

		if (c >= '0' && c <= '9')
			*code = *code * 16 + (uint32_t)(c - '0');
		else if (lower >= 'a' && lower <= 'f')
			*code = *code * 16 + (uint32_t)(lower - 'a' + 10);
		else
			return false;
	}
	return true;
}

static bool take_escape(struct reader *reader, struct decoded *decoded)
{
	static const char letters[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
	const char *letter;
	uint32_t code, low;

	if (reader->at == reader->end)
		return false;
	letter = memchr(letters, *reader->at, sizeof(letters) - 1);
	if (letter) {
		reader->at++;
		put(decoded, &meant[letter - letters], 1);
		return true;
	}
	if (!take(reader, 'u') || !take_hex(reader, &code))
		return false;
	if (code >= 0xdc00 && code <= 0xdfff)
		return false;
	if (code >= 0xd800 && code <= 0xdbff) {
		if (!skip_word(reader, "\\u") || !take_hex(reader, &low) || low < 0xdc00 || low > 0xdfff)
			return false;
		code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
	}
	put_code_point(decoded, code);
	return true;
}

static bool take_string(struct reader *reader, struct decoded *decoded)
{
	if (!take(reader, '"'))
		return false;
	while (reader->at < reader->end) {
		unsigned char c = (unsigned char)*reader->at;
		size_t length = 1;

		if (take(reader, '"')) {
			if (decoded->bytes)
				decoded->bytes[decoded->length] = '\0';
			return true;
		}
		if (take(reader, '\\')) {
			if (!take_escape(reader, decoded))
				return false;
			continue;
		}
		if (c < 0x20)
			return false;
		if (c >= 0x80)
			length = utf8_sequence_length(
			    (const unsigned char *)reader->at, (size_t)(reader->end - reader->at));
		if (!length)
			return false;
		put(decoded, reader->at, length);
		reader->at += length;
	}
	return false;
}

static bool skip_array(struct reader *reader, int depth)
{
	skip_space(reader);
	if (take(reader, ']'))
		return true;
	do {
		skip_space(reader);
		if (!skip_value(reader, depth))
			return false;
		skip_space(reader);
	} while (take(reader, ','));
	return take(reader, ']');
}

/* Of a member, up to where its value begins. */
static bool take_name(struct reader *reader, char name[WORD_MAX])
{
	struct decoded decoded = {.bytes = name, .size = WORD_MAX};

	skip_space(reader);
	if (!take_string(reader, &decoded))
		return false;
	if (decoded.unfit)
		name[0] = '\0';
	skip_space(reader);
	if (!take(reader, ':'))
		return false;
	skip_space(reader);
	return true;
}

static bool skip_object(struct reader *reader, int depth)
{
	char name[WORD_MAX];

	skip_space(reader);
	if (take(reader, '}'))
		return true;
	do {
		if (!take_name(reader, name) || !skip_value(reader, depth))
			return false;
		skip_space(reader);
	} while (take(reader, ','));
	return take(reader, '}');
}

/* depth: how many arrays and objects are open. */
static bool skip_value(struct reader *reader, int depth)
{
	struct decoded ignored = {0};

	if (reader->at == reader->end)
		return false;
	switch (*reader->at) {
	case '"':
		return take_string(reader, &ignored);
	case '[':
		reader->at++;
		return depth < LIMPET_JSON_DEPTH_MAX && skip_array(reader, depth + 1);
	case '{':
		reader->at++;
		return depth < LIMPET_JSON_DEPTH_MAX && skip_object(reader, depth + 1);
	case 't':
		return skip_word(reader, "true");
	case 'f':
		return skip_word(reader, "false");
	case 'n':
		return skip_word(reader, "null");
	default:
		return skip_number(reader);
	}
}

static bool keep(
    struct limpet_json_member *members, size_t count, const char *name, const char *value, size_t length)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(members[i].name, name) != 0)
			continue;
		if (members[i].value)
			return false;
		members[i].value = value;
		members[i].length = length;
	}
	return true;
}

static bool take_members(struct reader *reader, struct limpet_json_member *members, size_t count)
{
	char name[WORD_MAX];

	skip_space(reader);
	if (!take(reader, '{'))
		return false;
	skip_space(reader);
	if (!take(reader, '}')) {
		do {
			const char *value;

			if (!take_name(reader, name))
				return false;
			value = reader->at;
			if (!skip_value(reader, 1) ||
			    !keep(members, count, name, value, (size_t)(reader->at - value)))
				return false;
			skip_space(reader);
		} while (take(reader, ','));
		if (!take(reader, '}'))
			return false;
	}
	skip_space(reader);
	return reader->at == reader->end;
}

bool limpet_json_object(const char *text, size_t length, struct limpet_json_member *members, size_t count)
{
	struct reader reader = {text, text + length};

	for (size_t i = 0; i < count; i++)
		members[i].value = NULL;
	if (take_members(&reader, members, count))
		return true;
	for (size_t i = 0; i < count; i++)
		members[i].value = NULL;
	return false;
}

bool limpet_json_string(const struct limpet_json_member *member, char *buffer, size_t size)
{
	struct decoded decoded = {.bytes = buffer, .size = size};
	struct reader reader;

	if (!member->value)
		return false;
	reader = (struct reader){member->value, member->value + member->length};
	return take_string(&reader, &decoded) && !decoded.unfit;
}

bool limpet_json_number(const struct limpet_json_member *member, uint32_t maximum, uint32_t *number)
{
	uint64_t value = 0;

	if (!member->value || member->length > 10)
		return false;
	for (size_t i = 0; i < member->length; i++) {
		char digit = member->value[i];

		if (digit < '0' || digit > '9')
			return false;
		value = value * 10 + (uint64_t)(digit - '0');
	}
	if (value > maximum)
		return false;
	*number = (uint32_t)value;
	return true;
}
