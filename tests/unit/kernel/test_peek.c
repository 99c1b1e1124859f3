/* Looking at a request head without consuming it: MSG_PEEK, SO_RCVLOWAT and epoll. */
#include "tcp_pair.h"

#define LONG_WAIT 10000

static void a_peek_consumes_nothing(void **state)
{
	char bytes[64];
	int ends[2];

	tcp_pair(ends);
	send(ends[0], "hello ", 6, 0);
	arrived(ends[1], 6);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(recv(ends[1], bytes, sizeof(bytes), MSG_PEEK | MSG_DONTWAIT), 6);
		assert_memory_equal(bytes, "hello ", 6);
	}
	send(ends[0], "world", 5, 0);
	arrived(ends[1], 11);
	/* Over the border of two segments, from the beginning. */
	assert_int_equal(recv(ends[1], bytes, sizeof(bytes), MSG_PEEK | MSG_DONTWAIT), 11);
	assert_memory_equal(bytes, "hello world", 11);
	assert_int_equal(recv(ends[1], bytes, 3, MSG_PEEK | MSG_DONTWAIT), 3);
	assert_int_equal(recv(ends[1], bytes, 6, MSG_DONTWAIT), 6); /* as a PROXY header is read off */
	assert_int_equal(recv(ends[1], bytes, sizeof(bytes), MSG_PEEK | MSG_DONTWAIT), 5);
	assert_memory_equal(bytes, "world", 5);
	close_pair(ends);
}

static void a_partial_head_spins_without_low_water(void **state)
{
	char bytes[64];
	int ends[2], epoll;

	tcp_pair(ends);
	epoll = epoll_of(ends[1], EPOLLIN | EPOLLRDHUP);
	send(ends[0], "GET", 3, 0);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(events_of(epoll, LONG_WAIT), EPOLLIN);
		assert_int_equal(recv(ends[1], bytes, sizeof(bytes), MSG_PEEK | MSG_DONTWAIT), 3);
	}
	close(epoll);
	close_pair(ends);
}

static void low_water_wakes_only_for_more(void **state)
{
	int ends[2], epoll;

	tcp_pair(ends);
	epoll = epoll_of(ends[1], EPOLLIN | EPOLLRDHUP);
	for (size_t length = 1; length <= 100; length++) {
		send(ends[0], "x", 1, 0);
		arrived(ends[1], length);
		assert_int_equal(events_of(epoll, LONG_WAIT), EPOLLIN);
		set_low_water(ends[1], (int)length + 1);
		assert_int_equal(events_of(epoll, 0), 0);
	}
	set_low_water(ends[1], 120);
	for (size_t length = 101; length <= 119; length++) {
		send(ends[0], "x", 1, 0);
		arrived(ends[1], length);
		assert_int_equal(events_of(epoll, 0), 0);
	}
	send(ends[0], "x", 1, 0);
	assert_int_equal(events_of(epoll, LONG_WAIT), EPOLLIN);
	close(epoll);
	close_pair(ends);
}

static void low_water_in_place_before_the_watch(void **state)
{
	int ends[2], epoll;

	tcp_pair(ends);
	send(ends[0], "abc", 3, 0);
	arrived(ends[1], 3);
	set_low_water(ends[1], 4);
	epoll = epoll_of(ends[1], EPOLLIN | EPOLLRDHUP);
	assert_int_equal(events_of(epoll, 0), 0);
	send(ends[0], "d", 1, 0);
	assert_int_equal(events_of(epoll, LONG_WAIT), EPOLLIN);
	close(epoll);
	close_pair(ends);
}

static void the_end_wakes_whatever_the_low_water(void **state)
{
	char bytes[64];
	int ends[2], epoll;

	tcp_pair(ends);
	epoll = epoll_of(ends[1], EPOLLIN | EPOLLRDHUP);
	send(ends[0], "abc", 3, 0);
	arrived(ends[1], 3);
	set_low_water(ends[1], 4);
	assert_int_equal(events_of(epoll, 0), 0);
	shutdown(ends[0], SHUT_WR);
	assert_true(events_of(epoll, LONG_WAIT) & EPOLLIN);
	assert_true(events_of(epoll, 0) & EPOLLRDHUP);
	/* The same length again: nothing will follow. */
	assert_int_equal(recv(ends[1], bytes, sizeof(bytes), MSG_PEEK | MSG_DONTWAIT), 3);
	close(epoll);
	close_pair(ends);
}

static void a_reset_wakes_whatever_the_low_water(void **state)
{
	struct linger linger = {.l_onoff = 1};
	char bytes[64];
	int ends[2], epoll;

	tcp_pair(ends);
	epoll = epoll_of(ends[1], EPOLLIN | EPOLLRDHUP);
	send(ends[0], "abc", 3, 0);
	arrived(ends[1], 3);
	set_low_water(ends[1], 4);
	setsockopt(ends[0], SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	close(ends[0]);
	assert_true(events_of(epoll, LONG_WAIT) & EPOLLERR);
	/* What had arrived is still there: the same length again. */
	assert_int_equal(recv(ends[1], bytes, sizeof(bytes), MSG_PEEK | MSG_DONTWAIT), 3);
	close(epoll);
	close(ends[1]);
}

/* Why it is put back before a hand-off: it belongs to the socket, not to the fd. */
static void low_water_goes_with_the_socket(void **state)
{
	int ends[2], epoll, copy;

	tcp_pair(ends);
	send(ends[0], "abc", 3, 0);
	arrived(ends[1], 3);
	set_low_water(ends[1], 4);
	copy = dup(ends[1]);
	epoll = epoll_of(copy, EPOLLIN);
	assert_int_equal(events_of(epoll, 0), 0);
	set_low_water(ends[1], 1);
	assert_int_equal(events_of(epoll, LONG_WAIT), EPOLLIN);
	close(copy);
	close(epoll);
	close_pair(ends);
}

/* A head of the largest size and a PROXY header before it: the low water must not be cut to less. */
static void low_water_up_to_the_largest_peek(void **state)
{
	enum { MOST = 72 * 1024 };
	static char bytes[MOST + 1];
	int ends[2], epoll;
	size_t sent = 0;

	tcp_pair(ends);
	epoll = epoll_of(ends[1], EPOLLIN | EPOLLRDHUP);
	set_low_water(ends[1], MOST);
	while (sent < MOST - 1) {
		ssize_t length = send(ends[0], bytes, MOST - 1 - sent, 0);

		assert_true(length > 0);
		sent += (size_t)length;
	}
	while (recv(ends[1], bytes, sizeof(bytes), MSG_PEEK | MSG_DONTWAIT) < MOST - 1)
		;
	assert_int_equal(events_of(epoll, 0), 0);
	send(ends[0], "x", 1, 0);
	assert_int_equal(events_of(epoll, LONG_WAIT), EPOLLIN);
	assert_int_equal(recv(ends[1], bytes, sizeof(bytes), MSG_PEEK | MSG_DONTWAIT), MOST);
	close(epoll);
	close_pair(ends);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_peek_consumes_nothing),
	    cmocka_unit_test(a_partial_head_spins_without_low_water),
	    cmocka_unit_test(low_water_wakes_only_for_more),
	    cmocka_unit_test(low_water_in_place_before_the_watch),
	    cmocka_unit_test(the_end_wakes_whatever_the_low_water),
	    cmocka_unit_test(a_reset_wakes_whatever_the_low_water),
	    cmocka_unit_test(low_water_goes_with_the_socket),
	    cmocka_unit_test(low_water_up_to_the_largest_peek),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
