/* Tests of src/route/client_address.c. */
#include <stdio.h>

#include "cmocka_all.h"
#include "route/client_address.h"

static struct address_prefix trusted[4];

static int set_up(void **state)
{
	static const char *const texts[] = {"10.0.0.0/8", "192.0.2.1", "fd00::/8", "unix"};

	for (size_t i = 0; i < COUNT(texts); i++)
		assert_int_equal(address_prefix_parse(&trusted[i], texts[i], NULL), 0);
	return 0;
}

static struct address address(const char *text)
{
	struct address parsed;

	assert_int_equal(address_parse(&parsed, text, NULL), 0);
	return parsed;
}

static void assert_client(
    const char *peer, const struct proxy_header *proxy, const char *fields, const char *expected)
{
	struct address client, from = address(peer);
	char text[2048], found[ADDRESS_TEXT_MAX], *exact;
	struct request_head head;
	size_t length;

	length = (size_t)snprintf(text, sizeof(text), "GET / HTTP/1.1\r\n%s\r\n", fields ? fields : "");
	assert_in_range(length, 1, sizeof(text) - 1);
	exact = exact_copy(text, length);
	assert_int_equal(request_head_parse(&head, exact, length), HEAD_DONE);
	client_address_find(&client, &from, proxy, fields ? &head : NULL, trusted, COUNT(trusted));
	address_format(&client, found, sizeof(found));
	if (strcmp(found, expected) != 0)
		fail_msg("%s instead of %s for %s", found, expected, fields);
	free(exact);
}

static void believes_only_trusted_peers(void **state)
{
	assert_client("203.0.113.5:99", NULL, "X-Forwarded-For: 198.51.100.1\r\n", "203.0.113.5:99");
	assert_client("203.0.113.5:99", NULL, "Forwarded: for=198.51.100.1\r\n", "203.0.113.5:99");
	assert_client("10.1.2.3:99", NULL, NULL, "10.1.2.3:99");
	assert_client("10.1.2.3:99", NULL, "", "10.1.2.3:99");
	assert_client("10.1.2.3:99", NULL, "X-Forwarded-For: 198.51.100.1\r\n", "198.51.100.1:0");
	assert_client("[::ffff:10.1.2.3]:99", NULL, "X-Forwarded-For: 198.51.100.1\r\n", "198.51.100.1:0");
	assert_client("[::ffff:203.0.113.5]:99", NULL, "", "203.0.113.5:99");
	assert_client("[fd00::1]:99", NULL, "X-Forwarded-For: 198.51.100.1\r\n", "198.51.100.1:0");
	assert_client("unix:/run/x", NULL, "X-Forwarded-For: 198.51.100.1\r\n", "198.51.100.1:0");
}

static void nobody_is_trusted_by_default(void **state)
{
	static const char text[] = "GET / HTTP/1.1\r\nX-Forwarded-For: 198.51.100.1\r\n\r\n";
	struct address client, peer = address("10.1.2.3:99");
	struct request_head head;

	assert_int_equal(request_head_parse(&head, text, sizeof(text) - 1), HEAD_DONE);
	client_address_find(&client, &peer, NULL, &head, NULL, 0);
	assert_true(address_equal(&client, &peer));
}

static void takes_the_proxy_header(void **state)
{
	struct proxy_header proxy = {.source = address("198.51.100.7:5")};
	struct proxy_header local = {.local = true};
	struct proxy_header inner = {.source = address("10.9.9.9:5")};
	struct proxy_header mapped = {.source = address("[::ffff:198.51.100.7]:5")};

	assert_client("10.1.2.3:99", &proxy, NULL, "198.51.100.7:5");
	assert_client("203.0.113.5:99", &proxy, NULL, "198.51.100.7:5");
	assert_client("10.1.2.3:99", &local, NULL, "10.1.2.3:99");
	assert_client("10.1.2.3:99", &mapped, NULL, "198.51.100.7:5");
	/* The source is the one that must be trusted for the fields to count. */
	assert_client("10.1.2.3:99", &proxy, "X-Forwarded-For: 198.51.100.1\r\n", "198.51.100.7:5");
	assert_client("203.0.113.5:99", &inner, "X-Forwarded-For: 198.51.100.1\r\n", "198.51.100.1:0");
	assert_client("10.1.2.3:99", &local, "X-Forwarded-For: 198.51.100.1\r\n", "198.51.100.1:0");
}

static const char *const forwarded_for[][2] = {
    {"198.51.100.1", "198.51.100.1:0"},
    {"1.1.1.1, 198.51.100.1", "198.51.100.1:0"},
    {"1.1.1.1,198.51.100.1 ,\t10.0.0.1, 192.0.2.1", "198.51.100.1:0"},
    {"10.0.0.2, 10.0.0.1", "10.0.0.2:0"},
    {"198.51.100.1:8080", "198.51.100.1:8080"},
    {"198.51.100.1:0", "198.51.100.1:0"},
    {"2001:db8::1", "[2001:db8::1]:0"},
    {"[2001:db8::1]", "[2001:db8::1]:0"},
    {"[2001:db8::1]:65535", "[2001:db8::1]:65535"},
    {"::ffff:198.51.100.1", "198.51.100.1:0"},
    {"198.51.100.1, ::ffff:10.0.0.1", "198.51.100.1:0"},
    {"198.51.100.1, fd00::1", "198.51.100.1:0"},
    {"198.51.100.1,,, ,", "198.51.100.1:0"},
    {"198.51.100.1, unknown", "10.1.2.3:99"},
    {"198.51.100.1, unknown, 10.0.0.1", "10.0.0.1:0"},
    {"198.51.100.1, , 10.0.0.1,", "198.51.100.1:0"},
    {"198.51.100.1 10.0.0.1", "10.1.2.3:99"},
    {"\"198.51.100.1\"", "10.1.2.3:99"},
    {"", "10.1.2.3:99"},
    {",,,,", "10.1.2.3:99"},
    {"x", "10.1.2.3:99"},
    {":", "10.1.2.3:99"},
    {"::", "[::]:0"},
    {"[]", "10.1.2.3:99"},
    {"[", "10.1.2.3:99"},
    {"[2001:db8::1", "10.1.2.3:99"},
    {"[2001:db8::1]x", "10.1.2.3:99"},
    {"[198.51.100.1]", "10.1.2.3:99"},
    {"198.51.100.1:", "10.1.2.3:99"},
    {"198.51.100.1:-1", "10.1.2.3:99"},
    {"198.51.100.1:65536", "10.1.2.3:99"},
    {"198.51.100.1:999999999999999999999", "10.1.2.3:99"},
    {"198.51.100.1:80x", "10.1.2.3:99"},
    {"198.51.100.256", "10.1.2.3:99"},
    {"198.51.100", "10.1.2.3:99"},
    {"-1", "10.1.2.3:99"},
    {"3325256705", "10.1.2.3:99"},
    {"0xc6.51.100.1", "10.1.2.3:99"},
    {"example.org", "10.1.2.3:99"},
    {"198.51.100.1;x", "10.1.2.3:99"},
    {"fe80::1%eth0", "10.1.2.3:99"},
    {"11111111111111111111111111111111111111111111111111111111111111111", "10.1.2.3:99"},
};

static void walks_x_forwarded_for(void **state)
{
	char fields[512];

	for (size_t i = 0; i < COUNT(forwarded_for); i++) {
		snprintf(fields, sizeof(fields), "x-forwarded-FOR: %s\r\n", forwarded_for[i][0]);
		assert_client("10.1.2.3:99", NULL, fields, forwarded_for[i][1]);
	}
}

static const char *const forwarded[][2] = {
    {"for=198.51.100.1", "198.51.100.1:0"},
    {"For=\"198.51.100.1\"", "198.51.100.1:0"},
    {"FOR=\"198.51.100.1:80\"", "198.51.100.1:80"},
    {"for=198.51.100.1:80", "198.51.100.1:80"},
    {"for=\"[2001:db8::1]\"", "[2001:db8::1]:0"},
    {"for=\"[2001:db8::1]:4711\"", "[2001:db8::1]:4711"},
    {"for=[2001:db8::1]", "[2001:db8::1]:0"},
    {"for=\"198.51.100.1:_port\"", "198.51.100.1:0"},
    {"for=198.51.100.1;proto=http;by=203.0.113.43", "198.51.100.1:0"},
    {"proto=http;by=203.0.113.43;for=198.51.100.1", "198.51.100.1:0"},
    {"proto=http ; for = 198.51.100.1 ; by=x", "198.51.100.1:0"},
    {";;for=198.51.100.1;", "198.51.100.1:0"},
    {"for=1.1.1.1, for=198.51.100.1, for=10.0.0.1;by=\"a,b;c\"", "198.51.100.1:0"},
    {"for=198.51.100.1;host=\"a\\\"b,c\", for=10.0.0.1", "198.51.100.1:0"},
    {"for=1.1.1.1, for=198.51.100.1;host=\"a\\\",b\\\\\"", "198.51.100.1:0"},
    {"for=\"198.51.100\\.1\"", "10.1.2.3:99"},
    {"for=10.0.0.2, for=10.0.0.1", "10.0.0.2:0"},
    {"for=198.51.100.1, for=unknown", "10.1.2.3:99"},
    {"for=198.51.100.1, for=_hidden, for=10.0.0.1", "10.0.0.1:0"},
    {"for=198.51.100.1, for=\"_SEVKISEK\"", "10.1.2.3:99"},
    {"for=198.51.100.1, proto=https", "10.1.2.3:99"},
    /* What the client left open to the left does not reach what the proxy appended. */
    {"for=\"1.1.1.1, for=198.51.100.1", "198.51.100.1:0"},
    {"for=1.1.1.1;x=\", for=198.51.100.1", "198.51.100.1:0"},
    {"for=1.1.1.1;x=\\, for=198.51.100.1", "198.51.100.1:0"},
    {"for=1.1.1.1;x=\", for=\"[2001:db8::1]\"", "[2001:db8::1]:0"},
    {"for=198.51.100.1;for=1.1.1.1", "10.1.2.3:99"},
    {"for=198.51.100.1;x=\"", "10.1.2.3:99"},
    {"for=\"198.51.100.1\"x", "10.1.2.3:99"},
    {"for=\"198.51.100.1\"\"\"", "10.1.2.3:99"},
    {"for=198.51.100.1;x", "10.1.2.3:99"},
    {"for=198.51.100.1;=x", "10.1.2.3:99"},
    {"for=198.51.100.1;\"x\"=y", "10.1.2.3:99"},
    {"for=\"198.51.100.1\\\"", "10.1.2.3:99"},
    {"for=", "10.1.2.3:99"},
    {"for=\"\"", "10.1.2.3:99"},
    {"for", "10.1.2.3:99"},
    {"for=\"", "10.1.2.3:99"},
    {"\"", "10.1.2.3:99"},
    {"\\", "10.1.2.3:99"},
    {"=", "10.1.2.3:99"},
    {";", "10.1.2.3:99"},
    {",", "10.1.2.3:99"},
    {"198.51.100.1", "10.1.2.3:99"},
    {"forx=198.51.100.1", "10.1.2.3:99"},
    {"xfor=198.51.100.1", "10.1.2.3:99"},
};

static void walks_forwarded(void **state)
{
	char fields[512];

	for (size_t i = 0; i < COUNT(forwarded); i++) {
		snprintf(fields, sizeof(fields), "forwarded: %s\r\n", forwarded[i][0]);
		assert_client("10.1.2.3:99", NULL, fields, forwarded[i][1]);
	}
}

static void several_fields_are_one_list(void **state)
{
	assert_client("10.1.2.3:99", NULL,
	    "X-Forwarded-For: 1.1.1.1\r\nA: b\r\nX-Forwarded-For: 198.51.100.1\r\n", "198.51.100.1:0");
	assert_client("10.1.2.3:99", NULL,
	    "X-Forwarded-For: 1.1.1.1, 198.51.100.1\r\nX-Forwarded-For:\r\nx-forwarded-for: 10.0.0.1\r\n",
	    "198.51.100.1:0");
	assert_client("10.1.2.3:99", NULL, "Forwarded: for=198.51.100.1\r\nForwarded: for=10.0.0.1\r\n",
	    "198.51.100.1:0");
}

static void x_forwarded_for_goes_before_forwarded(void **state)
{
	assert_client("10.1.2.3:99", NULL, "Forwarded: for=1.1.1.1\r\nX-Forwarded-For: 198.51.100.1\r\n",
	    "198.51.100.1:0");
	assert_client(
	    "10.1.2.3:99", NULL, "Forwarded: for=1.1.1.1\r\nX-Forwarded-For: unknown\r\n", "10.1.2.3:99");
	assert_client(
	    "10.1.2.3:99", NULL, "Forwarded: for=198.51.100.1\r\nX-Forwarded-For: ,\r\n", "198.51.100.1:0");
}

/* count trusted entries with this entry to the left of them. */
static void assert_long_chain(const char *leftmost, unsigned count, const char *expected)
{
	static char text[65536];
	static struct request_head head;
	struct address client, peer = address("10.1.2.3:99");
	char found[ADDRESS_TEXT_MAX];
	size_t at = (size_t)sprintf(text, "GET / HTTP/1.1\r\nX-Forwarded-For: %s", leftmost);

	for (unsigned i = 0; i < count; i++)
		at += (size_t)sprintf(text + at, ", 10.0.%u.%u", i / 256, i % 256);
	at += (size_t)sprintf(text + at, "\r\n\r\n");
	assert_int_equal(request_head_parse(&head, text, at), HEAD_DONE);
	client_address_find(&client, &peer, NULL, &head, trusted, COUNT(trusted));
	assert_string_equal(address_format(&client, found, sizeof(found)), expected);
}

static void bounds_the_walk(void **state)
{
	assert_long_chain("198.51.100.1", 500, "198.51.100.1:0");
	assert_long_chain("10.255.255.255", 500, "10.255.255.255:0");
	assert_long_chain("198.51.100.1", CLIENT_ADDRESS_ENTRIES_MAX - 1, "198.51.100.1:0");
	assert_long_chain("198.51.100.1", CLIENT_ADDRESS_ENTRIES_MAX, "10.0.0.0:0");
	assert_long_chain("198.51.100.1", 4000, "10.0.13.160:0"); /* 4000 - 512 = 13 * 256 + 160 */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(believes_only_trusted_peers),
	    cmocka_unit_test(nobody_is_trusted_by_default),
	    cmocka_unit_test(takes_the_proxy_header),
	    cmocka_unit_test(walks_x_forwarded_for),
	    cmocka_unit_test(walks_forwarded),
	    cmocka_unit_test(several_fields_are_one_list),
	    cmocka_unit_test(x_forwarded_for_goes_before_forwarded),
	    cmocka_unit_test(bounds_the_walk),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
