#include <errno.h>
#include <stdlib.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "channel/pending.h"

static void numbers_rise_while_answers_come_in_order(void **state)
{
	struct pending pending;
	uint32_t id = 0;

	assert_int_equal(pending_init(&pending, 4, 1000), 0);
	for (uint32_t i = 0; i < 100; i++) {
		assert_int_equal(pending_next_seq(&pending), 1000 + i);
		assert_int_equal(pending_add(&pending, i * 7), 1000 + i);
		assert_true(pending_remove(&pending, 1000 + i, &id));
		assert_int_equal(id, i * 7);
	}
	pending_deinit(&pending);
}

static void answers_are_taken_once(void **state)
{
	struct pending pending;
	uint32_t id = 0, first, second;

	pending_init(&pending, 3, 5);
	first = pending_add(&pending, 11);
	second = pending_add(&pending, 22);
	assert_false(pending_find(&pending, second + 1, NULL));
	assert_false(pending_find(&pending, (uint64_t)first + 0x100000000u, NULL));
	assert_true(pending_find(&pending, first, &id));
	assert_int_equal(id, 11);
	assert_true(pending_remove(&pending, second, &id));
	assert_int_equal(id, 22);
	assert_false(pending_remove(&pending, second, &id));
	assert_int_equal(pending.count, 1);
	pending_deinit(&pending);
}

static void the_window_bounds_it(void **state)
{
	static const unsigned windows[] = {1, 2, 3, 64, 1000, 65535};

	for (size_t i = 0; i < sizeof(windows) / sizeof(windows[0]); i++) {
		struct pending pending;
		uint32_t seq = 0;

		assert_int_equal(pending_init(&pending, windows[i], 0x7ffffff0), 0);
		for (unsigned n = 0; n < windows[i]; n++) {
			assert_false(pending_full(&pending));
			seq = pending_add(&pending, n);
			assert_true(seq < 0x80000000u);
		}
		assert_true(pending_full(&pending));
		assert_true(pending_remove(&pending, seq, NULL));
		assert_false(pending_full(&pending));
		pending_deinit(&pending);
	}
}

static void numbers_wrap_at_31_bits(void **state)
{
	struct pending pending;

	pending_init(&pending, 8, 0x7ffffffe);
	assert_int_equal(pending_add(&pending, 1), 0x7ffffffe);
	assert_int_equal(pending_add(&pending, 2), 0x7fffffff);
	assert_int_equal(pending_add(&pending, 3), 0);
	assert_int_equal(pending_add(&pending, 4), 1);
	assert_true(pending_remove(&pending, 0, NULL));
	assert_true(pending_remove(&pending, 0x7fffffff, NULL));
	pending_deinit(&pending);
}

/* One that is never answered does not stop the others, and no number in use is given again. */
static void answers_in_any_order(void **state)
{
	struct pending pending;
	uint32_t seqs[16], ids[16], id, previous = 0;
	size_t cursor, count = 0;

	srandom(1);
	pending_init(&pending, 16, 77);
	for (uint32_t round = 0; round < 10000; round++) {
		if (!pending_full(&pending) && random() % 2) {
			ids[count] = round;
			seqs[count] = pending_add(&pending, round);
			for (size_t i = 0; i < count; i++)
				assert_int_not_equal(seqs[i], seqs[count]);
			count++;
		} else if (count > 1) {
			/* The first stays for ever. */
			size_t at = 1 + (size_t)random() % (count - 1);

			assert_true(pending_remove(&pending, seqs[at], &id));
			assert_int_equal(id, ids[at]);
			count--;
			seqs[at] = seqs[count];
			ids[at] = ids[count];
		}
		assert_int_equal(pending.count, count);
	}
	/* Listed in the order sent: the ids are the rounds. */
	cursor = 0;
	for (size_t i = 0; i < count; i++, previous = id) {
		assert_true(pending_next(&pending, &cursor, &id));
		if (i)
			assert_true(id > previous);
	}
	assert_false(pending_next(&pending, &cursor, &id));
	assert_true(pending_oldest(&pending, &id));
	assert_int_equal(id, seqs[0]);
	pending_deinit(&pending);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(numbers_rise_while_answers_come_in_order),
	    cmocka_unit_test(answers_are_taken_once),
	    cmocka_unit_test(the_window_bounds_it),
	    cmocka_unit_test(numbers_wrap_at_31_bits),
	    cmocka_unit_test(answers_in_any_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
