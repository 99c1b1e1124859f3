/* Tests of src/router/poller.c. */
#include "testing.h"

#include "router/poller.h"

#define WATCHES 6

static struct poller poller;
static struct ev_loop *loop;

struct watched {
	struct poller_watch watch;
	int ends[2];
	unsigned called;
	uint32_t events;
};

static struct watched watched[WATCHES];

static void note(struct poller_watch *watch, uint32_t events)
{
	struct watched *self = (struct watched *)watch;

	self->called++;
	self->events |= events;
}

static int set_up(void **state)
{
	memset(watched, 0, sizeof(watched));
	loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	if (!loop || poller_init(&poller, loop) < 0)
		return -1;
	for (int i = 0; i < WATCHES; i++) {
		make_pair(SOCK_STREAM, watched[i].ends);
		watched[i].watch.fd = watched[i].ends[0];
		watched[i].watch.callback = note;
	}
	return 0;
}

static int tear_down(void **state)
{
	poller_deinit(&poller);
	ev_loop_destroy(loop);
	for (int i = 0; i < WATCHES; i++)
		close_pair(watched[i].ends);
	return 0;
}

static void make_readable(int i)
{
	assert_int_equal(send(watched[i].ends[1], "x", 1, 0), 1);
}

/* One round of the loop; there is always something to be seen, or it would wait. */
static void run(void)
{
	ev_run(loop, EVRUN_NOWAIT);
}

static void calls_back_with_what_happened(void **state)
{
	assert_int_equal(poller_set(&poller, &watched[0].watch, EPOLLIN), 0);
	assert_int_equal(poller_set(&poller, &watched[1].watch, EPOLLIN | EPOLLOUT), 0);
	run();
	assert_int_equal(watched[0].called, 0);
	assert_int_equal(watched[1].events, EPOLLOUT);
	make_readable(0);
	run();
	assert_int_equal(watched[0].called, 1);
	assert_int_equal(watched[0].events, EPOLLIN);
	run(); /* level-triggered: nobody has read it */
	assert_int_equal(watched[0].called, 2);
}

static void changes_what_is_watched(void **state)
{
	assert_int_equal(poller_set(&poller, &watched[0].watch, EPOLLIN), 0);
	assert_int_equal(poller_set(&poller, &watched[0].watch, EPOLLIN), 0);
	assert_int_equal(poller_set(&poller, &watched[0].watch, EPOLLOUT), 0);
	make_readable(0);
	run();
	assert_int_equal(watched[0].events, EPOLLOUT);
	assert_int_equal(poller_set(&poller, &watched[0].watch, 0), 0);
	assert_int_equal(poller_set(&poller, &watched[0].watch, 0), 0);
	run();
	assert_int_equal(watched[0].called, 1);
	assert_int_equal(poller_set(&poller, &watched[0].watch, EPOLLIN), 0);
	run();
	assert_int_equal(watched[0].called, 2);
	assert_int_equal(watched[0].events, EPOLLIN | EPOLLOUT);
}

static void take_all_out(struct poller_watch *watch, uint32_t events)
{
	note(watch, events);
	for (int i = 0; i < WATCHES; i++) {
		poller_set(&poller, &watched[i].watch, 0);
		if (&watched[i].watch != watch)
			memset(&watched[i].watch, 0xaa, sizeof(watched[i].watch)); /* as if it were freed */
	}
}

static void a_callback_may_end_all_others_of_its_batch(void **state)
{
	unsigned called = 0;

	for (int i = 0; i < WATCHES; i++) {
		watched[i].watch.callback = take_all_out;
		assert_int_equal(poller_set(&poller, &watched[i].watch, EPOLLIN), 0);
		make_readable(i);
	}
	run();
	for (int i = 0; i < WATCHES; i++)
		called += watched[i].called;
	assert_int_equal(called, 1);
	run();
}

static void take_out_and_in(struct poller_watch *watch, uint32_t events)
{
	note(watch, events);
	for (int i = 0; i < WATCHES; i++) {
		poller_set(&poller, &watched[i].watch, 0);
		watched[i].watch.callback = note;
		poller_set(&poller, &watched[i].watch, EPOLLIN);
	}
}

/* A place that is used anew within a batch does not get what was meant for its former holder. */
static void an_event_of_before_does_not_reach_the_next_user_of_a_watch(void **state)
{
	unsigned called = 0;

	for (int i = 0; i < WATCHES; i++) {
		watched[i].watch.callback = take_out_and_in;
		assert_int_equal(poller_set(&poller, &watched[i].watch, EPOLLIN), 0);
		make_readable(i);
	}
	run();
	for (int i = 0; i < WATCHES; i++)
		called += watched[i].called;
	assert_int_equal(called, 1);
	run();
	for (int i = 0; i < WATCHES; i++)
		assert_true(watched[i].called >= 1);
}

static void what_cannot_be_watched_is_an_error(void **state)
{
	struct poller_watch watch = {.fd = -1, .callback = note};

	assert_true(poller_set(&poller, &watch, EPOLLIN) < 0);
	assert_int_equal(watch.events, 0);
	assert_int_equal(poller_set(&poller, &watch, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(calls_back_with_what_happened, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(changes_what_is_watched, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(a_callback_may_end_all_others_of_its_batch, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(
	        an_event_of_before_does_not_reach_the_next_user_of_a_watch, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(what_cannot_be_watched_is_an_error, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
