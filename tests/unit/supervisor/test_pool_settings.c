/* Tests of src/supervisor/pool_settings.c: what asks for other workers, and what does not. */
#include "testing.h"

#include "supervisor/pool_settings.h"

#define TEXT(text) ((char *)(text))

static char *command[] = {TEXT("node"), TEXT("server.js"), NULL};
static char *joined[] = {TEXT("nodeserver.js"), NULL};
static char *variables[] = {TEXT("A=1"), TEXT("B=2"), NULL};
static char *nothing[] = {NULL};

static const struct pool_config plain = {.command = command};

static const struct pool_config others[] = {
    {.command = joined},
    {.command = command, .environment = variables},
    {.command = command, .directory = TEXT("/")},
    {.command = command, .directory = TEXT("")},
    {.command = command, .user = TEXT("somebody")},
    {.command = command, .group = TEXT("somebody")},
    {.command = command, .umask = {true, 0}},
    {.command = command, .limit_nofile = {true, 1024}},
    {.command = command, .limit_processes = {true, 1024}},
    {.command = command, .limit_memory = {true, 1024}},
    {.command = command, .limit_core = {true, 0}},
    {.command = command, .accept = ACCEPT_BY_PRELOAD},
    {.command = command, .accept = ACCEPT_BY_SECCOMP},
};

/* Over a reload, and over an upgrade. */
static bool outdate(const struct pool_config *old, const struct pool_config *new)
{
	json_t *described = pool_settings_describe(old);
	bool result = pool_settings_outdate(old, new);

	assert_non_null(described);
	assert_int_equal(pool_settings_outdate_described(described, new), result);
	json_decref(described);
	return result;
}

static void every_setting_of_the_process_counts(void **state)
{
	for (size_t i = 0; i < COUNT(others); i++) {
		if (!outdate(&plain, &others[i]) || !outdate(&others[i], &plain) || outdate(&others[i], &others[i]))
			fail_msg("row %zu", i);
		for (size_t j = 0; j < i; j++)
			if (!outdate(&others[i], &others[j]))
				fail_msg("rows %zu and %zu", i, j);
	}
}

static void what_is_no_setting_of_the_process_does_not(void **state)
{
	const struct pool_config same[] = {
	    {.command = command, .environment = nothing},
	    {.command = command, .drain_timeout = 1, .window = 2, .hold = 3, .protocol = PROTOCOL_ACCEPT},
	    {.command = command, .umask = {false, 022}},
	    {.command = command, .has_listeners = true},
	};

	for (size_t i = 0; i < COUNT(same); i++)
		if (outdate(&plain, &same[i]))
			fail_msg("row %zu", i);
	/* But not the other way round: its workers have no socket of their own. */
	assert_true(outdate(&same[3], &plain));
}

static void a_state_without_a_setting_is_no_reason(void **state)
{
	json_t *described = pool_settings_describe(&plain), *settings = json_object_get(described, "settings");

	json_object_set_new(settings, "a setting of another version", json_string("0"));
	json_object_del(settings, "directory");
	assert_false(pool_settings_outdate_described(described, &plain));
	assert_false(pool_settings_outdate_described(described, &others[2]));
	json_object_set_new(settings, "command", json_integer(7));
	assert_false(pool_settings_outdate_described(described, &plain));
	assert_false(pool_settings_outdate_described(NULL, &plain));
	json_decref(described);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_setting_of_the_process_counts),
	    cmocka_unit_test(what_is_no_setting_of_the_process_does_not),
	    cmocka_unit_test(a_state_without_a_setting_is_no_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
