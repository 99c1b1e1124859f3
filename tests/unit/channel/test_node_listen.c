#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "channel/node_listen.h"

/* Messages as Node 18 to 26 send them. */
static const struct {
	const char *message, *address, *key;
	int type;
	bool any, v6only;
	unsigned index;
	int backlog;
	const char *data;
} good[] = {
    {"{\"index\":0,\"data\":null,\"address\":null,\"port\":8080,\"addressType\":4,\"backlog\":511,\"seq\":1}",
        "[::]:8080", "null:8080:4:undefined:0", SOCK_STREAM, true, false, 0, 511, NULL},
    {"{\"index\":2,\"address\":\"127.0.0.1\",\"port\":0,\"addressType\":4,\"backlog\":0,\"seq\":1}",
        "127.0.0.1:0", "127.0.0.1:0:4:undefined:2", SOCK_STREAM, false, false, 2, 0, NULL},
    {"{\"index\":0,\"address\":\"::\",\"port\":80,\"addressType\":6,\"flags\":1,\"backlog\":false,\"seq\":0}",
        "[::]:80", ":::80:6:undefined:0", SOCK_STREAM, false, true, 0, 0, NULL},
    {"{\"index\":0,\"address\":\"::1\",\"port\":80,\"addressType\":6,\"flags\":2,\"seq\":9007199254740991}",
        "[::1]:80", "::1:80:6:undefined:0", SOCK_STREAM, false, false, 0, 0, NULL},
    {"{\"index\":0,\"address\":\"\",\"port\":80,\"addressType\":6,\"flags\":null,\"fd\":null,\"seq\":1}",
        "[::]:80", ":80:6:undefined:0", SOCK_STREAM, true, false, 0, 0, NULL},
    {"{\"index\":0,\"address\":\"/run/"
     "a\\\"b.sock\",\"port\":-1,\"addressType\":-1,\"backlog\":511,\"seq\":1}",
        "unix:/run/a\"b.sock", "/run/a\"b.sock:-1:-1:undefined:0", SOCK_STREAM, false, false, 0, 511, NULL},
    {"{\"index\":0,\"address\":\"0.0.0.0\",\"port\":53,\"addressType\":\"udp4\",\"fd\":-1,\"flags\":4,"
     "\"seq\":1}",
        "0.0.0.0:53", "0.0.0.0:53:udp4:-1:0", SOCK_DGRAM, false, false, 0, 0, NULL},
    {"{\"index\":0,\"address\":\"::\",\"addressType\":\"udp6\",\"fd\":-1,\"flags\":1,\"seq\":1}", "[::]:0",
        ":::0:udp6:-1:0", SOCK_DGRAM, false, true, 0, 0, NULL},
    {"{\"index\":0,\"address\":null,\"port\":null,\"addressType\":\"udp4\",\"seq\":1}", "0.0.0.0:0",
        "null:0:udp4:undefined:0", SOCK_DGRAM, false, false, 0, 0, NULL},
    {"{\"index\":0,\"data\":{\"ticketKeys\":\"44cf\"},\"address\":null,\"port\":1,\"addressType\":4,\"seq\":"
     "1}",
        "[::]:1", "null:1:4:undefined:0", SOCK_STREAM, true, false, 0, 0, "{\"ticketKeys\":\"44cf\"}"},
    {"{\"index\":0,\"data\":\"a\\nb\",\"address\":null,\"port\":1,\"addressType\":4,\"seq\":1}", "[::]:1",
        "null:1:4:undefined:0", SOCK_STREAM, true, false, 0, 0, "\"a\\nb\""},
    {"{\"index\":0,\"address\":\"fe80::1%1\",\"port\":80,\"addressType\":6,\"seq\":1}", "[fe80::1]:80",
        "fe80::1%1:80:6:undefined:0", SOCK_STREAM, false, false, 0, 0, NULL},
};

static const struct {
	const char *message;
	int error;
} bad[] = {
    {"{}", -EBADMSG},
    {"{\"index\":0,\"address\":null,\"port\":80,\"addressType\":4}", -EBADMSG},
    {"{\"index\":0,\"address\":null,\"port\":80,\"addressType\":4,\"seq\":\"1\"}", -EBADMSG},
    {"{\"index\":0,\"address\":null,\"port\":80,\"addressType\":4,\"seq\":-1}", -EBADMSG},
    {"{\"index\":0,\"address\":null,\"port\":80,\"addressType\":4,\"seq\":1.5}", -EBADMSG},
    {"{\"index\":0,\"address\":null,\"port\":80,\"addressType\":4,\"seq\":9007199254740992}", -EBADMSG},
    {"{\"index\":0,\"address\":null,\"port\":null,\"addressType\":null,\"fd\":3,\"seq\":1}", -ENOTSUP},
    {"{\"index\":0,\"address\":\"0.0.0.0\",\"port\":0,\"addressType\":\"udp4\",\"fd\":0,\"seq\":1}",
        -ENOTSUP},
    {"{\"index\":0,\"address\":null,\"port\":80,\"addressType\":5,\"seq\":1}", -ENOTSUP},
    {"{\"index\":0,\"address\":null,\"port\":80,\"addressType\":\"tcp\",\"seq\":1}", -ENOTSUP},
    {"{\"index\":0,\"address\":null,\"port\":80,\"addressType\":{},\"seq\":1}", -ENOTSUP},
    {"{\"index\":0,\"address\":null,\"port\":80,\"seq\":1}", -ENOTSUP},
    {"{\"index\":0,\"address\":null,\"port\":65536,\"addressType\":4,\"seq\":1}", -EINVAL},
    {"{\"index\":0,\"address\":null,\"port\":-1,\"addressType\":4,\"seq\":1}", -EINVAL},
    {"{\"index\":0,\"address\":null,\"port\":\"80\",\"addressType\":4,\"seq\":1}", -EINVAL},
    {"{\"index\":0,\"address\":null,\"addressType\":4,\"seq\":1}", -EINVAL},
    {"{\"index\":0,\"address\":\"::\",\"port\":70000,\"addressType\":\"udp6\",\"seq\":1}", -EINVAL},
    {"{\"index\":-1,\"address\":null,\"port\":80,\"addressType\":4,\"seq\":1}", -EINVAL},
    {"{\"address\":null,\"port\":80,\"addressType\":4,\"seq\":1}", -EINVAL},
    {"{\"index\":0,\"address\":7,\"port\":80,\"addressType\":4,\"seq\":1}", -EINVAL},
    {"{\"index\":0,\"address\":\"localhost\",\"port\":80,\"addressType\":4,\"seq\":1}", -EINVAL},
    {"{\"index\":0,\"address\":\"::1\",\"port\":80,\"addressType\":4,\"seq\":1}", -EINVAL},
    {"{\"index\":0,\"address\":\"127.0.0.1\",\"port\":80,\"addressType\":6,\"seq\":1}", -EINVAL},
    {"{\"index\":0,\"address\":\"127.0.0.1%1\",\"port\":80,\"addressType\":4,\"seq\":1}", -EINVAL},
    {"{\"index\":0,\"address\":\"fe80::1%\",\"port\":80,\"addressType\":6,\"seq\":1}", -EINVAL},
    {"{\"index\":0,\"address\":\"fe80::1%nosuch\",\"port\":80,\"addressType\":6,\"seq\":1}", -EINVAL},
    {"{\"index\":0,\"address\":\"a.sock\",\"port\":-1,\"addressType\":-1,\"seq\":1}", -EINVAL},
    {"{\"index\":0,\"address\":null,\"port\":-1,\"addressType\":-1,\"seq\":1}", -EINVAL},
    {"{\"index\":0,\"address\":\"/a\\u0000b\",\"port\":-1,\"addressType\":-1,\"seq\":1}", -EINVAL},
};

static json_t *parse(const char *text)
{
	json_t *message = json_loads(text, JSON_ALLOW_NUL, NULL);

	assert_non_null(message);
	return message;
}

static void listens_are_understood(void **state)
{
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		json_t *message = parse(good[i].message);
		struct node_listen listen;
		char text[ADDRESS_TEXT_MAX];

		assert_int_equal(node_listen_parse(&listen, message), 0);
		json_decref(message);
		assert_string_equal(
		    address_format(&listen.listen.address, text, sizeof(text)), good[i].address);
		assert_string_equal(listen.listen.key, good[i].key);
		assert_int_equal(listen.listen.socket_type, good[i].type);
		assert_int_equal(listen.listen.any_address, good[i].any);
		assert_int_equal(listen.listen.ipv6_only, good[i].v6only);
		assert_int_equal(listen.listen.index, good[i].index);
		assert_int_equal(listen.listen.backlog, good[i].backlog);
		if (good[i].data)
			assert_string_equal(listen.listen.data, good[i].data);
		else
			assert_null(listen.listen.data);
	}
}

static void others_are_refused(void **state)
{
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		json_t *message = parse(bad[i].message);
		struct node_listen listen;
		int error = node_listen_parse(&listen, message);

		if (error != bad[i].error)
			fail_msg("%s: %d", bad[i].message, error);
		json_decref(message);
	}
}

static int parse_long(size_t path, size_t data)
{
	static char text[70000];
	struct node_listen listen;
	json_t *message;
	int length, error;

	assert_true(path + data + 200 <= sizeof(text));
	length = sprintf(text, "{\"index\":0,\"port\":-1,\"addressType\":-1,\"seq\":1,\"address\":\"/");
	memset(text + length, 'p', path);
	length += (int)path;
	length += sprintf(text + length, "\",\"data\":\"");
	memset(text + length, 'd', data);
	strcpy(text + length + data, "\"}");
	message = parse(text);
	error = node_listen_parse(&listen, message);
	json_decref(message);
	return error;
}

static void lengths_are_bounded(void **state)
{
	assert_int_equal(parse_long(106, CHANNEL_DATA_MAX - 2), 0);
	assert_int_equal(parse_long(107, 0), -ENAMETOOLONG);
	assert_int_equal(parse_long(CHANNEL_KEY_MAX, 0), -EINVAL);
	assert_int_equal(parse_long(60000, 0), -EINVAL);
	assert_int_equal(parse_long(10, CHANNEL_DATA_MAX - 1), -EMSGSIZE);
	assert_int_equal(parse_long(10, 60000), -EMSGSIZE);
}

static void sockname(void **state)
{
	static const struct {
		const char *address, *json;
	} names[] = {
	    {"127.0.0.1:80", "{\"address\":\"127.0.0.1\",\"family\":\"IPv4\",\"port\":80}"},
	    {"[::]:65535", "{\"address\":\"::\",\"family\":\"IPv6\",\"port\":65535}"},
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char bytes[200];
		struct json_text text = JSON_TEXT(bytes);
		struct address address;

		address_parse(&address, names[i].address, NULL);
		node_listen_sockname(&text, &address);
		assert_int_equal(text.length, strlen(names[i].json));
		assert_memory_equal(bytes, names[i].json, text.length);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(listens_are_understood),
	    cmocka_unit_test(others_are_refused),
	    cmocka_unit_test(lengths_are_bounded),
	    cmocka_unit_test(sockname),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
