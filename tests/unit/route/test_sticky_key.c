/* Tests of src/route/sticky_key.c. */
#include <stdio.h>

#include "cmocka_all.h"
#include "route/sticky_key.h"

static struct sticky_scratch scratch;

static const struct sticky_source cookie = {.type = STICKY_COOKIE, .name = (char *)"sid"};
static const struct sticky_source header = {.type = STICKY_HEADER, .name = (char *)"X-User"};
static const struct sticky_source query = {.type = STICKY_QUERY, .name = (char *)"sid"};
static const struct sticky_source ip = {.type = STICKY_IP, .v4_prefix = 24, .v6_prefix = 48};

static struct address address(const char *text)
{
	struct address parsed;

	assert_int_equal(address_parse(&parsed, text, NULL), 0);
	return parsed;
}

/* The head points into text, which must stay. */
static void parse(struct request_head *head, const char *text)
{
	if (request_head_parse(head, text, strlen(text)) != HEAD_DONE)
		fail_msg("not a head: %s", text);
}

/* expected NULL: the source has no value, so that the implied ip decides. */
static void assert_value(const struct sticky_source *source, const char *text, const char *expected)
{
	struct address client = address("192.0.2.7:1");
	struct request_head head;
	struct sticky_key key;

	parse(&head, text);
	sticky_key_find(&key, source, 1, &head, &client, &scratch);
	if (!expected) {
		if (key.source != 1)
			fail_msg("\"%.*s\" found in %s", (int)key.length, key.bytes, text);
		assert_int_equal(key.type, STICKY_IP);
		assert_int_equal(key.length, 4);
		assert_memory_equal(key.bytes, "\xc0\0\2\7", 4);
		return;
	}
	if (key.source != 0 || key.length != strlen(expected) || memcmp(key.bytes, expected, key.length) != 0)
		fail_msg("\"%.*s\" instead of \"%s\" in %s", key.source ? 0 : (int)key.length, key.bytes,
		    expected, text);
	assert_int_equal(key.type, source->type);
}

static void finds_cookies(void **state)
{
	static const struct {
		const char *fields, *value;
	} table[] = {
	    {"Cookie: sid=abc\r\n", "abc"},
	    {"cOOkie: sid=abc\r\n", "abc"},
	    {"Cookie: a=b; sid=abc; c=d\r\n", "abc"},
	    {"Cookie: a=b;sid=abc;c=d\r\n", "abc"},
	    {"Cookie:a=b ;\t sid = abc \t; c=d\r\n", "abc"},
	    {"Cookie: sid=a=b=c\r\n", "a=b=c"},
	    {"Cookie: sid==\r\n", "="},
	    {"Cookie: sid=\"a b\"\r\n", "\"a b\""},
	    {"Cookie: sid=a%20+b\r\n", "a%20+b"},
	    {"Cookie: sid=\xc3\xa9\r\n", "\xc3\xa9"},
	    {"Cookie: sid=1; sid=2\r\n", "1"},
	    {"Cookie: x=1\r\nCookie: sid=2\r\nCookie: sid=3\r\n", "2"},
	    {"Cookie: ;sid=abc\r\n", "abc"},
	    {"Cookie: ;;;; ;=;==; sid=abc\r\n", "abc"},
	    {"Cookie: sid; sid=abc\r\n", "abc"},
	    {"Cookie: a=b;\r\n sid=abc\r\n", "abc"},
	    {"Cookie: sid=a,b\r\n", "a,b"},
	    {"", NULL},
	    {"Cookie:\r\n", NULL},
	    {"Cookie: ;\r\n", NULL},
	    {"Cookie: ;;;;;;;;\r\n", NULL},
	    {"Cookie: =;=;=\r\n", NULL},
	    {"Cookie: sid\r\n", NULL},
	    {"Cookie: sid=\r\n", NULL},
	    {"Cookie: sid= \t;\r\n", NULL},
	    {"Cookie: sid=; sid=2\r\n", NULL},
	    {"Cookie: SID=abc\r\n", NULL},
	    {"Cookie: xsid=abc; sidx=abc; si=d\r\n", NULL},
	    {"Cookie: a=sid=abc\r\n", NULL},
	    {"Cookie2: sid=abc\r\n", NULL},
	    {"Set-Cookie: sid=abc\r\n", NULL},
	};
	char text[512];

	for (size_t i = 0; i < COUNT(table); i++) {
		snprintf(text, sizeof(text), "GET /?sid=no HTTP/1.1\r\n%s\r\n", table[i].fields);
		assert_value(&cookie, text, table[i].value);
	}
}

static void finds_headers(void **state)
{
	static const struct {
		const char *fields, *value;
	} table[] = {
	    {"X-User: u\r\n", "u"},
	    {"x-uSER:  u v \t\r\n", "u v"},
	    {"X-User:\r\nX-User: second\r\nX-User: third\r\n", "second"},
	    {"X-User: \"q\"\r\n", "\"q\""},
	    {"", NULL},
	    {"X-User:\r\n", NULL},
	    {"X-User: \t \r\n", NULL},
	    {"X-Use: u\r\nX-Users: u\r\n", NULL},
	};
	char text[512];

	for (size_t i = 0; i < COUNT(table); i++) {
		snprintf(text, sizeof(text), "GET / HTTP/1.1\r\n%s\r\n", table[i].fields);
		assert_value(&header, text, table[i].value);
	}
}

static void finds_parameters(void **state)
{
	static const struct {
		const char *target, *value;
	} table[] = {
	    {"/?sid=abc", "abc"},
	    {"/socket.io/?EIO=4&transport=polling&sid=abc", "abc"},
	    {"/?a&b=&=&&sid=abc&c", "abc"},
	    {"/?sid=a=b", "a=b"},
	    {"/?sid=a?b", "a?b"},
	    {"/?sid=a+b%20c%2bd", "a b c+d"},
	    {"/?sid=%61%5A%7f", "aZ\x7f"},
	    {"/?%73i%64=abc", "abc"},
	    {"/?sid=%", "%"},
	    {"/?sid=%4", "%4"},
	    {"/?sid=%zz%4g%g4%%41", "%zz%4g%g4%A"},
	    {"/?sid=1&sid=2", "1"},
	    {"/?sid=abc#sid=def", "abc"},
	    {"http://h/p?sid=abc", "abc"},
	    {"http://h?sid=abc", "abc"},
	    {"/", NULL},
	    {"/?", NULL},
	    {"/??sid=abc", NULL},
	    {"/?sid", NULL},
	    {"/?sid=", NULL},
	    {"/?sid=&sid=2", NULL},
	    {"/?SID=abc", NULL},
	    {"/?sidx=abc&xsid=abc&si=d&sid%00=abc", NULL},
	    {"/sid=abc", NULL},
	    {"/#?sid=abc", NULL},
	    {"/?a=b;sid=abc", NULL},
	    {"*", NULL},
	};
	char text[512];

	for (size_t i = 0; i < COUNT(table); i++) {
		snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nCookie: sid=no\r\n\r\n", table[i].target);
		assert_value(&query, text, table[i].value);
	}
	assert_value(&query, "CONNECT sid:1 HTTP/1.1\r\n\r\n", NULL);
}

static void finds_segments(void **state)
{
	static const struct {
		const char *target;
		unsigned segment;
		const char *value;
	} table[] = {
	    {"/a", 1, "a"},
	    {"/a/b/c", 1, "a"},
	    {"/a/b/c", 2, "b"},
	    {"/a/b/c", 3, "c"},
	    {"/a/b/c/", 3, "c"},
	    {"/a/b?c/d", 2, "b"},
	    {"/a/b#c/d", 2, "b"},
	    {"/a%2fb/c", 1, "a%2fb"},
	    {"/a;x=1/c", 1, "a;x=1"},
	    {"//a", 2, "a"},
	    {"/a//c", 3, "c"},
	    {"/../a", 1, ".."},
	    {"http://h/a/b", 1, "a"},
	    {"http://h:80/a/b?c", 2, "b"},
	    {"http://h//b", 2, "b"},
	    {"/a", 0, NULL},
	    {"/a", 2, NULL},
	    {"/a", 4294967295u, NULL},
	    {"/a/", 2, NULL},
	    {"/a?b/c", 2, NULL},
	    {"/", 1, NULL},
	    {"//a", 1, NULL},
	    {"/a//c", 2, NULL},
	    {"/?a", 1, NULL},
	    {"http://h", 1, NULL},
	    {"http://h/", 1, NULL},
	    {"http://h?a/b", 1, NULL},
	    {"*", 1, NULL},
	};
	char text[512];

	for (size_t i = 0; i < COUNT(table); i++) {
		struct sticky_source path = {.type = STICKY_PATH, .segment = table[i].segment};

		snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\n\r\n", table[i].target);
		assert_value(&path, text, table[i].value);
	}
	assert_value(
	    &(struct sticky_source){.type = STICKY_PATH, .segment = 1}, "CONNECT a:1 HTTP/1.1\r\n\r\n", NULL);
}

static void masks_addresses(void **state)
{
	static const struct {
		const char *client;
		unsigned v4_prefix, v6_prefix;
		const char *key;
		size_t length;
	} table[] = {
	    {"192.0.2.7:1234", 32, 64, BYTES("\xc0\0\2\7")},
	    {"192.0.2.7:1234", 24, 64, BYTES("\xc0\0\2\0")},
	    {"192.0.2.7:1234", 0, 64, BYTES("\0\0\0\0")},
	    {"[::ffff:192.0.2.7]:1234", 24, 64, BYTES("\xc0\0\2\0")},
	    {"[2001:db8:1:2:3:4:5:6]:1", 32, 64, BYTES("\x20\1\x0d\xb8\0\1\0\2\0\0\0\0\0\0\0\0")},
	    {"[2001:db8:1:2:3:4:5:6]:1", 32, 48, BYTES("\x20\1\x0d\xb8\0\1\0\0\0\0\0\0\0\0\0\0")},
	    {"[2001:db8:1:2:3:4:5:6]:1", 32, 128, BYTES("\x20\1\x0d\xb8\0\1\0\2\0\3\0\4\0\5\0\6")},
	    {"unix:/run/x", 32, 64, BYTES("unix")},
	    {"unix:@x", 32, 64, BYTES("unix")},
	};

	for (size_t i = 0; i < COUNT(table); i++) {
		struct sticky_source source = {STICKY_IP, NULL, 0, table[i].v4_prefix, table[i].v6_prefix};
		struct address client = address(table[i].client);
		struct sticky_key key;

		sticky_key_find(&key, &source, 1, NULL, &client, &scratch);
		assert_int_equal(key.source, 0);
		assert_int_equal(key.type, STICKY_IP);
		assert_int_equal(key.length, table[i].length);
		assert_memory_equal(key.bytes, table[i].key, table[i].length);
	}
}

static void unnamed_peers_have_a_key(void **state)
{
	struct address client = {0};
	struct sticky_key key;

	sticky_key_find(&key, &ip, 1, NULL, &client, &scratch);
	assert_memory_equal(key.bytes, "unix", key.length);
	client.sa.sa_family = AF_UNIX;
	client.length = sizeof(sa_family_t);
	sticky_key_find(&key, NULL, 0, NULL, &client, &scratch);
	assert_int_equal(key.length, 4);
	assert_memory_equal(key.bytes, "unix", 4);
}

static void takes_the_first_source_with_a_value(void **state)
{
	const struct sticky_source sources[] = {cookie, query, header, ip};
	static const struct {
		const char *text;
		unsigned source;
		const char *value;
		size_t length;
	} table[] = {
	    {"GET /?sid=q HTTP/1.1\r\nX-User: h\r\nCookie: sid=c\r\n\r\n", 0, BYTES("c")},
	    {"GET /?sid=q HTTP/1.1\r\nX-User: h\r\nCookie: sid=\r\n\r\n", 1, BYTES("q")},
	    {"GET /?sid= HTTP/1.1\r\nX-User: h\r\n\r\n", 2, BYTES("h")},
	    {"GET / HTTP/1.1\r\n\r\n", 3, BYTES("\xc0\0\2\0")},
	    {NULL, 3, BYTES("\xc0\0\2\0")},
	};
	struct address client = address("192.0.2.7:1");

	for (size_t i = 0; i < COUNT(table); i++) {
		struct request_head head;
		struct sticky_key key;

		if (table[i].text)
			parse(&head, table[i].text);
		sticky_key_find(
		    &key, sources, COUNT(sources), table[i].text ? &head : NULL, &client, &scratch);
		assert_int_equal(key.source, table[i].source);
		assert_int_equal(key.type, sources[table[i].source].type);
		assert_int_equal(key.length, table[i].length);
		assert_memory_equal(key.bytes, table[i].value, key.length);
	}
}

static void knows_whether_a_head_is_needed(void **state)
{
	const struct sticky_source ip_first[] = {ip, cookie}, ip_last[] = {cookie, ip};

	assert_false(sticky_needs_head(NULL, 0));
	assert_false(sticky_needs_head(&ip, 1));
	assert_false(sticky_needs_head(ip_first, 2));
	assert_true(sticky_needs_head(ip_last, 2));
	assert_true(sticky_needs_head(&cookie, 1));
	assert_true(sticky_needs_head(&header, 1));
	assert_true(sticky_needs_head(&query, 1));
	assert_true(sticky_needs_head(&(struct sticky_source){.type = STICKY_PATH, .segment = 1}, 1));
}

/* A decoded value as long as a head can be. */
static void decodes_the_longest_value(void **state)
{
	static char text[REQUEST_HEAD_MAX];
	struct address client = address("192.0.2.7:1");
	static struct request_head head;
	struct sticky_key key;
	size_t start = (size_t)sprintf(text, "GET /?sid="), end = sizeof(text) - 14;

	memset(text + start, '+', end - start);
	memcpy(text + end, " HTTP/1.1\r\n\r\n", 13);
	assert_int_equal(request_head_parse(&head, text, end + 13), HEAD_DONE);
	sticky_key_find(&key, &query, 1, &head, &client, &scratch);
	assert_int_equal(key.source, 0);
	assert_int_equal(key.length, end - start);
	assert_int_equal(key.bytes[key.length - 1], ' ');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(finds_cookies),
	    cmocka_unit_test(finds_headers),
	    cmocka_unit_test(finds_parameters),
	    cmocka_unit_test(finds_segments),
	    cmocka_unit_test(masks_addresses),
	    cmocka_unit_test(unnamed_peers_have_a_key),
	    cmocka_unit_test(takes_the_first_source_with_a_value),
	    cmocka_unit_test(knows_whether_a_head_is_needed),
	    cmocka_unit_test(decodes_the_longest_value),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
