/* Tests of src/supervisor/backoff.c. */
#include "testing.h"

#include <limits.h>

#include "supervisor/backoff.h"

#define ALMOST_1 0.9999999

static void assert_about(double value, double expected)
{
	assert_float_equal((float)value, (float)expected, 0.001f);
}

static void doubles_with_each_failure(void **state)
{
	static const double middle[] = {0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8};

	for (unsigned i = 0; i < COUNT(middle); i++) {
		assert_about(backoff_delay(i + 1, 0.5), middle[i]);
		assert_about(backoff_delay(i + 1, 0.0), middle[i] * 0.75);
		assert_about(backoff_delay(i + 1, ALMOST_1), middle[i] * 1.25);
	}
}

static void is_bounded(void **state)
{
	static const unsigned failures[] = {9, 10, 11, 100, 1000000, UINT_MAX};

	for (unsigned i = 0; i < COUNT(failures); i++) {
		for (double random = 0; random < 1; random += 0.125) {
			double delay = backoff_delay(failures[i], random);

			assert_true(delay >= 0.75 * 25.6 - 0.001);
			assert_true(delay <= BACKOFF_MOST);
		}
	}
	/* Before there was any: as the first. */
	assert_about(backoff_delay(0, 0.5), BACKOFF_FIRST);
}

static void is_never_so_short_that_workers_storm(void **state)
{
	double sum = 0;

	/* Ten failures in a row take at least this long, whatever the dice say. */
	for (unsigned failure = 1; failure <= 10; failure++)
		sum += backoff_delay(failure, 0.0);
	assert_true(sum > 50);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(doubles_with_each_failure),
	    cmocka_unit_test(is_bounded),
	    cmocka_unit_test(is_never_so_short_that_workers_storm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
