/* Tests of src/router/answers.c. */
#include "testing.h"

#include "base/clock.h"
#include "router/answers.h"

static struct answers answers;
static struct ev_loop *loop;
static struct poller_watch watch;
static int ends[2];
static unsigned read_count, awaiting;

static void read_one(struct poller_watch *self, uint32_t events)
{
	char byte;

	assert_int_equal(recv(self->fd, &byte, 1, 0), 1);
	read_count++;
}

static int set_up(void **state)
{
	loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	if (!loop || answers_init(&answers, loop, &awaiting) < 0)
		return -1;
	make_pair(SOCK_STREAM, ends);
	watch = (struct poller_watch){.callback = read_one, .fd = ends[0]};
	read_count = awaiting = 0;
	return poller_set(&answers.poller, &watch, EPOLLIN);
}

static int tear_down(void **state)
{
	poller_set(&answers.poller, &watch, 0);
	answers_deinit(&answers);
	ev_loop_destroy(loop);
	close_pair(ends);
	return 0;
}

static void answer(void)
{
	assert_int_equal(send(ends[1], "x", 1, 0), 1);
}

static void answer_and_run(void)
{
	answer();
	ev_run(loop, EVRUN_NOWAIT);
}

/* As many wake-ups as it takes; a busy machine may need more than one attempt to make them quick enough. */
static void make_busy(void)
{
	for (int i = 0; i < 1000000 && !answers.delayed; i++)
		answer_and_run();
	assert_true(answers.delayed);
	read_count = 0;
}

static void few_are_read_at_once(void **state)
{
	for (unsigned i = 1; i <= 20; i++) {
		answer_and_run();
		assert_int_equal(read_count, i);
	}
	assert_false(answers.delayed);
}

static void many_are_read_along_with_others(void **state)
{
	make_busy();
	answer();
	answers_glance(&answers);
	assert_int_equal(read_count, 1);
	assert_true(answers.delayed);
	answers_glance(&answers);
	assert_int_equal(read_count, 1);
}

static void nothing_to_glance_at_without_delay(void **state)
{
	answer();
	answers_glance(&answers);
	assert_int_equal(read_count, 0);
	ev_run(loop, EVRUN_NOWAIT);
	assert_int_equal(read_count, 1);
}

/* Nothing else wakes the router: they are read nevertheless, and when nothing comes any more, all is as before. */
static void a_delay_ends(void **state)
{
	make_busy();
	answer();
	ev_run(loop, EVRUN_ONCE);
	while (read_count == 0)
		ev_run(loop, EVRUN_ONCE);
	assert_true(answers.delayed);
	ev_run(loop, EVRUN_ONCE);
	while (answers.delayed)
		ev_run(loop, EVRUN_ONCE);
	answer_and_run();
	assert_int_equal(read_count, 2);
}

static void clients_that_wait_for_it_end_the_delay(void **state)
{
	make_busy();
	for (int i = 0; i < 1000 && answers.delayed; i++) {
		answer();
		ev_run(loop, EVRUN_ONCE);
	}
	assert_false(answers.delayed);
	/* For so long that not even these bring it back. */
	for (int i = 0; i < 100; i++)
		answer_and_run();
	assert_false(answers.delayed && clock_now() < answers.hurry_until);
}

/* However long it was of use before. */
static void also_those_that_come_later(void **state)
{
	make_busy();
	for (int i = 0; i < 5000; i++) {
		answer();
		answers_glance(&answers);
	}
	assert_true(answers.delayed);
	for (int i = 0; i < 100 && answers.delayed; i++) {
		answer();
		ev_run(loop, EVRUN_ONCE);
	}
	assert_false(answers.delayed);
}

/* Connections wait for what was not there when it was looked for. */
static void hurries(void **state)
{
	make_busy();
	awaiting = 1;
	answer();
	answers_glance(&answers);
	assert_int_equal(read_count, 1);
	assert_false(answers.delayed);
	answer_and_run();
	assert_int_equal(read_count, 2);
}

/* The same, if nothing else wakes the router. */
static void hurries_in_time(void **state)
{
	make_busy();
	awaiting = 1;
	answer();
	while (read_count == 0)
		ev_run(loop, EVRUN_ONCE);
	assert_false(answers.delayed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(few_are_read_at_once, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(many_are_read_along_with_others, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(nothing_to_glance_at_without_delay, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(a_delay_ends, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(clients_that_wait_for_it_end_the_delay, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(also_those_that_come_later, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(hurries, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(hurries_in_time, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
