#include "loading.h"

#include <sched.h>

static const struct bad_text bad[] = {
    {POOL("\"workers\": 0"), "2:12: pools.p.workers: must be a whole number, 1 to 1024, or \"auto\""},
    {POOL("\"workers\": 1025"), "2:12: pools.p.workers: must be a whole number, 1 to 1024, or \"auto\""},
    {POOL("\"workers\": -1"), "2:12: pools.p.workers: must be a whole number, 1 to 1024, or \"auto\""},
    {POOL("\"workers\": \"4\""), "2:12: pools.p.workers: must be a whole number, 1 to 1024, or \"auto\""},
    {POOL("\"workers\": 1.5"), "2:12: pools.p.workers: must be a whole number, 1 to 1024, or \"auto\""},
    {POOL("\"workers\": 2, \"weights\": [1, 2]"),
        "2:26: pools.p.weights: must be an object of numbers by slot name such as {\"0\": 2}, not a list"},
    {POOL("\"workers\": 2, \"weights\": {\"2\": 1, \"00\": 1, \"-1\": 1, \" 1\": 1, \"\": 1, \"x\": 1}"),
        "2:27: pools.p.weights.2: there is no such slot; this pool has \"0\" to \"1\"\n"
        "2:35: pools.p.weights.00: there is no such slot; this pool has \"0\" to \"1\"\n"
        "2:44: pools.p.weights.-1: there is no such slot; this pool has \"0\" to \"1\"\n"
        "2:53: pools.p.weights. 1: there is no such slot; this pool has \"0\" to \"1\"\n"
        "2:62: pools.p.weights.: there is no such slot; this pool has \"0\" to \"1\"\n"
        "2:69: pools.p.weights.x: there is no such slot; this pool has \"0\" to \"1\""},
    {POOL("\"workers\": 2, \"weights\": {\"0\": 1001, \"1\": \"1\"}"),
        "2:32: pools.p.weights.0: must be 0 to 1000\n"
        "2:43: pools.p.weights.1: must be a number, not the string \"1\""},
    {POOL("\"workers\": 2, \"weights\": {\"0\": 0, \"1\": 0}"),
        "2:26: pools.p.weights: all slots have weight 0, so that no worker would get a client"},
    {POOL("\"workers\": 1, \"slots\": 0"),
        "2:24: pools.p.slots: must be a whole number, 1 to 1024, or a list of names"},
    {POOL("\"workers\": 1, \"slots\": {\"a\": 1}"),
        "2:24: pools.p.slots: must be a whole number, 1 to 1024, or a list of names"},
    {POOL("\"workers\": 1, \"slots\": []"), "2:24: pools.p.slots: has 0 names; it must have 1 to 1024"},
    {POOL("\"slots\": [\"a\", \"a\", 7, \"b c\", \"\"]"),
        "2:16: pools.p.slots[1]: \"a\" is there twice\n"
        "2:21: pools.p.slots[2]: must be a string, the name of a slot, not a number\n"
        "2:24: pools.p.slots[3]: a name has 1 to 64 characters: letters, digits, '.', '_' and '-'\n"
        "2:31: pools.p.slots[4]: a name has 1 to 64 characters: letters, digits, '.', '_' and '-'"},
    {POOL("\"workers\": 3, \"slots\": 2"), "2:12: pools.p.workers: is more than there are slots (2)"},
    {POOL("\"workers\": 1, \"slots\": 3"),
        "2:24: pools.p.slots: 2 slots would be empty: \"workers\" is 1, and without \"socket\" nobody else can join"},
    {POOL("\"workers\": 1, \"socket\": \"@s\""),
        "2:15: pools.p.socket: no slot is left for external workers: give \"slots\", more than \"workers\""},
    {POOL("\"workers\": 2, \"socket\": \"@s\", \"slots\": [\"a\", \"b\"]"),
        "2:15: pools.p.socket: no slot is left for external workers: give \"slots\", more than \"workers\""},
    {POOL("\"workers\": 0, \"socket\": \"@s\""),
        "1:15: pools.p: lacks the key \"slots\": how many external workers may join, or a list of names for them"},
    {POOL("\"socket\": \"@s\", \"slots\": 2"),
        "1:15: pools.p: lacks the key \"workers\": how many of the slots are for workers that limpet starts; the others "
        "are for external ones"},
    {POOL("\"workers\": 1, \"slots\": 2, \"socket\": \"run/s\""),
        "2:37: pools.p.socket: must be an absolute path, or \"@\" and a name"},
    {POOL("\"workers\": 1, \"slots\": 2, \"socket\": \"@s\", \"socket_mode\": \"0666\""),
        "2:58: pools.p.socket_mode: may have no bits but those of \"0660\""},
    {POOL("\"workers\": 1, \"slots\": 2, \"socket\": \"@s\", \"socket_owner\": \"nobody-here\""),
        "2:59: pools.p.socket_owner: there is no user \"nobody-here\""},
    {POOL("\"workers\": 1, \"slots\": 2, \"socket\": \"@s\", \"socket_group\": \"nobody-here\""),
        "2:59: pools.p.socket_group: there is no group \"nobody-here\""},
    {"{\"pools\": {\"p\": {\"workers\": 1}}}", "1:17: pools.p: lacks the key \"command\""},
};

static void test_bad(void **state)
{
	check_bad(bad, COUNT(bad), 0);
}

static void test_good(void **state)
{
	struct config *config = load_good(POOL("\"weights\": {\"2\": 0, \"0\": 1000}, \"workers\": 3"));
	const struct pool_config *pool = &config->pools[0];

	assert_int_equal(pool->slots_count, 3);
	assert_string_equal(pool->slots[0].name, "0");
	assert_string_equal(pool->slots[2].name, "2");
	assert_int_equal(pool->slots[0].weight, 1000);
	assert_int_equal(pool->slots[1].weight, 1);
	assert_int_equal(pool->slots[2].weight, 0);
	config_free(config);
	config = load_good(POOL("\"workers\": 1024"));
	assert_int_equal(config->pools[0].slots_count, 1024);
	assert_string_equal(config->pools[0].slots[1023].name, "1023");
	config_free(config);
}

static void test_slots(void **state)
{
	struct config *config = load_good(POOL("\"slots\": [\"blue\", \"green\"], \"weights\": {\"green\": 3}"));
	const struct pool_config *pool = &config->pools[0];

	assert_int_equal(pool->workers, 2);
	assert_int_equal(pool->slots_count, 2);
	assert_string_equal(pool->slots[1].name, "green");
	assert_int_equal(pool->slots[1].weight, 3);
	config_free(config);
	config = load_good(POOL("\"workers\": 1, \"slots\": 3, \"socket\": \"/run/s\""));
	pool = &config->pools[0];
	assert_int_equal(pool->workers, 1);
	assert_int_equal(pool->slots_count, 3);
	assert_string_equal(pool->slots[2].name, "2");
	assert_string_equal(pool->socket, "/run/s");
	assert_int_equal(pool->socket_mode.bits, 0600);
	config_free(config);
	config = load_good("{\"listeners\": {\"w\": {\"address\": \"80\"}}, "
	                   "\"pools\": {\"p\": {\"socket\": \"@s\", \"slots\": 2}}}");
	pool = &config->pools[0];
	assert_int_equal(pool->workers, 0);
	assert_int_equal(pool->slots_count, 2);
	assert_null(pool->command);
	assert_int_equal(pool->protocol, PROTOCOL_LIMPET);
	config_free(config);
}

/* One worker a CPU that this process may use. */
static void test_auto(void **state)
{
	static const char *const texts[] = {POOL("\"workers\": \"auto\""), POOL("\"window\": 1")};
	cpu_set_t before;
	cpu_set_t one;

	assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
	for (size_t i = 0; i < COUNT(texts); i++) {
		struct config *config = load_good(texts[i]);

		assert_int_equal(config->pools[0].slots_count, CPU_COUNT(&before));
		config_free(config);
	}
	CPU_ZERO(&one);
	for (int cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; cpu++) {
		if (CPU_ISSET(cpu, &before))
			CPU_SET(cpu, &one);
	}
	assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
	for (size_t i = 0; i < COUNT(texts); i++) {
		struct config *config = load_good(texts[i]);

		assert_int_equal(config->pools[0].slots_count, 1);
		config_free(config);
	}
	assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_good), cmocka_unit_test(test_slots), cmocka_unit_test(test_auto), cmocka_unit_test(test_bad)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
