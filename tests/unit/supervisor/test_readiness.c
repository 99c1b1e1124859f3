/* When limpet counts as ready is tested with a whole limpet: tests/integration/test_systemd.py */
#include "supervisor/readiness.h"

#include "manager.h"

static void test_watchdog_interval(void **state)
{
	static const struct {
		const char *usec;
		const char *pid; /* "self": ours */
		double seconds;
	} cases[] = {
	    {NULL, NULL, 0},
	    {"30000000", NULL, 15},
	    {"30000000", "", 15},
	    {"30000000", "self", 15},
	    {"30000000", "1", 0},
	    {"1", NULL, 0.0000005},
	    {"0", NULL, 0},
	    {"", NULL, 0},
	    {"-5", NULL, 0},
	    {"5s", NULL, 0},
	    {" 5", NULL, 0},
	};
	char self[16];

	snprintf(self, sizeof(self), "%ld", (long)getpid());
	for (size_t i = 0; i < COUNT(cases); i++) {
		const char *pid = cases[i].pid && strcmp(cases[i].pid, "self") == 0 ? self : cases[i].pid;
		double seconds = readiness_watchdog_interval(cases[i].usec, pid);

		assert_true(seconds > cases[i].seconds - 1e-9 && seconds < cases[i].seconds + 1e-9);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_watchdog_interval),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
