#include "testing.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include "address.h"

static struct sockaddr_storage address;
static socklen_t length;

static void test_ip(void **state)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)&address;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&address;
	char text[INET6_ADDRSTRLEN];

	assert_true(limpet_address_read("203.0.113.9:51123", &address, &length));
	assert_int_equal(length, sizeof(*in));
	assert_int_equal(in->sin_family, AF_INET);
	assert_int_equal(ntohs(in->sin_port), 51123);
	assert_string_equal(inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text)), "203.0.113.9");
	assert_true(limpet_address_read("[2001:db8::1]:0", &address, &length));
	assert_int_equal(length, sizeof(*in6));
	assert_int_equal(in6->sin6_family, AF_INET6);
	assert_int_equal(in6->sin6_port, 0);
	assert_string_equal(inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof(text)), "2001:db8::1");
	assert_true(limpet_address_read("[::ffff:203.0.113.9]:65535", &address, &length));
	assert_int_equal(ntohs(in6->sin6_port), 65535);
}

static void test_unix(void **state)
{
	const struct sockaddr_un *un = (const struct sockaddr_un *)&address;
	char text[128] = "unix:";

	assert_true(limpet_address_read("unix:/run/x", &address, &length));
	assert_int_equal(un->sun_family, AF_UNIX);
	assert_string_equal(un->sun_path, "/run/x");
	assert_int_equal(length, offsetof(struct sockaddr_un, sun_path) + 7);
	assert_true(limpet_address_read("unix:@x", &address, &length));
	assert_memory_equal(un->sun_path, "\0x", 2);
	assert_int_equal(length, offsetof(struct sockaddr_un, sun_path) + 2);
	assert_true(limpet_address_read("unix:", &address, &length));
	assert_int_equal(length, sizeof(sa_family_t));
	memset(text + 5, 'a', 107);
	assert_true(limpet_address_read(text, &address, &length));
	text[5 + 107] = 'a';
	assert_false(limpet_address_read(text, &address, &length));
}

static void test_bad(void **state)
{
	static const char *const bad[] = {"", ":", ":80", "x", "x:80", "1.2.3.4", "1.2.3:80",
	    "1.2.3.4:", "1.2.3.4:x", "1.2.3.4:65536", "1.2.3.4:123456", "1.2.3.4:-1", "1.2.3.4: 1", "::1:80",
	    "[::1]", "[::1]80", "[::1:80", "[]:80", "[1.2.3.4]:80", "[::1%lo]:80", "[[::1]]:80", "Unix:/x",
	    "[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000]:80"};

	for (size_t i = 0; i < COUNT(bad); i++) {
		length = 9;
		if (limpet_address_read(bad[i], &address, &length))
			fail_msg("is an address: %s", bad[i]);
		assert_int_equal(length, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_ip),
	    cmocka_unit_test(test_unix),
	    cmocka_unit_test(test_bad),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
