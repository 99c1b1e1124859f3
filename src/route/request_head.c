/* Finds the parts of a request head with http-parser, and checks what its lenient builds do not. */
#include "route/request_head.h"

#include <http_parser.h>
#include <stdint.h>
#include <string.h>

/* How many CR and LF may stand before the request line. A bound keeps a client that sends nothing else from
 * looking as if heads ended all the time. */
#define LEADING_LINES_MAX 16

/* Below this many bytes every new byte is worth a parse: TLS and HTTP/2 show within them. */
#define SHORT_HEAD 8

struct parse {
	struct request_head *head;
	bool value_seen; /* of the last field: the next name begins a new one */
	bool overflow;
	bool done;
};

static const char http2_preface[] = {'P', 'R', 'I', ' '};

static void extend(struct span *span, const char *at, size_t length)
{
	if (!span->at)
		span->at = at;
	span->length = (size_t)(at + length - span->at);
}

static int on_target(http_parser *parser, const char *at, size_t length)
{
	struct parse *parse = parser->data;

	extend(&parse->head->target, at, length);
	return 0;
}

static int on_field_name(http_parser *parser, const char *at, size_t length)
{
	struct parse *parse = parser->data;
	struct request_head *head = parse->head;

	if (head->fields_count == 0 || parse->value_seen) {
		if (head->fields_count == REQUEST_HEAD_FIELDS_MAX) {
			parse->overflow = true;
			return -1;
		}
		head->fields[head->fields_count++] = (struct request_field){{NULL, 0}, {NULL, 0}};
		parse->value_seen = false;
	}
	extend(&head->fields[head->fields_count - 1].name, at, length);
	return 0;
}

/* Comes once for each line of a folded value: the span then covers all of them. */
static int on_field_value(http_parser *parser, const char *at, size_t length)
{
	struct parse *parse = parser->data;
	struct request_head *head = parse->head;

	if (head->fields_count == 0)
		return -1;
	parse->value_seen = true;
	extend(&head->fields[head->fields_count - 1].value, at, length);
	return 0;
}

/* An error stops the parser right here, with the last LF as the position. */
static int on_end(http_parser *parser)
{
	struct parse *parse = parser->data;

	parse->done = true;
	return -1;
}

/* What a byte may be part of: a line, a target, a token (RFC 9110, section 5.6.2). A table, since each byte of each head is
 * looked up in it. */
enum { PLAIN = 1, PRINTABLE = 2, TOKEN = 4 };

#define S PLAIN
#define P (PLAIN | PRINTABLE)
#define T (PLAIN | PRINTABLE | TOKEN)
/* clang-format off */
static const unsigned char kinds[256] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, S, 0, 0, 0, 0, 0, 0, /* 00 */
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, /* 10 */
    S, T, P, T, T, T, T, T, P, P, T, T, P, T, T, P, /* 20 */
    T, T, T, T, T, T, T, T, T, T, P, P, P, P, P, P, /* 30 */
    P, T, T, T, T, T, T, T, T, T, T, T, T, T, T, T, /* 40 */
    T, T, T, T, T, T, T, T, T, T, T, P, P, P, T, T, /* 50 */
    T, T, T, T, T, T, T, T, T, T, T, T, T, T, T, T, /* 60 */
    T, T, T, T, T, T, T, T, T, T, T, P, T, P, T, 0, /* 70 */
    S, S, S, S, S, S, S, S, S, S, S, S, S, S, S, S, /* 80 */
    S, S, S, S, S, S, S, S, S, S, S, S, S, S, S, S, /* 90 */
    S, S, S, S, S, S, S, S, S, S, S, S, S, S, S, S, /* a0 */
    S, S, S, S, S, S, S, S, S, S, S, S, S, S, S, S, /* b0 */
    S, S, S, S, S, S, S, S, S, S, S, S, S, S, S, S, /* c0 */
    S, S, S, S, S, S, S, S, S, S, S, S, S, S, S, S, /* d0 */
    S, S, S, S, S, S, S, S, S, S, S, S, S, S, S, S, /* e0 */
    S, S, S, S, S, S, S, S, S, S, S, S, S, S, S, S, /* f0 */
};
/* clang-format on */
#undef S
#undef P
#undef T

static bool is_token_character(char c)
{
	return kinds[(unsigned char)c] & TOKEN;
}

/* Is it not empty, and every byte of this kind? */
static bool is_all(struct span span, unsigned char kind)
{
	unsigned char common = kind;

	for (size_t i = 0; i < span.length; i++)
		common &= kinds[(unsigned char)span.at[i]];
	return span.length > 0 && common;
}

#define EACH_BYTE(byte) (UINT64_MAX / 0xff * (byte))

/* Is one of these eight bytes below the space, or DEL? (Anderson, Bit Twiddling Hacks: "a byte less than n", "a zero byte") */
static bool has_control(const char *bytes)
{
	uint64_t word, del;

	memcpy(&word, bytes, sizeof(word));
	del = word ^ EACH_BYTE(0x7f);
	return (((word - EACH_BYTE(' ')) & ~word) | ((del - EACH_BYTE(1)) & ~del)) & EACH_BYTE(0x80);
}

/* Are all line ends LF or CRLF, and are there no other control characters but tabs? A lenient http-parser
 * also takes any byte for the LF of the last line. */
static bool is_clean(const char *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		while (i + sizeof(uint64_t) <= length && !has_control(bytes + i))
			i += sizeof(uint64_t);
		if (i == length)
			break;
		if (kinds[(unsigned char)bytes[i]] || bytes[i] == '\n')
			continue;
		if (bytes[i] != '\r' || i + 1 == length || bytes[i + 1] != '\n')
			return false;
	}
	return true;
}

/* A lenient http-parser takes any bytes for the ones between "HTTP" and the version's digits. */
static bool is_version_1(const struct request_head *head, const char *bytes)
{
	static const char version[] = "HTTP/1.";
	const char *at = head->target.at + head->target.length, *end = bytes + head->length;

	while (at < end && *at == ' ')
		at++;
	if ((size_t)(end - at) < sizeof(version) + 1 || memcmp(at, version, sizeof(version) - 1) != 0)
		return false;
	at += sizeof(version) - 1;
	return *at >= '0' && *at <= '9' && (at[1] == '\r' || at[1] == '\n');
}

static bool is_strict(const struct request_head *head, const char *bytes)
{
	if (!is_clean(bytes, head->length) || !is_all(head->target, PRINTABLE) || !is_version_1(head, bytes))
		return false;
	for (size_t i = 0; i < head->fields_count; i++)
		if (!is_all(head->fields[i].name, TOKEN))
			return false;
	return true;
}

/* Finds the method, which http-parser would compare with a closed list. HEAD_DONE: bytes[*end] is the space
 * behind it. */
static enum head_result find_method(struct request_head *head, const char *bytes, size_t length, size_t *end)
{
	size_t at = 0, start;

	while (at < length && (bytes[at] == '\r' || bytes[at] == '\n'))
		if (++at > LEADING_LINES_MAX)
			return HEAD_INVALID;
	start = at;
	while (at < length && is_token_character(bytes[at]))
		if (++at - start > REQUEST_HEAD_METHOD_MAX)
			return HEAD_INVALID;
	if (at == length)
		return HEAD_NEED_MORE;
	if (at == start || bytes[at] != ' ')
		return HEAD_INVALID;
	head->method = (struct span){bytes + start, at - start};
	*end = at;
	return HEAD_DONE;
}

/* Only CONNECT changes what follows the method; any other stands for all the rest, those that http-parser has
 * not heard of included. */
static void parse_method(http_parser *parser, const http_parser_settings *settings, struct span method)
{
	const char *known = span_equal(method, "CONNECT") ? "CONNECT" : "GET";

	http_parser_execute(parser, settings, known, strlen(known));
}

static enum head_result parse_http1(struct request_head *head, const char *bytes, size_t length)
{
	static const http_parser_settings settings = {
	    .on_url = on_target,
	    .on_header_field = on_field_name,
	    .on_header_value = on_field_value,
	    .on_headers_complete = on_end,
	};
	struct parse parse = {.head = head};
	http_parser parser;
	enum head_result result;
	size_t start, end;

	result = find_method(head, bytes, length, &start);
	if (result != HEAD_DONE)
		return result;
	http_parser_init(&parser, HTTP_REQUEST);
	parser.data = &parse;
	parse_method(&parser, &settings, head->method);
	end = start + http_parser_execute(&parser, &settings, bytes + start, length - start);

	if (parse.overflow || HTTP_PARSER_ERRNO(&parser) == HPE_HEADER_OVERFLOW)
		return HEAD_TOO_MANY_FIELDS;
	if (!parse.done)
		return HTTP_PARSER_ERRNO(&parser) == HPE_OK ? HEAD_NEED_MORE : HEAD_INVALID;
	head->length = end + 1;
	if (!is_strict(head, bytes))
		return HEAD_INVALID;
	for (size_t i = 0; i < head->fields_count; i++)
		head->fields[i].value = span_trim(head->fields[i].value);
	return HEAD_DONE;
}

enum head_result request_head_parse(struct request_head *head, const char *bytes, size_t length)
{
	bool cut = length >= REQUEST_HEAD_MAX;
	enum head_result result;

	head->length = 0;
	head->method = head->target = (struct span){NULL, 0};
	head->fields_count = 0;
	if (length == 0)
		return HEAD_NEED_MORE;
	if (bytes[0] == 0x16) {
		if (length == 1)
			return HEAD_NEED_MORE;
		return bytes[1] == 0x03 ? HEAD_TLS : HEAD_INVALID;
	}
	if (length >= sizeof(http2_preface) && memcmp(bytes, http2_preface, sizeof(http2_preface)) == 0)
		return HEAD_HTTP2;
	result = parse_http1(head, bytes, cut ? REQUEST_HEAD_MAX : length);
	return result == HEAD_NEED_MORE && cut ? HEAD_TOO_MANY_FIELDS : result;
}

bool request_head_worth_parsing(const char *bytes, size_t previous_length, size_t length)
{
	const char *at, *end = bytes + length;

	if (length <= previous_length)
		return false;
	/* The highest bit of the length is new. */
	if (previous_length < SHORT_HEAD || (previous_length ^ length) > previous_length)
		return true;
	/* An end that began in the old bytes has at most two of its three there. */
	for (at = bytes + previous_length - 2; (at = memchr(at, '\n', (size_t)(end - at))); at++) {
		if (end - at >= 2 && at[1] == '\n')
			return true;
		if (end - at >= 3 && at[1] == '\r' && at[2] == '\n')
			return true;
	}
	return false;
}

const struct request_field *request_head_next_field(
    const struct request_head *head, const char *name, size_t *index)
{
	while (*index < head->fields_count) {
		const struct request_field *field = &head->fields[(*index)++];

		if (span_equal_nocase(field->name, name))
			return field;
	}
	return NULL;
}
