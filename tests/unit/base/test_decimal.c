/* Tests of src/base/decimal.h. */
#include "testing.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/decimal.h"

static void writes_what_printf_writes(void **state)
{
	uint64_t numbers[64 * 3 + 1];
	size_t count = 0;

	for (int bit = 0; bit < 64; bit++)
		for (int more = -1; more <= 1; more++)
			numbers[count++] = (UINT64_C(1) << bit) + (uint64_t)more;
	numbers[count++] = UINT64_MAX;
	for (size_t i = 0; i < count; i++) {
		char expected[DECIMAL_MAX + 1], digits[DECIMAL_MAX + 1];

		snprintf(expected, sizeof(expected), "%" PRIu64, numbers[i]);
		memset(digits, 'x', sizeof(digits));
		assert_int_equal(decimal_write(digits, numbers[i]), strlen(expected));
		assert_memory_equal(digits, expected, strlen(expected));
		assert_int_equal(digits[strlen(expected)], 'x');
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(writes_what_printf_writes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
