/* Tests of src/stats/stats.c and of the table of counters. */
#include "testing.h"

#include <ctype.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stats/stats.h"

static struct stats *make(void)
{
	int fd;
	struct stats *stats = stats_new(&fd);

	assert_true(fd >= 0);
	close(fd);
	return stats;
}

/* What the binary after an upgrade does. */
static void goes_on_in_another_mapping(void **state)
{
	char path[] = "/tmp/limpet-test-XXXXXX";
	int fd, other = mkstemp(path);
	struct stats *stats = stats_new(&fd), *attached;

	assert_non_null(stats);
	stats_add(stats, COUNTER_accepted, 5);
	attached = stats_attach(fd);
	assert_non_null(attached);
	assert_int_equal(stats_get(attached, COUNTER_accepted), 5);
	stats_add(attached, COUNTER_accepted, 1);
	assert_int_equal(stats_get(stats, COUNTER_accepted), 6);
	stats_free(attached);

	/* Other memory, and memory with another layout. */
	assert_true(other >= 0);
	assert_null(stats_attach(other));
	assert_int_equal(ftruncate(other, sizeof(struct stats)), 0);
	assert_null(stats_attach(other));
	stats->layout++;
	assert_null(stats_attach(fd));
	stats_free(stats);
	unlink(path);
	close(other);
	close(fd);
}

static void starts_at_zero(void **state)
{
	struct stats *stats = make();

	assert_non_null(stats);
	for (int i = 0; i < COUNTER_COUNT; i++)
		assert_int_equal(stats_get(stats, (enum counter)i), 0);
	for (size_t i = 0; i < STATS_SLOTS_MAX; i += STATS_SLOTS_MAX / 16) {
		struct slot_stats zero = {0};

		assert_memory_equal(&stats->slots[i], &zero, sizeof(zero));
	}
	stats_free(stats);
	stats_free(NULL);
}

static void counts_what_another_process_adds(void **state)
{
	struct stats *stats = make();
	int status;
	pid_t pid;

	assert_non_null(stats);
	stats_add(stats, COUNTER_accepted, 5);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		stats_add(stats, COUNTER_accepted, 7);
		stats->slots[0].waiting = 3;
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(stats_get(stats, COUNTER_accepted), 12);
	assert_int_equal(stats_get(stats, COUNTER_handed_off), 0);
	assert_int_equal(stats->slots[0].waiting, 3);
	stats_free(stats);
}

/* Two routers write during a succession: no addition is lost. */
static void additions_at_the_same_time_are_not_lost(void **state)
{
	enum { WRITERS = 3, TIMES = 200000 };
	struct stats *stats = make();
	pid_t pids[WRITERS];

	assert_non_null(stats);
	for (int i = 0; i < WRITERS; i++) {
		pids[i] = fork();
		assert_true(pids[i] >= 0);
		if (pids[i] == 0) {
			for (int n = 0; n < TIMES; n++)
				stats_add(stats, COUNTER_wakeups, 1);
			_exit(0);
		}
	}
	for (int i = 0; i < WRITERS; i++)
		assert_int_equal(waitpid(pids[i], NULL, 0), pids[i]);
	assert_int_equal(stats_get(stats, COUNTER_wakeups), WRITERS * TIMES);
	stats_free(stats);
}

static void slots_are_taken_and_given_back(void **state)
{
	struct stats *stats = make();
	struct slot_stats *first, *second;

	assert_non_null(stats);
	first = stats_take_slot(stats);
	second = stats_take_slot(stats);
	assert_non_null(second);
	assert_ptr_not_equal(first, second);
	first->handed_off = 5;
	stats_release_slot(first);
	stats_release_slot(NULL);
	first = stats_take_slot(stats);
	assert_int_equal(first->handed_off, 0); /* what another slot left is not seen */
	for (int i = 2; i < STATS_SLOTS_MAX; i++)
		stats->slots[i].used = 1;
	assert_null(stats_take_slot(stats));
	stats_release_slot(second);
	assert_ptr_equal(stats_take_slot(stats), second);
	stats_free(stats);
}

static void every_counter_has_a_name_and_a_help_of_its_own(void **state)
{
	for (int i = 0; i < COUNTER_COUNT; i++) {
		const struct counter_description *description = &counter_descriptions[i];

		assert_true(strlen(description->name) > 0);
		for (const char *c = description->name; *c; c++)
			assert_true(islower((unsigned char)*c) || isdigit((unsigned char)*c) || *c == '_');
		assert_true(strlen(description->help) > 0);
		assert_non_null(description->remedy);
		for (int j = 0; j < i; j++)
			assert_string_not_equal(description->name, counter_descriptions[j].name);
	}
	assert_string_equal(counter_descriptions[COUNTER_head_tls].name, "head_tls");
}

static void every_state_has_a_name(void **state)
{
	for (int i = SLOT_STOPPED; i <= SLOT_BACKOFF; i++) {
		assert_string_not_equal(slot_state_name((enum slot_state)i), "unknown");
		for (int j = 0; j < i; j++)
			assert_string_not_equal(
			    slot_state_name((enum slot_state)i), slot_state_name((enum slot_state)j));
	}
	/* A value that another version wrote. */
	assert_string_equal(slot_state_name((enum slot_state)(SLOT_BACKOFF + 77)), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(starts_at_zero),
	    cmocka_unit_test(goes_on_in_another_mapping),
	    cmocka_unit_test(counts_what_another_process_adds),
	    cmocka_unit_test(additions_at_the_same_time_are_not_lost),
	    cmocka_unit_test(slots_are_taken_and_given_back),
	    cmocka_unit_test(every_counter_has_a_name_and_a_help_of_its_own),
	    cmocka_unit_test(every_state_has_a_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
