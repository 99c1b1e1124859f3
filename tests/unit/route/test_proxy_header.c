/* Tests of src/route/proxy_header.c. */
#include "cmocka_all.h"
#include "route/proxy_header.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define UNIX_PAD_100                                                                                         \
	"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0" \
	"\0"                                                                                                 \
	"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0" \
	"\0"

struct good {
	const char *bytes;
	size_t length;
	const char *source; /* NULL: local */
	const char *destination;
};

static const struct good good[] = {
    {BYTES("PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n"), "192.168.0.1:56324", "192.168.0.11:443"},
    {BYTES("PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n"), "0.0.0.0:0", "255.255.255.255:65535"},
    {BYTES("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"), "255.255.255.255:65535",
        "255.255.255.255:65535"},
    {BYTES("PROXY TCP6 2001:db8::1 ::1 1 2\r\n"), "[2001:db8::1]:1", "[::1]:2"},
    {BYTES("PROXY TCP6 2001:DB8::A :: 1 2\r\n"), "[2001:db8::a]:1", "[::]:2"},
    {BYTES("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 "
           "65535\r\n"),
        "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535", "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"},
    {BYTES("PROXY UNKNOWN\r\n"), NULL, NULL},
    {BYTES("PROXY UNKNOWN \r\n"), NULL, NULL},
    {BYTES("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
           "65535 65535\r\n"),
        NULL, NULL},
    {BYTES("PROXY UNKNOWN \0\xff what ever\r\n"), NULL, NULL},
    {BYTES(SIGNATURE "\x21\x11\0\x0c\x0a\0\0\1\x0a\0\0\2\x1f\x90\0\x50"), "10.0.0.1:8080", "10.0.0.2:80"},
    {BYTES(SIGNATURE "\x21\x12\0\x0c\x0a\0\0\1\x0a\0\0\2\x1f\x90\0\x50"), "10.0.0.1:8080", "10.0.0.2:80"},
    /* A TLV (type 4, NOOP) behind the addresses, and one that claims more than there is: skipped unread. */
    {BYTES(SIGNATURE "\x21\x11\0\x11\x0a\0\0\1\x0a\0\0\2\x1f\x90\0\x50\x04\0\2\0\0"), "10.0.0.1:8080",
        "10.0.0.2:80"},
    {BYTES(SIGNATURE "\x21\x11\0\x0f\x0a\0\0\1\x0a\0\0\2\x1f\x90\0\x50\x04\xff\xff"), "10.0.0.1:8080",
        "10.0.0.2:80"},
    {BYTES(SIGNATURE "\x21\x21\0\x24"
                     "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1"
                     "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\2"
                     "\xff\xff\1\xbb"),
        "[2001:db8::1]:65535", "[2001:db8::2]:443"},
    {BYTES(SIGNATURE "\x21\x31\0\xd8/run/abc" UNIX_PAD_100 "\0abc\0\0\0\0" UNIX_PAD_100), "unix:/run/abc",
        "unix:@abc"},
    {BYTES(SIGNATURE "\x21\x32\0\xd8\0\0\0\0\0\0\0\0" UNIX_PAD_100 "/a\0\0\0\0\0\0" UNIX_PAD_100),
        "unix:", "unix:/a"},
    /* LOCAL: whatever family and addresses. */
    {BYTES(SIGNATURE "\x20\0\0\0"), NULL, NULL},
    {BYTES(SIGNATURE "\x20\x11\0\x0c\x0a\0\0\1\x0a\0\0\2\x1f\x90\0\x50"), NULL, NULL},
    {BYTES(SIGNATURE "\x20\xff\0\3abc"), NULL, NULL},
    /* UNSPEC family or protocol. */
    {BYTES(SIGNATURE "\x21\0\0\0"), NULL, NULL},
    {BYTES(SIGNATURE "\x21\x10\0\0"), NULL, NULL},
    {BYTES(SIGNATURE "\x21\x01\0\2ab"), NULL, NULL},
};

static const struct {
	const char *bytes;
	size_t length;
} bad[] = {
    {BYTES("G")},
    {BYTES("GET / HTTP/1.1\r\n\r\n")},
    {BYTES("proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n")},
    {BYTES("PROXYTCP4 1.2.3.4 1.2.3.4 1 2\r\n")},
    {BYTES("PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n")},
    {BYTES("PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n")},
    {BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n")},
    {BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 1  2\r\n")},
    {BYTES("PROXY TCP4\t1.2.3.4 1.2.3.4 1 2\r\n")},
    {BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n")},
    {BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\r\n")},
    {BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\rX")},
    {BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n")},
    {BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n")},
    {BYTES("PROXY TCP4 1.2.3.4 1.2.3.4\r\n")},
    {BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 -1 2\r\n")},
    {BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n")},
    {BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n")},
    {BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 1 00\r\n")},
    {BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n")},
    {BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 1 99999999999999999999\r\n")},
    {BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 0x1 2\r\n")},
    {BYTES("PROXY TCP4 01.2.3.4 1.2.3.4 1 2\r\n")},
    {BYTES("PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n")},
    {BYTES("PROXY TCP4 1.2.3.256 1.2.3.4 1 2\r\n")},
    {BYTES("PROXY TCP4 1.2.3.4\0 1.2.3.4 1 2\r\n")},
    {BYTES("PROXY TCP4 ::1 ::1 1 2\r\n")},
    {BYTES("PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n")},
    {BYTES("PROXY TCP6 ::1 1.2.3.4 1 2\r\n")},
    {BYTES("PROXY TCP6 [::1] [::1] 1 2\r\n")},
    {BYTES("PROXY TCP6 fe80::1%lo ::1 1 2\r\n")},
    {BYTES("PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n")},
    {BYTES("PROXY TCP 1.2.3.4 1.2.3.4 1 2\r\n")},
    {BYTES("PROXY UNKNOWNx\r\n")},
    {BYTES("PROXY \r\n        ")},
    {BYTES("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
           "65535 655350\r\n")},
    {BYTES("\r\n\r\n\0\r\nQUIT\r")},
    {BYTES("\r\n\r\nGET / HTTP/1.1")},
    {BYTES(SIGNATURE "\x11\x11\0\x0c\x0a\0\0\1\x0a\0\0\2\x1f\x90\0\x50")},
    {BYTES(SIGNATURE "\x22\x11\0\x0c\x0a\0\0\1\x0a\0\0\2\x1f\x90\0\x50")},
    {BYTES(SIGNATURE "\x2f")},
    {BYTES(SIGNATURE "\x21\x13\0\x0c\x0a\0\0\1\x0a\0\0\2\x1f\x90\0\x50")},
    {BYTES(SIGNATURE "\x21\x41\0\x0c\x0a\0\0\1\x0a\0\0\2\x1f\x90\0\x50")},
    {BYTES(SIGNATURE "\x21\x11\0\x0b\x0a\0\0\1\x0a\0\0\2\x1f\x90\0")},
    {BYTES(SIGNATURE "\x21\x11\0\0")},
    {BYTES(SIGNATURE "\x21\x21\0\x0c\x0a\0\0\1\x0a\0\0\2\x1f\x90\0\x50")},
    {BYTES(SIGNATURE "\x21\x31\0\x0c\x0a\0\0\1\x0a\0\0\2\x1f\x90\0\x50")},
    /* Longer than is accepted: 16 + 4081. */
    {BYTES(SIGNATURE "\x20\0\x0f\xf1")},
    {BYTES(SIGNATURE "\x21\x11\xff\xff")},
};

static void assert_address(const struct address *address, const char *expected)
{
	char text[ADDRESS_TEXT_MAX];

	if (!expected)
		assert_int_equal(address->length, 0);
	else
		assert_string_equal(address_format(address, text, sizeof(text)), expected);
}

static void accepts_good_headers(void **state)
{
	for (size_t i = 0; i < COUNT(good); i++) {
		char *bytes = exact_copy(good[i].bytes, good[i].length);
		struct proxy_header header;
		size_t need;

		assert_int_equal(proxy_header_parse(&header, bytes, good[i].length, &need), PROXY_DONE);
		assert_int_equal(header.length, good[i].length);
		assert_int_equal(header.local, good[i].source == NULL);
		assert_address(&header.source, good[i].source);
		assert_address(&header.destination, good[i].destination);
		free(bytes);
	}
}

static void leaves_what_follows(void **state)
{
	for (size_t i = 0; i < COUNT(good); i++) {
		char bytes[1024] = "";
		struct proxy_header header;

		memcpy(bytes, good[i].bytes, good[i].length);
		memcpy(bytes + good[i].length, "\r\nPROXY", 7);
		assert_int_equal(proxy_header_parse(&header, bytes, good[i].length + 7, NULL), PROXY_DONE);
		assert_int_equal(header.length, good[i].length);
	}
}

/* Waiting for *need bytes neither waits for ever nor gets no further. */
static void asks_for_more_at_every_prefix(void **state)
{
	for (size_t i = 0; i < COUNT(good); i++) {
		for (size_t length = 0; length < good[i].length; length++) {
			char *bytes = exact_copy(good[i].bytes, length);
			struct proxy_header header;
			size_t need = 0;

			assert_int_equal(proxy_header_parse(&header, bytes, length, &need), PROXY_NEED_MORE);
			assert_in_range(need, length + 1, good[i].length);
			assert_int_equal(proxy_header_parse(&header, bytes, length, NULL), PROXY_NEED_MORE);
			free(bytes);
		}
	}
}

static void refuses_bad_headers(void **state)
{
	for (size_t i = 0; i < COUNT(bad); i++) {
		char *bytes = exact_copy(bad[i].bytes, bad[i].length);
		struct proxy_header header;
		size_t need;

		if (proxy_header_parse(&header, bytes, bad[i].length, &need) != PROXY_INVALID)
			fail_msg("accepted bad[%zu]: %s", i, bad[i].bytes);
		free(bytes);
	}
}

/* Wrong from its first wrong byte on, whatever comes later. */
static void stays_invalid(void **state)
{
	for (size_t i = 0; i < COUNT(bad); i++) {
		bool invalid = false;

		for (size_t length = 0; length <= bad[i].length; length++) {
			struct proxy_header header;
			enum proxy_result result = proxy_header_parse(&header, bad[i].bytes, length, NULL);

			assert_int_not_equal(result, PROXY_DONE);
			assert_false(invalid && result != PROXY_INVALID);
			invalid = result == PROXY_INVALID;
		}
		assert_true(invalid);
	}
}

static void bounds_the_length(void **state)
{
	static char bytes[PROXY_HEADER_MAX + 1] = SIGNATURE "\x20\0\x0f\xf0";
	struct proxy_header header;
	size_t need;

	assert_int_equal(proxy_header_parse(&header, bytes, PROXY_HEADER_MAX - 1, &need), PROXY_NEED_MORE);
	assert_int_equal(need, PROXY_HEADER_MAX);
	assert_int_equal(proxy_header_parse(&header, bytes, PROXY_HEADER_MAX, &need), PROXY_DONE);
	assert_int_equal(header.length, PROXY_HEADER_MAX);
}

/* sun_path without a NUL at the end, as the kernel allows too. */
static void keeps_the_longest_unix_names(void **state)
{
	char bytes[16 + 216] = SIGNATURE "\x21\x31\0\xd8";
	struct proxy_header header;
	size_t length;

	memset(bytes + 16, 'a', 108);
	memset(bytes + 16 + 108, '\0', 107);
	bytes[sizeof(bytes) - 1] = 'b';
	assert_int_equal(proxy_header_parse(&header, bytes, sizeof(bytes), NULL), PROXY_DONE);
	assert_int_equal(header.source.length, sizeof(struct sockaddr_un));
	assert_memory_equal(address_bytes(&header.source, &length), bytes + 16, 108);
	assert_int_equal(header.destination.length, sizeof(struct sockaddr_un));
	assert_memory_equal(address_bytes(&header.destination, &length), bytes + 16 + 108, 108);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(accepts_good_headers),
	    cmocka_unit_test(leaves_what_follows),
	    cmocka_unit_test(asks_for_more_at_every_prefix),
	    cmocka_unit_test(refuses_bad_headers),
	    cmocka_unit_test(stays_invalid),
	    cmocka_unit_test(bounds_the_length),
	    cmocka_unit_test(keeps_the_longest_unix_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
