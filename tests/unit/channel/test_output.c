#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "channel/output.h"

static void first(struct output *output, const char *bytes, int kind)
{
	assert_non_null(output->first);
	assert_int_equal(output->first->length, strlen(bytes));
	assert_memory_equal(output->first->bytes, bytes, strlen(bytes));
	assert_int_equal(output->first->kind, kind);
	output_drop_first(output);
}

static void messages_keep_their_order(void **state)
{
	struct output output;

	output_init(&output);
	output_append(&output, "one", 3, -1, 1, 0);
	output_append(&output, "two", 3, -1, 2, 0);
	output_prepend(&output, "zero", 4, -1, 0, 0);
	first(&output, "zero", 0);
	first(&output, "one", 1);
	first(&output, "two", 2);
	assert_null(output.first);
	assert_int_equal(output.weight, 0);
	output_prepend(&output, "a", 1, -1, 0, 0);
	output_append(&output, "b", 1, -1, 0, 0);
	first(&output, "a", 0);
	first(&output, "b", 0);
	output_deinit(&output);
}

static void fds_are_closed_with_their_message(void **state)
{
	struct output output;
	int sent = dup(0), left = dup(0), refused = dup(0);
	char bytes[4096] = {0};

	output_init(&output);
	output_append(&output, "x", 1, sent, 0, 0);
	output_append(&output, "y", 1, left, 0, 0);
	output_drop_first(&output);
	assert_int_equal(fcntl(sent, F_GETFD), -1);
	assert_true(fcntl(left, F_GETFD) >= 0);
	while (output_append(&output, bytes, sizeof(bytes), -1, 0, 0) == 0)
		assert_true(output.weight <= OUTPUT_MAX);
	assert_int_equal(output_append(&output, bytes, sizeof(bytes), refused, 0, 0), -ENOBUFS);
	assert_int_equal(fcntl(refused, F_GETFD), -1);
	output_deinit(&output);
	assert_int_equal(fcntl(left, F_GETFD), -1);
}

/* Empty messages are not free: their number is bounded too. */
static void small_messages_are_bounded(void **state)
{
	struct output output;
	int count = 0;

	output_init(&output);
	while (output_append(&output, "", 0, -1, 0, 0) == 0)
		count++;
	assert_int_equal(count, OUTPUT_MAX / OUTPUT_OVERHEAD);
	output_deinit(&output);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(messages_keep_their_order),
	    cmocka_unit_test(fds_are_closed_with_their_message),
	    cmocka_unit_test(small_messages_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
