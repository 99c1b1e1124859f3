/* What was sent over a Unix socket and can still be taken at the other end: when a channel's end means that nobody has it. */
#include "testing.h"

#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int unread(int fd)
{
	int bytes = -1;

	assert_int_equal(ioctl(fd, SIOCOUTQ, &bytes), 0);
	return bytes;
}

static const int types[] = {SOCK_STREAM, SOCK_SEQPACKET};

static void open_pair(int ends[2], int type)
{
	assert_int_equal(socketpair(AF_UNIX, type | SOCK_NONBLOCK, 0, ends), 0);
	assert_int_equal(unread(ends[0]), 0);
	assert_int_equal(send(ends[0], "hand-off", 8, 0), 8);
	assert_true(unread(ends[0]) > 0);
}

static void what_is_taken_is_not_counted(void **state)
{
	char bytes[16];
	int ends[2];

	for (size_t i = 0; i < 2; i++) {
		open_pair(ends, types[i]);
		assert_int_equal(recv(ends[1], bytes, sizeof(bytes), MSG_PEEK), 8);
		assert_true(unread(ends[0]) > 0);
		assert_int_equal(recv(ends[1], bytes, sizeof(bytes), 0), 8);
		assert_int_equal(unread(ends[0]), 0);
		close(ends[0]);
		close(ends[1]);
	}
}

static void a_closed_end_has_nothing(void **state)
{
	char bytes[16];
	int ends[2], copy;

	for (size_t i = 0; i < 2; i++) {
		open_pair(ends, types[i]);
		copy = dup(ends[1]);
		close(ends[1]);
		assert_true(unread(ends[0]) > 0); /* another process may have it */
		close(copy);
		assert_int_equal(unread(ends[0]), 0);
		assert_int_equal(recv(ends[0], bytes, sizeof(bytes), 0), -1);
		assert_int_equal(errno, ECONNRESET);
		assert_int_equal(recv(ends[0], bytes, sizeof(bytes), 0), 0);
		close(ends[0]);
	}
}

/* The end of the stream alone, even EPOLLHUP, does not say that nobody can take it. */
static void an_end_that_is_shut_down_can_still_be_read(void **state)
{
	static const int how[] = {SHUT_WR, SHUT_RDWR};
	char bytes[16];
	int ends[2];

	for (size_t i = 0; i < 4; i++) {
		struct pollfd poll_fd = {.events = POLLIN | POLLRDHUP};

		open_pair(ends, types[i % 2]);
		assert_int_equal(shutdown(ends[1], how[i / 2]), 0);
		assert_int_equal(recv(ends[0], bytes, sizeof(bytes), 0), 0);
		poll_fd.fd = ends[0];
		assert_int_equal(poll(&poll_fd, 1, 0), 1);
		assert_int_equal(!!(poll_fd.revents & POLLHUP), how[i / 2] == SHUT_RDWR);
		assert_true(unread(ends[0]) > 0);
		assert_int_equal(recv(ends[1], bytes, sizeof(bytes), 0), 8);
		assert_int_equal(unread(ends[0]), 0);
		close(ends[0]);
		close(ends[1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_taken_is_not_counted),
	    cmocka_unit_test(a_closed_end_has_nothing),
	    cmocka_unit_test(an_end_that_is_shut_down_can_still_be_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
