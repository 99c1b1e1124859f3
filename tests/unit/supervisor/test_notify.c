#include "supervisor/notify.h"

#include <errno.h>
#include <sys/stat.h>

#include "manager.h"

static void test_names(void **state)
{
	static const struct {
		const char *name;
		int result;
		bool wanted;
	} cases[] = {
	    {NULL, 0, false},
	    {"", 0, false},
	    {"/run/systemd/notify", 0, true},
	    {"@abstract", 0, true},
	    {"@", -EINVAL, false},
	    {"unix:/run/x", -EINVAL, false},
	    {"vsock:2:9999", -EINVAL, false},
	    {"8080", -EINVAL, false},
	    {"relative", -EINVAL, false},
	    {"/a/path/that/is/longer/than/a/unix/socket/can/have/and/would/have/to/be/cut/which/would/name/another/socket/"
	     "than/the/one/meant",
	     -EINVAL, false},
	};
	struct notify notify;

	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_int_equal(notify_init(&notify, cases[i].name), cases[i].result);
		assert_int_equal(notify_wanted(&notify), cases[i].wanted);
	}
}

static void test_messages(void **state)
{
	struct stat sent, received;
	struct manager manager;
	struct notify notify;
	int ends[2];

	manager_open(&manager);
	assert_int_equal(notify_init(&notify, manager.name), 0);
	assert_int_equal(notify_send(&notify, -1, "READY=1\nMAINPID=%d", 7), 0);
	assert_string_equal(manager_read(&manager), "READY=1\nMAINPID=7");
	assert_int_equal(manager.received, -1);

	assert_int_equal(pipe(ends), 0);
	assert_int_equal(notify_send(&notify, ends[0], "FDSTORE=1"), 0);
	assert_string_equal(manager_read(&manager), "FDSTORE=1");
	assert_int_equal(fstat(ends[0], &sent), 0);
	assert_int_equal(fstat(manager.received, &received), 0);
	assert_int_equal(sent.st_ino, received.st_ino);

	close(ends[0]);
	close(ends[1]);
	manager_close(&manager);
}

static void test_nobody_wants_messages(void **state)
{
	struct notify notify;

	notify_init(&notify, NULL);
	assert_int_equal(notify_send(&notify, -1, "READY=1"), 0);
}

static void test_message_that_is_too_long(void **state)
{
	struct manager manager;
	struct notify notify;

	manager_open(&manager);
	notify_init(&notify, manager.name);
	assert_int_equal(notify_send(&notify, -1, "STATUS=%*s", NOTIFY_MESSAGE_MAX, "x"), -EMSGSIZE);
	assert_string_equal(manager_read(&manager), "");
	manager_close(&manager);
}

static void test_manager_that_is_gone_and_comes_back(void **state)
{
	struct manager manager;
	struct notify notify;

	manager_open(&manager);
	notify_init(&notify, manager.name);
	manager_close(&manager);
	assert_int_equal(notify_send(&notify, -1, "READY=1"), -ECONNREFUSED);
	assert_true(notify.failing);
	manager_open(&manager);
	assert_int_equal(notify_send(&notify, -1, "READY=1"), 0);
	assert_false(notify.failing);
	assert_string_equal(manager_read(&manager), "READY=1");
	manager_close(&manager);
}

/* Bounded, and only once. */
static void test_manager_that_does_not_read(void **state)
{
	struct manager manager;
	struct notify notify;
	int sent = 0;

	manager_open(&manager);
	notify_init(&notify, manager.name);
	while (sent < 100000 && notify_send(&notify, -1, "STATUS=%d", sent) == 0)
		sent++;
	assert_in_range(sent, 1, 99999);
	assert_true(notify.failing);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(notify_send(&notify, -1, "STATUS=later"), -EAGAIN);
	assert_string_equal(manager_read(&manager), "STATUS=0");
	assert_int_equal(notify_send(&notify, -1, "STATUS=now"), 0);
	manager_close(&manager);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_names),
	    cmocka_unit_test(test_messages),
	    cmocka_unit_test(test_nobody_wants_messages),
	    cmocka_unit_test(test_message_that_is_too_long),
	    cmocka_unit_test(test_manager_that_is_gone_and_comes_back),
	    cmocka_unit_test(test_manager_that_does_not_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
