#include "supervisor/file_limit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void test_raised_and_remembered(void **state)
{
	struct rlimit before, low, original, after;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	low = (struct rlimit){64, before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	file_limit_raise(&original);
	assert_int_equal(original.rlim_cur, 64);
	assert_int_equal(original.rlim_max, before.rlim_max);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &after), 0);
	assert_int_equal(after.rlim_cur, before.rlim_max);
	setrlimit(RLIMIT_NOFILE, &before);
}

static void test_each_bound_counts(void **state)
{
	struct pool_config pool = {.slots_count = 4, .window = 64, .has_listeners = true};
	struct listener_config listener = {.has_address = true, .pool = &pool, .max_waiting = 10000};
	struct config config = {.listeners = &listener, .listeners_count = 1, .pools = &pool, .pools_count = 1};
	uint64_t files = file_limit_needed(&config);

	assert_in_range(files, 10000 + 4 * 64, 10000 + 4 * 64 + 2000);
	listener.max_waiting += 5;
	assert_int_equal(file_limit_needed(&config), files += 5);
	pool.window += 1;
	assert_int_equal(file_limit_needed(&config), files += 4);
	pool.slots_count += 1;
	assert_true(file_limit_needed(&config) > files + pool.window);
}

/* Their workers' addresses have bounds, too. */
static void test_pools_without_a_listener(void **state)
{
	struct listener_config listener = {.max_waiting = 70};
	struct pool_config pool = {.slots_count = 1, .window = 1, .worker_listener = &listener};
	struct config config = {.pools = &pool, .pools_count = 1};
	uint64_t files = file_limit_needed(&config);

	listener.max_waiting = 80;
	assert_int_equal(file_limit_needed(&config), files + 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_raised_and_remembered),
	    cmocka_unit_test(test_each_bound_counts), cmocka_unit_test(test_pools_without_a_listener)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
