/* Tests of src/channel/accept_cells.c. */
#include "testing.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "channel/accept_cells.h"
#include "channel/accept_message.h"

static struct cells *cells;
static struct accept_memory *workers; /* as the worker maps it */
static int fd;

static int set_up(void **state)
{
	cells = cells_new(&fd);
	if (!cells)
		return -1;
	workers = mmap(NULL, sizeof(*workers), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	return workers == MAP_FAILED ? -1 : 0;
}

static int tear_down(void **state)
{
	cells_free(cells);
	munmap(workers, sizeof(*workers));
	return close(fd);
}

static void note(int32_t cell, uint32_t number)
{
	atomic_store(&workers->cells[cell], number | ACCEPT_CELL_TAKEN);
}

static void only_its_own_number_counts(void **state)
{
	int32_t cell;

	assert_true(cells_take(cells, 7, &cell));
	assert_true(cells_in_use(cells));
	assert_false(cells_noted(cells, 7));
	for (uint32_t other = 0; other < 7; other++)
		note(cell, other);
	assert_false(cells_noted(cells, 7));
	atomic_store(&workers->cells[cell], 7);
	assert_false(cells_noted(cells, 7));
	note(cell, 7);
	assert_true(cells_noted(cells, 7));
	cells_release(cells, 7);
	assert_false(cells_in_use(cells));
	assert_true(cells_noted(cells, 7));
}

/* Also 0, which is what memory begins with. */
static void a_number_that_comes_again_is_not_noted(void **state)
{
	int32_t cell;

	for (uint32_t number = 0; number < 3; number++) {
		for (int i = 0; i < 3; i++) {
			assert_true(cells_take(cells, number, &cell));
			assert_false(cells_noted(cells, number));
			note(cell, number);
			assert_true(cells_noted(cells, number));
			cells_release(cells, number);
		}
	}
}

static void there_are_so_many(void **state)
{
	const uint32_t first = INT32_MAX - 20; /* numbers begin again behind INT32_MAX */
	unsigned count = 0;
	int32_t cell;

	for (uint32_t i = 0; i < 2 * ACCEPT_CELLS; i++) {
		if (!cells_take(cells, (first + i) & INT32_MAX, &cell))
			continue;
		assert_in_range(cell, 0, ACCEPT_CELLS - 1);
		count++;
	}
	assert_in_range(count, ACCEPT_CELLS - 50, ACCEPT_CELLS);
	/* One that got none gives none back. */
	assert_true(cells_in_use(cells));
	for (uint32_t i = 0; i < 2 * ACCEPT_CELLS; i++)
		cells_release(cells, (first + i) & INT32_MAX);
	assert_false(cells_in_use(cells));
	assert_true(cells_take(cells, 5, &cell));
}

/* The front would get SIGBUS. */
static void the_worker_cannot_cut_it_off(void **state)
{
	struct stat status;

	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(ftruncate(fd, 1 << 20), -1);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	assert_int_equal(fstat(fd, &status), 0);
	assert_int_equal(status.st_size, sizeof(*workers));
}

#define ROUNDS 20000

static _Atomic uint32_t under_way, messages; /* number + 1; 0: none */

/* As the library does it: notes first, then looks. */
static void *take_all(void *unused)
{
	for (uint32_t number = 0; number < ROUNDS; number++) {
		while (atomic_load(&under_way) != number + 1)
			sched_yield();
		note((int32_t)(number % ACCEPT_CELLS), number);
		if (!atomic_load(&workers->quiet))
			atomic_store(&messages, number + 1);
	}
	return NULL;
}

/* Whenever the quiet ends, what was taken is seen: it was noted before, or a message comes. */
static void the_end_of_the_quiet_loses_nothing(void **state)
{
	pthread_t worker;

	if (getenv("UNDER_VALGRIND"))
		skip(); /* one thread at a time, each for long */
	atomic_store(&under_way, 0);
	atomic_store(&messages, 0);
	assert_int_equal(pthread_create(&worker, NULL, take_all, NULL), 0);
	for (uint32_t number = 0; number < ROUNDS; number++) {
		bool noted;
		int32_t cell;

		cells_set_quiet(cells, true);
		assert_true(cells_take(cells, number, &cell));
		atomic_store(&under_way, number + 1);
		for (volatile uint32_t i = number % 300; i; i--)
			;
		cells_set_quiet(cells, false);
		noted = cells_noted(cells, number);
		while (!noted && atomic_load(&messages) != number + 1)
			sched_yield(); /* for ever, if both have looked before the other wrote: meson's time limit */
		cells_release(cells, number);
		/* The next round begins when this one's is over in the worker, too. */
		while (!cells_noted(cells, number))
			sched_yield();
	}
	assert_int_equal(pthread_join(worker, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(only_its_own_number_counts, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(a_number_that_comes_again_is_not_noted, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(there_are_so_many, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(the_worker_cannot_cut_it_off, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(the_end_of_the_quiet_loses_nothing, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
