/* Opening, closing and telling, as a program has them from the shared library. */
#include "front.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/wait.h>

#define HELLO                                                                                                \
	"{\"type\":\"hello\",\"version\":1,\"pool\":\"chat\",\"slot\":\"2\",\"capabilities\":[\"stats\"]}"
#define WELCOME "{\"type\":\"welcome\",\"version\":1,\"pool\":\"chat\",\"slot\":\"2\"}"

static unsigned fds;

static int set_up(void **state)
{
	fds = open_fds();
	unsetenv("LIMPET_FD");
	unsetenv("LIMPET_SOCKET");
	setenv("LIMPET_POOL", "chat", 1);
	setenv("LIMPET_SLOT", "2", 1);
	return 0;
}

static int tear_down(void **state)
{
	assert_int_equal(open_fds(), fds);
	return 0;
}

static void wait_for_next(struct limpet *limpet, enum limpet_event_type type)
{
	struct pollfd polled = {.fd = limpet_fd(limpet), .events = POLLIN};
	const struct limpet_event *event;

	while (!(event = limpet_next(limpet)))
		assert_int_equal(poll(&polled, 1, 20000), 1);
	assert_int_equal(event->type, type);
}

static void test_inherited(void **state)
{
	struct limpet *limpet;
	struct front front;
	char number[16], text[8];

	snprintf(number, sizeof(number), "%d", front_pair(&front));
	setenv("LIMPET_FD", number, 1);
	setenv("LIMPET_SOCKET", "@not-this-one", 1);
	assert_int_equal(limpet_open(&limpet), 0);
	assert_null(limpet_next(limpet));
	front_hears(&front, HELLO);
	assert_int_equal(limpet_pool(limpet, text, sizeof(text)), 4);
	assert_string_equal(text, "chat");
	assert_int_equal(limpet_pool(limpet, text, 3), 4);
	assert_string_equal(text, "ch");
	assert_int_equal(limpet_pool(limpet, NULL, 0), 4);
	assert_int_equal(limpet_slot(limpet, text, sizeof(text)), 1);
	assert_int_equal(limpet_reason(limpet, text, sizeof(text)), 0);
	assert_string_equal(text, "");
	limpet_close(limpet);
	front_close(&front);
}

static void test_names_that_cannot_be_ones_are_not_told(void **state)
{
	struct limpet *limpet;
	struct front front;

	setenv("LIMPET_SLOT", "</script>\"", 1);
	assert_int_equal(limpet_open_fd(&limpet, front_pair(&front)), 0);
	assert_null(limpet_next(limpet));
	front_hears(
	    &front, "{\"type\":\"hello\",\"version\":1,\"pool\":\"chat\",\"capabilities\":[\"stats\"]}");
	limpet_close(limpet);
	front_close(&front);
}

static void test_what_cannot_be_opened(void **state)
{
	static const char *const bad[] = {"x", "-1", "3x", "99999999999999999999", "4294967299", "999999"};
	struct limpet *limpet = (struct limpet *)1;
	int ends[2];

	assert_int_equal(limpet_open(&limpet), -ENOENT);
	assert_null(limpet);
	for (size_t i = 0; i < COUNT(bad); i++) {
		setenv("LIMPET_FD", bad[i], 1);
		limpet = (struct limpet *)1;
		assert_int_equal(limpet_open(&limpet), -EBADF);
		assert_null(limpet);
	}
	make_pair(SOCK_STREAM, ends);
	assert_int_equal(limpet_open_fd(&limpet, ends[0]), -EPROTOTYPE);
	assert_null(limpet);
	close_pair(ends); /* both are still ours */
	assert_int_equal(limpet_join(&limpet, "@x", "", NULL), -EINVAL);
	assert_int_equal(limpet_join(&limpet, "@x", "a b", NULL), -EINVAL);
	assert_int_equal(limpet_join(&limpet, "@x", "chat", ""), -EINVAL);
	assert_int_equal(limpet_join(&limpet, "", "chat", "2"), -ENAMETOOLONG);
	assert_null(limpet);
	limpet_close(NULL);
}

static void test_joining(void **state)
{
	struct limpet *limpet;
	struct front front;
	char text[128];
	int peer;

	front_listen(&front);
	setenv("LIMPET_SOCKET", front.name, 1);
	assert_int_equal(limpet_open(&limpet), 0);
	assert_null(limpet_next(limpet));
	front_accept(&front);
	front_hears(&front, HELLO);
	assert_in_range(limpet_timeout(limpet), 9000, 10000);
	front_says(&front, WELCOME);
	wait_for_next(limpet, LIMPET_JOINED);
	/* The front restarts. */
	front_close_channel(&front);
	wait_for_next(limpet, LIMPET_LOST);
	assert_true(limpet_reason(limpet, text, sizeof(text)) > 0);
	assert_in_range(limpet_timeout(limpet), 0, 200);
	while (limpet_timeout(limpet) < 9000) { /* up to the next hello */
		struct pollfd polled = {.fd = limpet_fd(limpet), .events = POLLIN};

		assert_int_equal(poll(&polled, 1, 20000), 1);
		assert_null(limpet_next(limpet));
	}
	front_accept(&front);
	front_hears(&front, HELLO);
	front_says(&front, WELCOME);
	wait_for_next(limpet, LIMPET_JOINED);
	assert_null(limpet_next(limpet));
	front_hears(&front, "{\"type\":\"ready\"}");
	peer = front_connects(&front, 1);
	close(limpet_accept(limpet, NULL, NULL, 0));
	peer_is_closed(peer);
	limpet_close(limpet);
	front_hears(&front, "{\"type\":\"ack\",\"id\":1}");
	front_hears(&front, "{\"type\":\"bye\"}");
	front_hears_end(&front);
	front_close(&front);
}

static void test_accept_joins_again_by_itself(void **state)
{
	struct limpet *limpet;
	struct front front;
	pid_t child;
	int status, peer;

	front_listen(&front);
	child = fork();
	if (child == 0) {
		int fd = -1;

		if (limpet_join(&limpet, front.name, "chat", "2") < 0)
			_exit(1);
		if (limpet_accept(limpet, NULL, NULL, 0) != -ECONNREFUSED)
			_exit(2);
		fd = limpet_accept(limpet, NULL, NULL, 0);
		_exit(fd >= 0 && write(fd, "hello", 5) == 5 ? 0 : 3);
	}
	fcntl(front.listening, F_SETFL, 0);
	for (int i = 0; i < 4; i++) {
		front_accept(&front);
		fcntl(front.channel, F_SETFL, 0);
		front_hears(&front, HELLO);
		if (i == 1)
			front_says(&front, "{\"type\":\"bye\",\"reason\":\"not yet\"}");
		if (i > 1)
			front_says(&front, WELCOME);
		if (i < 3)
			front_close_channel(&front);
	}
	peer = front_connects(&front, 1);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	front_hears(&front, "{\"type\":\"ready\"}");
	front_hears(&front, "{\"type\":\"ack\",\"id\":1}");
	peer_hears(peer, "hello");
	peer_is_closed(peer);
	front_close(&front);
}

static void test_telling(void **state)
{
	const struct limpet_stat stats[] = {{"rooms", 12}, {"load", 0.5}}, bad = {"Rooms", 1};
	struct limpet *limpet;
	struct front front;

	assert_int_equal(limpet_open_fd(&limpet, front_pair(&front)), 0);
	limpet_limit(limpet, 1);
	assert_int_equal(limpet_stats(limpet, stats, 2), 0);
	assert_int_equal(limpet_stats(limpet, &bad, 1), -EINVAL);
	front_hears(&front, HELLO);
	front_hears(&front, "{\"type\":\"stats\",\"values\":{\"rooms\":12,\"load\":0.5}}");
	close(front_connects(&front, 1));
	close(front_connects(&front, 2));
	close(limpet_accept(limpet, NULL, NULL, LIMPET_DONTWAIT));
	assert_int_equal(limpet_accept(limpet, NULL, NULL, LIMPET_DONTWAIT), -EAGAIN);
	front_hears(&front, "{\"type\":\"ready\"}");
	front_hears(&front, "{\"type\":\"ack\",\"id\":1}");
	front_hears(&front, "{\"type\":\"refuse\",\"id\":2}");
	limpet_closed(limpet, 1);
	front_hears(&front, "{\"type\":\"closed\",\"count\":1}");
	limpet_leave(limpet);
	front_hears(&front, "{\"type\":\"bye\"}");
	limpet_close(limpet);
	front_close(&front);
}

static void test_a_child_that_closes_its_copy_disturbs_nobody(void **state)
{
	struct limpet *limpet;
	struct front front;
	int status, peer;
	pid_t child;

	assert_int_equal(limpet_open_fd(&limpet, front_pair(&front)), 0);
	assert_null(limpet_next(limpet));
	child = fork();
	if (child == 0) {
		limpet_close(limpet);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	front_hears(&front, HELLO);
	front_hears(&front, "{\"type\":\"ready\"}");
	front_hears_nothing(&front);
	peer = front_connects(&front, 1);
	assert_true(polls(limpet_fd(limpet)));
	close(limpet_accept(limpet, NULL, NULL, 0));
	peer_is_closed(peer);
	limpet_close(limpet);
	front_close(&front);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_inherited),
	    TEST(test_names_that_cannot_be_ones_are_not_told),
	    TEST(test_what_cannot_be_opened),
	    TEST(test_joining),
	    TEST(test_accept_joins_again_by_itself),
	    TEST(test_telling),
	    TEST(test_a_child_that_closes_its_copy_disturbs_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
