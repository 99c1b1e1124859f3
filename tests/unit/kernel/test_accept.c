/* What accept() hands over. */
#include "tcp_pair.h"

#include <errno.h>

#define LONG_WAIT 10000

static int set_option(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value));
}

static void deferred_accept_waits_for_the_first_bytes(void **state)
{
	struct sockaddr_in address;
	int listener = tcp_listen(&address), client, epoll, server;
	char bytes[8];

	assert_int_equal(set_option(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, 1), 0);
	fcntl(listener, F_SETFL, O_NONBLOCK);
	epoll = epoll_of(listener, EPOLLIN);
	client = tcp_connect(&address);
	assert_int_equal(accept4(listener, NULL, NULL, SOCK_CLOEXEC), -1);
	assert_int_equal(errno, EAGAIN);
	send(client, "GET", 3, 0);
	assert_int_equal(events_of(epoll, LONG_WAIT), EPOLLIN);
	server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(server >= 0);
	assert_int_equal(recv(server, bytes, sizeof(bytes), MSG_PEEK | MSG_DONTWAIT), 3);
	close(server);
	close(client);
	close(epoll);
	close(listener);
}

/* Why the router sets nothing about blocking: workers get what accept() makes. */
static void accepted_sockets_do_not_inherit_non_blocking(void **state)
{
	struct sockaddr_in address;
	int listener = tcp_listen(&address), client, server;

	fcntl(listener, F_SETFL, O_NONBLOCK);
	client = tcp_connect(&address);
	server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(server >= 0);
	assert_int_equal(fcntl(server, F_GETFL) & O_NONBLOCK, 0);
	close(server);
	close(client);
	close(listener);
}

/* Closing with unread bytes resets, and a reset can overtake the answer, or make the client forget it (Linux
 * as the client keeps what has arrived; others do not). Reading first makes it an orderly end. */
static void unread_bytes_turn_a_close_into_a_reset(void **state)
{
	for (int discard = 0; discard <= 1; discard++) {
		struct pollfd poll_in = {.events = POLLIN | POLLRDHUP};
		char bytes[64];
		int ends[2];

		tcp_pair(ends);
		send(ends[0], "question", 8, 0);
		arrived(ends[1], 8);
		send(ends[1], "answer", 6, 0);
		if (discard)
			assert_int_equal(recv(ends[1], bytes, sizeof(bytes), MSG_DONTWAIT), 8);
		close(ends[1]);
		poll_in.fd = ends[0];
		do
			assert_int_equal(poll(&poll_in, 1, LONG_WAIT), 1);
		while (!(poll_in.revents & (POLLERR | POLLRDHUP)));
		assert_int_equal(!(poll_in.revents & POLLERR), discard);
		assert_int_equal(recv(ends[0], bytes, 6, MSG_DONTWAIT), 6);
		assert_int_equal(recv(ends[0], bytes, sizeof(bytes), MSG_DONTWAIT), discard ? 0 : -1);
		close(ends[0]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(deferred_accept_waits_for_the_first_bytes),
	    cmocka_unit_test(accepted_sockets_do_not_inherit_non_blocking),
	    cmocka_unit_test(unread_bytes_turn_a_close_into_a_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
