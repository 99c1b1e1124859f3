/* Tests of src/base/address.c. */
#include "testing.h"

#include <errno.h>
#include <stdio.h>

#include "base/address.h"

static struct address parsed(const char *text)
{
	struct address address;

	if (address_parse(&address, text, NULL) < 0)
		fail_msg("%s does not parse", text);
	return address;
}

static struct address ip(const char *text)
{
	struct address address;

	if (address_parse_ip(&address, text, strlen(text)) < 0)
		fail_msg("%s does not parse", text);
	return address;
}

static void parses_and_formats(void **state)
{
	static const struct {
		const char *text, *formatted, *bare;
		int family;
		unsigned port;
	} good[] = {
	    {"127.0.0.1:80", "127.0.0.1:80", "127.0.0.1", AF_INET, 80},
	    {"0.0.0.0:0", "0.0.0.0:0", "0.0.0.0", AF_INET, 0},
	    {"255.255.255.255:65535", "255.255.255.255:65535", "255.255.255.255", AF_INET, 65535},
	    {"10.0.0.1:00080", "10.0.0.1:80", "10.0.0.1", AF_INET, 80},
	    {"[::1]:80", "[::1]:80", "::1", AF_INET6, 80},
	    {"[2001:DB8:0:0::1]:443", "[2001:db8::1]:443", "2001:db8::1", AF_INET6, 443},
	    {"[::ffff:192.0.2.1]:1", "[::ffff:192.0.2.1]:1", "::ffff:192.0.2.1", AF_INET6, 1},
	    {"*:80", "[::]:80", "::", AF_INET6, 80},
	    {":80", "[::]:80", "::", AF_INET6, 80},
	    {"80", "[::]:80", "::", AF_INET6, 80},
	    {"0", "[::]:0", "::", AF_INET6, 0},
	    {"unix:/run/x.sock", "unix:/run/x.sock", "unix:/run/x.sock", AF_UNIX, 0},
	    {"/run/x.sock", "unix:/run/x.sock", "unix:/run/x.sock", AF_UNIX, 0},
	    {"unix:relative", "unix:relative", "unix:relative", AF_UNIX, 0},
	    {"unix:@name", "unix:@name", "unix:@name", AF_UNIX, 0},
	    {"@name", "unix:@name", "unix:@name", AF_UNIX, 0},
	    {"unix:a b\tc\x1b\xff", "unix:a b?c??", "unix:a b?c??", AF_UNIX, 0},
	};
	char text[ADDRESS_TEXT_MAX];

	for (size_t i = 0; i < COUNT(good); i++) {
		const char *why = NULL;
		struct address address, again;

		memset(&address, 0xaa, sizeof(address));
		if (address_parse(&address, good[i].text, &why) < 0)
			fail_msg("%s: %s", good[i].text, why);
		assert_int_equal(address_family(&address), good[i].family);
		assert_int_equal(address_port(&address), good[i].port);
		assert_string_equal(address_format(&address, text, sizeof(text)), good[i].formatted);
		assert_string_equal(address_format_ip(&address, text, sizeof(text)), good[i].bare);
		if (strchr(good[i].formatted, '?'))
			continue;
		again = parsed(good[i].formatted);
		assert_true(address_equal(&address, &again));
	}
}

static void refuses(void **state)
{
	static const char *const bad[] = {"", ":", "*", "*:", "[::1]", "[::1]:", "::1", "::1:80", "[]:80",
	    "[:80", "[1.2.3.4]:80", "1.2.3.4", "1.2.3.4:", "1.2.3.4:-1", "1.2.3.4:65536", "1.2.3.4:99999",
	    "1.2.3.4:000080", "1.2.3.4:8 0", " 80", "80 ", "+80", "-1", "0x50", "65536", "4294967376",
	    "1.2.3:80", "1.2.3.256:80", "01.2.3.4.5:80", "localhost:80", "a:b:c", "[::1%lo]:80", "[::1]x:80",
	    "x[::1]:80", "[g::]:80", "unix:", "unix:@", "@", "[::1]:80:80", "[]80", "]:80", "[:1"};

	for (size_t i = 0; i < COUNT(bad); i++) {
		struct address address;
		const char *why = NULL;

		if (address_parse(&address, bad[i], &why) != -EINVAL)
			fail_msg("\"%s\" parses", bad[i]);
		assert_non_null(why);
		assert_true(strlen(why) > 0);
		assert_int_equal(address_parse(&address, bad[i], NULL), -EINVAL);
	}
}

static void bounds_unix_names(void **state)
{
	char text[160] = "unix:/", formatted[ADDRESS_TEXT_MAX];
	struct address address;

	memset(text + 6, 'a', 106);
	assert_int_equal(address_parse(&address, text, NULL), 0);
	assert_string_equal(address_format(&address, formatted, sizeof(formatted)), text);
	text[5 + 107] = 'a';
	assert_int_equal(address_parse(&address, text, NULL), -EINVAL);
	text[5] = '@';
	assert_int_equal(address_parse(&address, text, NULL), -EINVAL);
	text[5 + 107] = '\0';
	assert_int_equal(address_parse(&address, text, NULL), 0);
	assert_string_equal(address_format(&address, formatted, sizeof(formatted)), text);
}

static void parses_bare_ips_of_any_length(void **state)
{
	static const char *const bad[] = {"", "1", "1.2.3.4:80", "[::1]", "::1 ", " ::1", "1.2.3.4\n",
	    "fe80::1%eth0", "0:0:0:0:0:ffff:255.255.255.255:0",
	    "1111:2222:3333:4444:5555:6666:255.255.255.2555",
	    "00000000000000000000000000000000000000000000000000000000000000000"};
	struct address address;
	char cut[4] = {'1', '.', '2', '3'}; /* no NUL behind it */

	for (size_t i = 0; i < COUNT(bad); i++)
		if (address_parse_ip(&address, bad[i], strlen(bad[i])) != -EINVAL)
			fail_msg("\"%s\" parses", bad[i]);
	assert_int_equal(address_parse_ip(&address, cut, sizeof(cut)), -EINVAL);
	assert_int_equal(address_parse_ip(&address, "1.2.3.4\0", 8), -EINVAL);
	assert_int_equal(address_parse_ip(&address, "1.2.3.4.5", 7), 0);
	assert_int_equal(address_port(&address), 0);
	assert_int_equal(address_parse_ip(&address, "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255", 45), 0);
}

static void formats_what_is_not_an_ip(void **state)
{
	struct address address = {0};
	char text[ADDRESS_TEXT_MAX];
	size_t length;

	assert_string_equal(address_format(&address, text, sizeof(text)), "none");
	assert_int_equal(address_family(&address), AF_UNSPEC);
	assert_null(address_bytes(&address, &length));
	assert_int_equal(length, 0);
	address.length = sizeof(sa_family_t); /* what accept() tells of an unnamed peer */
	address.un.sun_family = AF_UNIX;
	assert_string_equal(address_format(&address, text, sizeof(text)), "unix:");
	assert_null(address_bytes(&address, &length));
	address.length = 1;
	assert_int_equal(address_family(&address), AF_UNSPEC);
	/* More bytes than there is room for: as a kernel may report, and as an untrusted sender might. */
	memset(&address.un.sun_path, 'x', sizeof(address.un.sun_path));
	address.length = (socklen_t)(sizeof(address.un) + 20);
	address_format(&address, text, sizeof(text));
	assert_int_equal(strlen(text), 5 + sizeof(address.un.sun_path));
}

static void cuts_texts_that_do_not_fit(void **state)
{
	static const char *const texts[] = {"203.0.113.9:51123", "[2001:db8::1]:80", "unix:/run/x.sock"};
	struct address none = {0};

	for (size_t i = 0; i <= COUNT(texts); i++) {
		struct address address = i < COUNT(texts) ? parsed(texts[i]) : none;

		for (size_t size = 1; size < 20; size++) {
			char *text = malloc(size);

			assert_non_null(text);
			memset(text, 'x', size);
			assert_true(strlen(address_format(&address, text, size)) < size);
			memset(text, 'x', size);
			assert_true(strlen(address_format_ip(&address, text, size)) < size);
			free(text);
		}
	}
}

static void sets_ports(void **state)
{
	struct address v4 = ip("192.0.2.1"), v6 = ip("::1"), path = parsed("unix:/x");

	address_set_port(&v4, 65535);
	address_set_port(&v6, 1);
	address_set_port(&path, 5);
	assert_int_equal(address_port(&v4), 65535);
	assert_int_equal(address_port(&v6), 1);
	assert_int_equal(address_port(&path), 0);
	assert_string_equal(path.un.sun_path, "/x");
}

static void unmaps(void **state)
{
	static const char *const table[][2] = {{"[::ffff:192.0.2.1]:8", "192.0.2.1:8"},
	    {"[::192.0.2.1]:8", "[::192.0.2.1]:8"}, {"[::1]:8", "[::1]:8"},
	    {"[64:ff9b::192.0.2.1]:8", "[64:ff9b::c000:201]:8"}, {"192.0.2.1:8", "192.0.2.1:8"},
	    {"unix:/x", "unix:/x"}};
	char text[ADDRESS_TEXT_MAX];

	for (size_t i = 0; i < COUNT(table); i++) {
		struct address address = parsed(table[i][0]);

		address_unmap(&address);
		assert_string_equal(address_format(&address, text, sizeof(text)), table[i][1]);
	}
}

static void masks(void **state)
{
	static const struct {
		const char *text;
		unsigned v4, v6;
		const char *masked;
	} table[] = {
	    {"203.0.113.255:80", 32, 0, "203.0.113.255:0"},
	    {"203.0.113.255:80", 31, 0, "203.0.113.254:0"},
	    {"203.0.113.255:80", 24, 0, "203.0.113.0:0"},
	    {"203.0.113.255:80", 23, 0, "203.0.112.0:0"},
	    {"203.0.113.255:80", 1, 0, "128.0.0.0:0"},
	    {"203.0.113.255:80", 0, 0, "0.0.0.0:0"},
	    {"[2001:db8:ffff:ffff:ffff:ffff:ffff:ffff]:1", 0, 128,
	        "[2001:db8:ffff:ffff:ffff:ffff:ffff:ffff]:0"},
	    {"[2001:db8:ffff:ffff:ffff:ffff:ffff:ffff]:1", 0, 64, "[2001:db8:ffff:ffff::]:0"},
	    {"[2001:db8:ffff:ffff:ffff:ffff:ffff:ffff]:1", 0, 49, "[2001:db8:ffff:8000::]:0"},
	    {"[2001:db8:ffff:ffff:ffff:ffff:ffff:ffff]:1", 0, 0, "[::]:0"},
	    {"[::ffff:203.0.113.255]:80", 24, 64, "203.0.113.0:0"},
	    {"unix:/x", 0, 0, "unix:/x"},
	};
	char text[ADDRESS_TEXT_MAX];

	for (size_t i = 0; i < COUNT(table); i++) {
		struct address address = parsed(table[i].text);

		address_mask(&address, table[i].v4, table[i].v6);
		assert_string_equal(address_format(&address, text, sizeof(text)), table[i].masked);
	}
}

static void gives_bytes(void **state)
{
	static const struct {
		const char *text, *bytes;
		size_t length;
	} table[] = {
	    {"1.2.3.4:80", "\1\2\3\4", 4},
	    {"[102:304::ff]:80", "\1\2\3\4\0\0\0\0\0\0\0\0\0\0\0\xff", 16},
	    {"unix:/x", "/x\0", 3},
	    {"@x", "\0x", 2},
	};

	for (size_t i = 0; i < COUNT(table); i++) {
		struct address address = parsed(table[i].text);
		size_t length;
		const void *bytes = address_bytes(&address, &length);

		assert_int_equal(length, table[i].length);
		assert_memory_equal(bytes, table[i].bytes, length);
	}
}

static void compares(void **state)
{
	static const char *const different[] = {"1.2.3.4:80", "1.2.3.4:81", "1.2.3.5:80", "[::1]:80",
	    "[::ffff:1.2.3.4]:80", "unix:/x", "unix:/xy", "@/x", "@x"};
	struct address none = {0}, scoped = parsed("[fe80::1]:80"), other = scoped;

	for (size_t i = 0; i < COUNT(different); i++) {
		struct address a = parsed(different[i]);

		assert_false(address_equal(&a, &none));
		for (size_t j = 0; j < COUNT(different); j++) {
			struct address b = parsed(different[j]);

			assert_int_equal(address_equal(&a, &b), i == j);
		}
	}
	assert_true(address_equal(&none, &none));
	other.in6.sin6_scope_id = 2;
	assert_false(address_equal(&scoped, &other));
}

static void networks(void **state)
{
	static const struct {
		const char *network, *in, *out;
	} table[] = {
	    {"10.0.0.0/8", "10.255.0.1:80", "11.0.0.1:80"},
	    {"10.0.0.0/8", "[::ffff:10.1.2.3]:80", "[::ffff:11.1.2.3]:80"},
	    {"10.1.2.3", "10.1.2.3:5", "10.1.2.2:5"},
	    {"10.1.2.2/31", "10.1.2.3:5", "10.1.2.4:5"},
	    {"0.0.0.0/0", "255.1.1.1:5", "[::1]:5"},
	    {"::/0", "[ffff::1]:5", "1.2.3.4:5"},
	    {"::/0", "[::1]:5", "[::ffff:1.2.3.4]:5"},
	    {"fd00::/8", "[fdff::1]:5", "[fe00::1]:5"},
	    {"2001:db8:0:8000::/49", "[2001:db8:0:ffff::1]:5", "[2001:db8:0:7fff::1]:5"},
	    {"::1", "[::1]:5", "[::2]:5"},
	    {"::1/128", "[::1]:5", "unix:/x"},
	    {"unix", "unix:/x", "127.0.0.1:1"},
	};
	struct address_prefix prefix;
	struct address none = {0}, unnamed = {.length = sizeof(sa_family_t), .un.sun_family = AF_UNIX};

	for (size_t i = 0; i < COUNT(table); i++) {
		struct address in = parsed(table[i].in), out = parsed(table[i].out);

		assert_int_equal(address_prefix_parse(&prefix, table[i].network, NULL), 0);
		if (!address_prefix_contains(&prefix, &in) || address_prefix_contains(&prefix, &out))
			fail_msg("%s: %s, not %s", table[i].network, table[i].in, table[i].out);
		assert_false(address_prefix_contains(&prefix, &none));
		assert_int_equal(
		    address_prefix_contains(&prefix, &unnamed), strcmp(table[i].network, "unix") == 0);
	}
}

static void refuses_networks(void **state)
{
	static const char *const bad[] = {"", "/", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1",
	    "10.0.0.0/8/8", "10.0.0.0/ 8", "10.0.0.0/8 ", "10.0.0.1/8", "fd00::/129", "fd00::1/64", "10/8",
	    "localhost", "unix/8", "UNIX", "10.0.0.0:80", "[::1]", "::ffff:10.0.0.0/104", "::ffff:10.0.0.0",
	    "10.0.0.0/99999999999999999999"};

	for (size_t i = 0; i < COUNT(bad); i++) {
		struct address_prefix prefix;
		const char *why = NULL;

		if (address_prefix_parse(&prefix, bad[i], &why) != -EINVAL)
			fail_msg("\"%s\" parses", bad[i]);
		assert_non_null(why);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(parses_and_formats),
	    cmocka_unit_test(refuses),
	    cmocka_unit_test(bounds_unix_names),
	    cmocka_unit_test(parses_bare_ips_of_any_length),
	    cmocka_unit_test(formats_what_is_not_an_ip),
	    cmocka_unit_test(cuts_texts_that_do_not_fit),
	    cmocka_unit_test(sets_ports),
	    cmocka_unit_test(unmaps),
	    cmocka_unit_test(masks),
	    cmocka_unit_test(gives_bytes),
	    cmocka_unit_test(compares),
	    cmocka_unit_test(networks),
	    cmocka_unit_test(refuses_networks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
