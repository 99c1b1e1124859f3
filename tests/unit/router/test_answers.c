/* Tests of src/router/answers.c. */
#include "testing.h"

#include "base/clock.h"
#include "router/answers.h"

static struct answers answers;
static struct ev_loop *loop;
static struct poller_watch watch;
static int ends[2];
static unsigned read_count, awaiting, noted;
static bool quiet, acknowledges;

static void read_one(struct poller_watch *self, uint32_t events)
{
	char byte;

	assert_int_equal(recv(self->fd, &byte, 1, 0), 1);
	read_count++;
	answers.acknowledged += acknowledges;
}

static void set_quiet(struct answers *self, bool wanted)
{
	assert_ptr_equal(self, &answers);
	assert_true(wanted != quiet);
	quiet = wanted;
}

static unsigned look(struct answers *self)
{
	unsigned count = noted;

	assert_ptr_equal(self, &answers);
	noted = 0;
	return count;
}

static int set_up(void **state)
{
	loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	if (!loop || answers_init(&answers, loop, &awaiting) < 0)
		return -1;
	make_pair(SOCK_STREAM, ends);
	watch = (struct poller_watch){.callback = read_one, .fd = ends[0]};
	read_count = awaiting = noted = 0;
	quiet = false;
	acknowledges = true;
	answers.set_quiet = set_quiet;
	answers.look = look;
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
	for (unsigned i = 1; i <= 11; i++) {
		answer_and_run();
		assert_int_equal(read_count, i);
	}
	assert_false(answers.delayed);
}

/* As those of workers that start. */
static void other_messages_are_read_at_once(void **state)
{
	acknowledges = false;
	for (unsigned i = 1; i <= 1000; i++) {
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

/* As long as they are delayed, and to be looked at until then. */
static void the_delay_is_quiet(void **state)
{
	assert_false(quiet);
	make_busy();
	assert_true(quiet);
	for (int i = 0; i < 200; i++) {
		noted = 1;
		answers_glance(&answers);
		assert_int_equal(noted, 0);
	}
	assert_true(quiet && answers.delayed);
	noted = 1;
	while (noted)
		ev_run(loop, EVRUN_ONCE);
	assert_true(quiet && answers.delayed);
	while (answers.delayed)
		ev_run(loop, EVRUN_ONCE);
	assert_false(quiet);
}

/* As a listening socket's callback. */
static void glance(struct ev_loop *self, ev_io *io, int revents)
{
	answers_glance(&answers);
}

/* When new connections have come and the time is over, too, nobody has waited for that. */
static void new_connections_come_first(void **state)
{
	double end;
	ev_io io;

	make_busy();
	ev_io_init(&io, glance, ends[1], EV_WRITE); /* at any time */
	for (int i = 0; i < 50; i++) {
		answer();
		end = clock_now() + 0.003; /* the timer's is over */
		while (clock_now() < end)
			;
		ev_io_start(loop, &io);
		ev_run(loop, EVRUN_NOWAIT);
		ev_io_stop(loop, &io);
	}
	assert_int_equal(read_count, 50);
	assert_true(answers.delayed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(few_are_read_at_once, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(other_messages_are_read_at_once, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(many_are_read_along_with_others, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(nothing_to_glance_at_without_delay, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(a_delay_ends, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(clients_that_wait_for_it_end_the_delay, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(also_those_that_come_later, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(hurries, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(hurries_in_time, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(the_delay_is_quiet, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(new_connections_come_first, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
