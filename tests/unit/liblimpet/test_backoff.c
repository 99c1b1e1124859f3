#include "testing.h"

#include <stdbool.h>

#include "backoff.h"

static void test_span(void **state)
{
	int least = LIMPET_BACKOFF_MIN_MS;

	for (unsigned failed = 1; failed < 100; failed++) {
		bool differs = false;

		for (int i = 0; i < 50; i++) {
			int wait = limpet_backoff(failed);

			assert_in_range(wait, least, 2 * least);
			differs = differs || wait != limpet_backoff(failed);
		}
		assert_true(differs);
		least = 2 * least < LIMPET_BACKOFF_MAX_MS / 2 ? 2 * least : LIMPET_BACKOFF_MAX_MS / 2;
	}
	assert_int_equal(2 * least, LIMPET_BACKOFF_MAX_MS);
	assert_in_range(limpet_backoff(UINT32_MAX), least, 2 * least);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_span),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
