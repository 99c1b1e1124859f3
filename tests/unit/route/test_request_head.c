/* Tests of src/route/request_head.c. */
#include <stdio.h>

#include "cmocka_all.h"
#include "route/request_head.h"

struct good {
	const char *bytes;
	size_t length;
	const char *method, *target;
	const char *fields; /* "name=value|name=value" */
};

static const struct good good[] = {
    {BYTES("GET / HTTP/1.1\r\n\r\n"), "GET", "/", ""},
    {BYTES("GET / HTTP/1.0\r\n\r\n"), "GET", "/", ""},
    {BYTES("GET / HTTP/1.1\n\n"), "GET", "/", ""},
    {BYTES("GET / HTTP/1.1\nA: b\r\n\n"), "GET", "/", "A=b"},
    {BYTES("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), "GET", "/", "Host=a"},
    {BYTES("GET /a?b=c HTTP/1.1\r\nHost: a\r\nCookie:sid=1 \r\nX:\r\nY: \t\r\nZ:  q r\t \r\n\r\n"), "GET",
        "/a?b=c", "Host=a|Cookie=sid=1|X=|Y=|Z=q r"},
    {BYTES("GET http://h/p?q=1#f HTTP/1.1\r\n\r\n"), "GET", "http://h/p?q=1#f", ""},
    {BYTES("GET http://h?q=1 HTTP/1.1\r\n\r\n"), "GET", "http://h?q=1", ""},
    {BYTES("GET http://[::1]:80/ HTTP/1.1\r\n\r\n"), "GET", "http://[::1]:80/", ""},
    {BYTES("OPTIONS * HTTP/1.1\r\n\r\n"), "OPTIONS", "*", ""},
    {BYTES("CONNECT example.org:443 HTTP/1.1\r\nHost: a\r\n\r\n"), "CONNECT", "example.org:443", "Host=a"},
    {BYTES("GET /chat HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: "
           "13\r\n\r\n"),
        "GET", "/chat", "Upgrade=websocket|Connection=Upgrade|Sec-WebSocket-Version=13"},
    {BYTES("POST / HTTP/1.1\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"), "POST", "/",
        "Content-Length=5|Expect=100-continue"},
    {BYTES("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"), "POST", "/",
        "Transfer-Encoding=chunked"},
    {BYTES("QUERY /s HTTP/1.1\r\n\r\n"), "QUERY", "/s", ""},
    {BYTES("M-SEARCH * HTTP/1.1\r\n\r\n"), "M-SEARCH", "*", ""},
    {BYTES("X!#$%&'*+-.^_`|~9 / HTTP/1.1\r\n\r\n"), "X!#$%&'*+-.^_`|~9", "/", ""},
    {BYTES("PRINT / HTTP/1.1\r\n\r\n"), "PRINT", "/", ""},
    {BYTES("GET / HTTP/1.1\r\nA: b\r\n c\r\n\td\r\nE:\r\n f\r\n\r\n"), "GET", "/", "A=b\r\n c\r\n\td|E=f"},
    {BYTES("GET / HTTP/1.1\r\nA: \xc3\xa9\xff\r\n\r\n"), "GET", "/", "A=\xc3\xa9\xff"},
    {BYTES("GET / HTTP/1.1\r\nA: 1\r\na: 2\r\nA: 3\r\n\r\n"), "GET", "/", "A=1|a=2|A=3"},
    {BYTES("GET / HTTP/1.1\r\nCookie: ;;; =; a=b=c\r\n\r\n"), "GET", "/", "Cookie=;;; =; a=b=c"},
    {BYTES("GET  / HTTP/1.1\r\n\r\n"), "GET", "/", ""},
};

static const struct {
	const char *bytes;
	size_t length;
} bad[] = {
    {BYTES("\0")},
    {BYTES("\x80\x2e\1\3\1")}, /* an SSLv2 hello */
    {BYTES("\x16\x01")},
    {BYTES(" GET / HTTP/1.1\r\n\r\n")},
    {BYTES("GET\r\n")},
    {BYTES("GET / HTTP/0.9\r\n\r\n")},
    {BYTES("GET /\r\n\r\n")},
    {BYTES("GET / HTTP/2.0\r\n\r\n")},
    {BYTES("GET / HTTP71.1\r\n\r\n")},
    {BYTES("GET / HTTx/1.1\r\n\r\n")},
    {BYTES("CONNECT a:1 HTTP\xaf" "1.1\r\n\r\n")},
    {BYTES("GET / HTTP/1.1 \r\n\r\n")},
    {BYTES("GET / HTTP/1.10\r\n\r\n")},
    {BYTES("GET / HTTP/11\r\n\r\n")},
    {BYTES("GET / HTTP/-1.1\r\n\r\n")},
    {BYTES("GET / http/1.1\r\n\r\n")},
    {BYTES("GET / FTP/1.1\r\n\r\n")},
    {BYTES("GET /a b HTTP/1.1\r\n\r\n")},
    {BYTES("GET /\ta HTTP/1.1\r\n\r\n")},
    {BYTES("GET /\f HTTP/1.1\r\n\r\n")},
    {BYTES("GET /\0 HTTP/1.1\r\n\r\n")},
    {BYTES("GET /\x7f HTTP/1.1\r\n\r\n")},
    {BYTES("GET /\xc3\xa9 HTTP/1.1\r\n\r\n")},
    {BYTES("GET a HTTP/1.1\r\n\r\n")},
    {BYTES("GET ?a=b HTTP/1.1\r\n\r\n")},
    {BYTES("GET \r\n\r\n")},
    {BYTES("GE T / HTTP/1.1\r\n\r\n")},
    {BYTES("G\0T / HTTP/1.1\r\n\r\n")},
    {BYTES("G:T / HTTP/1.1\r\n\r\n")},
    {BYTES("THIS-METHOD-HAS-MORE-THAN-32-BYTES / HTTP/1.1\r\n\r\n")},
    {BYTES("SSH-2.0-OpenSSH_9.2\r\n")},
    {BYTES("EHLO example.org\r\n\r\n")},
    {BYTES("\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n\r\n")},
    {BYTES("GET / HTTP/1.1\r\nHost : a\r\n\r\n")},
    {BYTES("GET / HTTP/1.1\r\nHost\t: a\r\n\r\n")},
    {BYTES("GET / HTTP/1.1\r\nHo st: a\r\n\r\n")},
    {BYTES("GET / HTTP/1.1\r\n Host: a\r\n\r\n")},
    {BYTES("GET / HTTP/1.1\r\n: a\r\n\r\n")},
    {BYTES("GET / HTTP/1.1\r\nHost\r\n\r\n")},
    {BYTES("GET / HTTP/1.1\r\nH\xc3st: a\r\n\r\n")},
    {BYTES("GET / HTTP/1.1\r\nH(st): a\r\n\r\n")},
    {BYTES("GET / HTTP/1.1\r\nH\0st: a\r\n\r\n")},
    {BYTES("GET / HTTP/1.1\r\nA: b\0c\r\n\r\n")},
    {BYTES("GET / HTTP/1.1\r\nA: b\x01\r\n\r\n")},
    {BYTES("GET / HTTP/1.1\r\nA: b\x7f\r\n\r\n")},
    {BYTES("GET / HTTP/1.1\r\nA: b\rc\r\n\r\n")},
    {BYTES("GET / HTTP/1.1\r\nA:\rBC: d\r\n\r\n")},
    {BYTES("GET / HTTP/1.1\r\nA: b\r\n\rXyz")},
    {BYTES("GET / HTTP/1.1\rHost: a\r\n\r\n")},
    {BYTES("GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n")},
    {BYTES("GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n")},
    {BYTES("GET / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n")},
    {BYTES("GET / HTTP/1.1\r\nContent-Length: 1 2\r\n\r\n")},
    {BYTES("GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n")},
    {BYTES("GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n")},
};

static enum head_result parse_copy(struct request_head *head, const char *bytes, size_t length)
{
	char *copy = exact_copy(bytes, length);
	enum head_result result = request_head_parse(head, copy, length);

	free(copy);
	return result;
}

static void assert_span(struct span span, const char *expected)
{
	if (!span_equal(span, expected))
		fail_msg("\"%.*s\" instead of \"%s\"", (int)span.length, span.at, expected);
}

static void assert_fields(const struct request_head *head, const char *expected)
{
	char text[512] = "";

	for (size_t i = 0; i < head->fields_count; i++) {
		const struct request_field *field = &head->fields[i];

		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%.*s=%.*s", i ? "|" : "",
		    (int)field->name.length, field->name.at, (int)field->value.length, field->value.at);
	}
	assert_string_equal(text, expected);
}

static void finds_the_parts(void **state)
{
	struct request_head head;

	for (size_t i = 0; i < COUNT(good); i++) {
		assert_int_equal(request_head_parse(&head, good[i].bytes, good[i].length), HEAD_DONE);
		assert_int_equal(head.length, good[i].length);
		assert_span(head.method, good[i].method);
		assert_span(head.target, good[i].target);
		assert_fields(&head, good[i].fields);
	}
}

static void needs_more_at_every_prefix(void **state)
{
	struct request_head head;

	for (size_t i = 0; i < COUNT(good); i++) {
		assert_int_equal(request_head_parse(&head, NULL, 0), HEAD_NEED_MORE);
		for (size_t length = 1; length < good[i].length; length++)
			assert_int_equal(parse_copy(&head, good[i].bytes, length), HEAD_NEED_MORE);
		assert_int_equal(parse_copy(&head, good[i].bytes, good[i].length), HEAD_DONE);
	}
}

/* Bodies and pipelined requests, also ones that would be malformed. */
static void stops_at_the_end_of_the_head(void **state)
{
	static const char *const behind[] = {
	    "body", "GET / HTTP/1.1\r\n\r\n", "\r\n\r\n", "0\r\n\r\n", "\x01\x02\xff", ":"};
	struct request_head head;
	char bytes[1024];

	for (size_t i = 0; i < COUNT(good); i++) {
		for (size_t j = 0; j < COUNT(behind); j++) {
			memcpy(bytes, good[i].bytes, good[i].length);
			memcpy(bytes + good[i].length, behind[j], strlen(behind[j]));
			assert_int_equal(
			    parse_copy(&head, bytes, good[i].length + strlen(behind[j])), HEAD_DONE);
			assert_int_equal(head.length, good[i].length);
		}
	}
}

static void refuses_bad_heads(void **state)
{
	struct request_head head;

	for (size_t i = 0; i < COUNT(bad); i++)
		if (parse_copy(&head, bad[i].bytes, bad[i].length) != HEAD_INVALID)
			fail_msg("accepted bad[%zu]: %s", i, bad[i].bytes);
}

/* Wherever it stands in a value: eight bytes are looked at at once. */
static void refuses_every_control_character(void **state)
{
	static const char line[] = "GET / HTTP/1.1\r\nName: ";
	struct request_head head;
	char bytes[128];

	for (int byte = 0; byte < 256; byte++) {
		bool control = (byte < ' ' && byte != '\t') || byte == 0x7f;

		for (size_t at = 0; at < 20; at++) {
			int length = snprintf(bytes, sizeof(bytes), "%s%-20s\r\n\r\n", line, "a \xff\x80 z");

			bytes[sizeof(line) - 1 + at] = (char)byte;
			/* A line feed ends the line, and what follows may be more of it, or the end of the head. */
			if (byte != '\n' && (parse_copy(&head, bytes, (size_t)length) == HEAD_DONE) == control)
				fail_msg("byte %#x at %zu", byte, at);
		}
	}
}

/* No prefix of a bad head passes, and what is invalid stays so. */
static void never_accepts_a_bad_head_in_parts(void **state)
{
	struct request_head head;

	for (size_t i = 0; i < COUNT(bad); i++) {
		bool invalid = false;

		for (size_t length = 1; length <= bad[i].length; length++) {
			enum head_result result = parse_copy(&head, bad[i].bytes, length);

			assert_true(result == HEAD_INVALID || (result == HEAD_NEED_MORE && !invalid));
			invalid = result == HEAD_INVALID;
		}
	}
}

static void recognises_tls_and_http2(void **state)
{
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
	struct request_head head;

	assert_int_equal(parse_copy(&head, BYTES("\x16")), HEAD_NEED_MORE);
	assert_int_equal(parse_copy(&head, BYTES("\x16\x03")), HEAD_TLS);
	assert_int_equal(parse_copy(&head, BYTES("\x16\x03\x01\x02\0\1\0\1\xfc\3\3")), HEAD_TLS);
	for (size_t length = 1; length < sizeof(preface); length++)
		assert_int_equal(
		    parse_copy(&head, preface, length), length < 4 ? HEAD_NEED_MORE : HEAD_HTTP2);
}

static void bounds_fields(void **state)
{
	static char bytes[REQUEST_HEAD_FIELDS_MAX * 16 + 64];
	static struct request_head head;
	char *at = bytes + sprintf(bytes, "GET / HTTP/1.1\r\n");

	for (unsigned i = 0; i < REQUEST_HEAD_FIELDS_MAX; i++)
		at += sprintf(at, "F%u: %u\r\n", i, i);
	strcpy(at, "\r\n");
	assert_int_equal(request_head_parse(&head, bytes, strlen(bytes)), HEAD_DONE);
	assert_int_equal(head.fields_count, REQUEST_HEAD_FIELDS_MAX);
	assert_span(head.fields[REQUEST_HEAD_FIELDS_MAX - 1].value, "127");
	strcpy(at, "X: y\r\n\r\n");
	assert_int_equal(request_head_parse(&head, bytes, strlen(bytes)), HEAD_TOO_MANY_FIELDS);
}

static void bounds_bytes(void **state)
{
	static const char start[] = "GET / HTTP/1.1\r\nA: ";
	static char bytes[REQUEST_HEAD_MAX + 16];
	struct request_head head;
	enum head_result result;

	memset(bytes, 'a', sizeof(bytes));
	memcpy(bytes, start, sizeof(start) - 1);
	assert_int_equal(request_head_parse(&head, bytes, REQUEST_HEAD_MAX / 2), HEAD_NEED_MORE);
	result = request_head_parse(&head, bytes, sizeof(bytes));
	assert_int_equal(result, HEAD_TOO_MANY_FIELDS);
	/* A complete head that is too long is refused too, and a short one is not hurt by what follows. */
	memcpy(bytes + sizeof(bytes) - 4, "\r\n\r\n", 4);
	assert_int_equal(request_head_parse(&head, bytes, sizeof(bytes)), HEAD_TOO_MANY_FIELDS);
	memcpy(bytes + 100, "\r\n\r\n", 4);
	assert_int_equal(request_head_parse(&head, bytes, sizeof(bytes)), HEAD_DONE);
	assert_int_equal(head.length, 104);
}

/* Fed in pieces and parsed only when worth it, every head is found in the very piece that completes it. */
static void finds_the_end_at_every_split(void **state)
{
	struct request_head head;

	for (size_t i = 0; i < COUNT(good); i++) {
		size_t whole = good[i].length;

		for (size_t first = 0; first < whole; first++) {
			assert_true(first == 0 || request_head_worth_parsing(good[i].bytes, 0, first));
			assert_true(request_head_worth_parsing(good[i].bytes, first, whole));
		}
		for (size_t step = 1; step < 8; step++) {
			size_t previous = 0, length = 0;
			enum head_result result = HEAD_NEED_MORE;

			while (length < whole) {
				length = previous + step < whole ? previous + step : whole;
				if (request_head_worth_parsing(good[i].bytes, previous, length))
					result = request_head_parse(&head, good[i].bytes, length);
				previous = length;
			}
			assert_int_equal(result, HEAD_DONE);
		}
	}
}

static void single_bytes_cost_few_parses(void **state)
{
	static const char *const parts[] = {
	    "X: yyyyyyyyyy\r\n", "\r\n\r\n", "a", "\r\n", "X:\r\n \r\n", "\n", "\r"};
	static char bytes[16384];
	struct request_head head;

	for (size_t i = 0; i < COUNT(parts); i++) {
		size_t at = (size_t)sprintf(bytes, "GET / HTTP/1.1\r\n"), parses = 0, parsed_bytes = 0;
		size_t start = i == 1 || i == 3 || i > 4 ? 0 : at;

		for (at = start; at < sizeof(bytes); at++)
			bytes[at] = parts[i][(at - start) % strlen(parts[i])];
		for (size_t length = 1; length <= sizeof(bytes); length++) {
			if (!request_head_worth_parsing(bytes, length - 1, length))
				continue;
			parses++;
			parsed_bytes += length;
			if (request_head_parse(&head, bytes, length) != HEAD_NEED_MORE)
				break;
		}
		assert_in_range(parses, 1, 32);
		assert_in_range(parsed_bytes, 1, 4 * sizeof(bytes));
	}
}

static void nothing_new_is_not_worth_parsing(void **state)
{
	assert_false(request_head_worth_parsing("GET", 0, 0));
	assert_false(request_head_worth_parsing("GET", 3, 3));
	assert_false(request_head_worth_parsing("GET", 3, 2));
	assert_false(request_head_worth_parsing("GET / HTTP/1.1", 12, 13));
	assert_true(request_head_worth_parsing("GET / HTTP/1.1\r\n", 15, 16));
}

static void iterates_over_fields(void **state)
{
	static const char bytes[] = "GET / HTTP/1.1\r\nA: 1\r\nB: 2\r\na: 3\r\n\r\n";
	struct request_head head;
	size_t index = 0;

	assert_int_equal(request_head_parse(&head, bytes, sizeof(bytes) - 1), HEAD_DONE);
	assert_span(request_head_next_field(&head, "a", &index)->value, "1");
	assert_span(request_head_next_field(&head, "a", &index)->value, "3");
	assert_null(request_head_next_field(&head, "a", &index));
	index = 0;
	assert_null(request_head_next_field(&head, "", &index));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(finds_the_parts),
	    cmocka_unit_test(needs_more_at_every_prefix),
	    cmocka_unit_test(stops_at_the_end_of_the_head),
	    cmocka_unit_test(refuses_bad_heads),
	    cmocka_unit_test(refuses_every_control_character),
	    cmocka_unit_test(never_accepts_a_bad_head_in_parts),
	    cmocka_unit_test(recognises_tls_and_http2),
	    cmocka_unit_test(bounds_fields),
	    cmocka_unit_test(bounds_bytes),
	    cmocka_unit_test(finds_the_end_at_every_split),
	    cmocka_unit_test(single_bytes_cost_few_parses),
	    cmocka_unit_test(nothing_new_is_not_worth_parsing),
	    cmocka_unit_test(iterates_over_fields),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
