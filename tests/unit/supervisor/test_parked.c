/* Tests of src/supervisor/parked.c. */
#include "testing.h"

#include <fcntl.h>
#include <errno.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "supervisor/parked.h"

static int open_files(void)
{
	int count = 0;

	for (int fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static void add(struct parked **set, uint64_t number, const char *pool, uint64_t hash)
{
	struct link_message message;
	int fd = open("/dev/null", O_RDONLY);

	link_message_init(&message, LINK_PARK);
	message.request = number;
	message.hash = hash;
	strcpy(message.key, pool);
	assert_int_equal(parked_add(set, &message, fd), 0);
	close(fd);
}

struct told {
	unsigned count;
	uint64_t numbers, hashes;
};

static void note(void *owner, const struct link_message *message, int fd)
{
	struct told *told = owner;
	struct stat about;

	assert_int_equal(message->type, LINK_PARKED);
	assert_string_equal(message->key, "chat");
	assert_int_equal(fstat(fd, &about), 0);
	told->count++;
	told->numbers += message->request;
	told->hashes += message->hash;
}

static void assert_has(const struct parked *set, unsigned count, uint64_t numbers, uint64_t hashes)
{
	struct told told = {0};

	parked_each(set, note, &told);
	assert_int_equal(told.count, count);
	assert_int_equal(told.numbers, numbers);
	assert_int_equal(told.hashes, hashes);
}

static void keeps_until_told_otherwise(void **state)
{
	int before = open_files();
	struct parked *set = NULL;

	add(&set, 1, "chat", 10);
	add(&set, 2, "chat", 20);
	add(&set, UINT64_C(1) << 40, "chat", 30);
	assert_has(set, 3, 3 + (UINT64_C(1) << 40), 60);
	parked_remove(&set, UINT64_C(1) << 40);
	parked_remove(&set, 7);
	assert_has(set, 2, 3, 30);
	add(&set, 2, "chat", 25);
	assert_has(set, 2, 3, 35);
	assert_int_equal(open_files(), before + 2);
	parked_free(&set);
	assert_null(set);
	parked_remove(&set, 1);
	assert_int_equal(open_files(), before);
}

static void goes_to_another_set(void **state)
{
	int before = open_files();
	struct parked *from = NULL, *to = NULL;

	parked_move(&from, &to);
	assert_null(to);
	add(&from, 1, "chat", 10);
	parked_move(&from, &to);
	assert_null(from);
	add(&from, 1, "chat", 15);
	add(&from, 2, "chat", 20);
	parked_move(&from, &to);
	assert_null(from);
	assert_has(to, 2, 3, 35);
	parked_free(&to);
	assert_int_equal(open_files(), before);
}

static void refuses_what_it_cannot_keep(void **state)
{
	int before = open_files();
	struct parked *set = NULL;
	struct link_message message;
	struct rlimit files, few;

	link_message_init(&message, LINK_PARK);
	assert_int_equal(parked_add(&set, &message, -1), -EINVAL);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
	few = files;
	few.rlim_cur = 1;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	assert_int_equal(parked_add(&set, &message, 0), -EMFILE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
	assert_null(set);
	assert_int_equal(open_files(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(keeps_until_told_otherwise),
	    cmocka_unit_test(goes_to_another_set),
	    cmocka_unit_test(refuses_what_it_cannot_keep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
