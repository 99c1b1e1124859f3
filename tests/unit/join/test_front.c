/* Tests of src/join/front.c: what a limpet says at a pool's socket, and what it is told. */
#include "testing.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd_passing.h"
#include "join/front.h"

static enum front_message parse(const char *text, struct front_answer *answer)
{
	return front_parse(text, strlen(text), answer);
}

static void answers_are_understood(void **state)
{
	struct front_answer answer;

	assert_int_equal(parse("{\"type\":\"welcome\",\"version\":1,\"pool\":\"chat\",\"slot\":\"2\",\"generation\":3,\"worker\":9}",
	                     &answer),
	    FRONT_WELCOME);
	assert_string_equal(answer.pool, "chat");
	assert_string_equal(answer.slot, "2");
	assert_int_equal(answer.generation, 3);
	assert_int_equal(answer.worker, 9);
	assert_int_equal(parse("{\"type\":\"bye\",\"reason\":\"slot 2 is taken\",\"again\":true}", &answer), FRONT_BYE);
	assert_string_equal(answer.reason, "slot 2 is taken");
	assert_true(answer.again);
	assert_int_equal(parse("{\"type\":\"bye\",\"again\":false}", &answer), FRONT_BYE);
	assert_string_equal(answer.reason, "");
	assert_false(answer.again);
	assert_int_equal(parse("{\"type\":\"ready\"}", &answer), FRONT_READY);
	assert_int_equal(parse("{\"type\":\"drain\",\"new\":[]}", &answer), FRONT_DRAIN);
}

static void what_means_nothing_is_nothing(void **state)
{
	static const char *const bad[] = {"", "{", "[]", "7", "{}", "{\"type\":7}", "{\"type\":\"weather\"}", "{\"type\":\"welcome\"}",
	    "{\"type\":\"welcome\",\"version\":2,\"pool\":\"a\",\"slot\":\"b\"}",
	    "{\"type\":\"welcome\",\"version\":1,\"pool\":\"\",\"slot\":\"b\"}",
	    "{\"type\":\"welcome\",\"version\":1,\"pool\":\"a\",\"slot\":"
	    "\"12345678901234567890123456789012345678901234567890123456789012345\"}",
	    "{\"type\":\"welcome\",\"version\":1,\"pool\":\"a\"}"};
	struct front_answer answer;
	char longest[2000];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (parse(bad[i], &answer) != FRONT_NOTHING)
			fail_msg("understood: %s", bad[i]);
	snprintf(longest, sizeof(longest), "{\"type\":\"bye\",\"reason\":\"%01500d\"}", 0);
	assert_int_equal(parse(longest, &answer), FRONT_BYE);
	assert_int_equal(strlen(answer.reason), FRONT_REASON_MAX - 1);
}

static void hello_says_all_and_passes_the_channel(void **state)
{
	struct front_hello hello = {.pool = "chat",
	    .slot = "a\"b",
	    .protocol = PROTOCOL_NODE_IPC,
	    .flavour = FLAVOUR_SOCKET_IO,
	    .ready = true};
	int ends[2], channel[2], fd, truncated;
	char bytes[1024] = "";
	struct front_answer answer;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, channel), 0);
	assert_int_equal(front_receive(ends[0], &answer), FRONT_NOTHING);
	assert_int_equal(front_say_hello(ends[0], &hello, channel[0]), 0);
	assert_true(fd_receive(ends[1], bytes, sizeof(bytes) - 1, &fd, &truncated) > 0);
	assert_string_equal(bytes, "{\"type\":\"hello\",\"version\":1,\"pool\":\"chat\",\"slot\":\"a\\\"b\",\"protocol\":\"node-ipc\","
	                           "\"flavour\":\"socket.io\",\"ready\":true}");
	assert_true(fd >= 0);
	close(fd);
	hello = (struct front_hello){.protocol = PROTOCOL_LIMPET};
	assert_int_equal(front_say_hello(ends[0], &hello, channel[0]), 0);
	memset(bytes, 0, sizeof(bytes));
	assert_true(fd_receive(ends[1], bytes, sizeof(bytes) - 1, NULL, &truncated) > 0);
	assert_string_equal(bytes, "{\"type\":\"hello\",\"version\":1,\"protocol\":\"limpet\",\"ready\":false}");
	/* The other end closes with something unread: what it had said comes first. */
	assert_int_equal(front_say_hello(ends[0], &hello, -1), 0);
	assert_int_equal(fd_send(ends[1], "{\"type\":\"ready\"}", 16, -1), 16);
	close(ends[1]);
	assert_int_equal(front_receive(ends[0], &answer), FRONT_READY);
	assert_int_equal(front_receive(ends[0], &answer), FRONT_END);
	assert_int_equal(front_say_hello(ends[0], &hello, -1), -EPIPE);
	close(ends[0]);
	close(channel[0]);
	close(channel[1]);
}

static void a_socket_that_is_not_there(void **state)
{
	assert_int_equal(front_connect("/nonexistent/socket"), -ENOENT);
	assert_int_equal(front_connect("@limpet-test-nobody-listens-here"), -ECONNREFUSED);
	assert_int_equal(front_connect("127.0.0.1:80"), -EINVAL);
	assert_int_equal(front_connect(""), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(answers_are_understood),
	    cmocka_unit_test(what_means_nothing_is_nothing),
	    cmocka_unit_test(hello_says_all_and_passes_the_channel),
	    cmocka_unit_test(a_socket_that_is_not_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
