/* An fd that was passed on is still in the epoll set: it must be taken out before its number is closed. */
#include "tcp_pair.h"

#define LONG_WAIT 10000

/* Instead of another process: a copy of the fd keeps the open file alive as a copy in a worker does. */
static void without_del_the_worker_s_bytes_wake_the_front(void **state)
{
	int ends[2], epoll, worker;

	tcp_pair(ends);
	epoll = epoll_of(ends[1], EPOLLIN);
	worker = dup(ends[1]);
	close(ends[1]);
	send(ends[0], "x", 1, 0);
	assert_int_equal(events_of(epoll, LONG_WAIT), EPOLLIN);
	/* And it cannot be taken out any more. */
	assert_true(epoll_ctl(epoll, EPOLL_CTL_DEL, ends[1], NULL) < 0);
	close(worker);
	assert_int_equal(events_of(epoll, 0), 0);
	close(epoll);
	close(ends[0]);
}

static void with_del_they_do_not(void **state)
{
	int ends[2], epoll, worker;

	tcp_pair(ends);
	epoll = epoll_of(ends[1], EPOLLIN);
	worker = dup(ends[1]);
	assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_DEL, ends[1], NULL), 0);
	close(ends[1]);
	send(ends[0], "x", 1, 0);
	arrived(worker, 1);
	assert_int_equal(events_of(epoll, 0), 0);
	close(worker);
	close(epoll);
	close(ends[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(without_del_the_worker_s_bytes_wake_the_front),
	    cmocka_unit_test(with_del_they_do_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
