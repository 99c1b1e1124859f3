#include "loading.h"

static const struct bad_text bad[] = {
    {TOP("\"user\": 7"), "2:9: user: must be a string, not a number"},
    {TOP("\"user\": \"\""), "2:9: user: is empty; leave the key out for its default"},
    {TOP("\"control\": "
         "\"/"
         "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
         "xxxxxxxx\""),
        "2:12: control: is longer than 107 bytes"},
    {TOP("\"hash_secret\": null"), "2:16: hash_secret: must be a string, not null"},
    {TOP("\"$schema\": 1"), "2:12: $schema: must be a string, not a number"},
    {TOP("\"log\": \"info\""), "2:8: log: must be an object, not a string"},
    {TOP("\"log\": {\"level\": \"warn\"}"),
        "2:18: log.level: \"warn\" is none of error, warning, info, debug"},
    {TOP("\"log\": {\"level\": \"warnin\"}"),
        "2:18: log.level: \"warnin\" is none of error, warning, info, debug; did you mean \"warning\"?"},
    {TOP("\"log\": {\"format\": true}"), "2:19: log.format: must be a string, not true"},
    {LISTENER("\"address\": 80"), "2:12: listeners.w.address: must be a string: \"80\""},
    {LISTENER("\"address\": 65536"),
        "2:12: listeners.w.address: must be an address such as \"127.0.0.1:8080\", not a number"},
    {LISTENER("\"address\": [\"80\"]"),
        "2:12: listeners.w.address: must be an address such as \"127.0.0.1:8080\", not a list"},
    {LISTENER("\"address\": \"localhost:80\""), "2:12: listeners.w.address: \"localhost:80\" is no address: "
                                                "not a numeric IP address; names are not resolved"},
    {LISTENER("\"address\": \"\""), "2:12: listeners.w.address: \"\" is no address: not an address; write "
                                    "HOST:PORT, [IPV6]:PORT, PORT or unix:/PATH"},
    {LISTENER("\"proxy_protocol\": \"yes\""),
        "2:19: listeners.w.proxy_protocol: must be true or false, not a string"},
    {LISTENER("\"proxy_protocol\": 1"),
        "2:19: listeners.w.proxy_protocol: must be true or false, not a number"},
    {LISTENER("\"trusted_proxies\": \"10.0.0.0/8\""), "2:20: listeners.w.trusted_proxies: must be a list of "
                                                      "networks such as [\"10.0.0.0/8\"], not a string"},
    {LISTENER("\"trusted_proxies\": [\"10.0.0.0/8\", 7, \"10.0.0.1/8\", \"x\"]"),
        "2:35: listeners.w.trusted_proxies[1]: must be a network such as \"10.0.0.0/8\", not a number\n"
        "2:38: listeners.w.trusted_proxies[2]: \"10.0.0.1/8\" is no network: the address has bits behind the "
        "prefix\n"
        "2:52: listeners.w.trusted_proxies[3]: \"x\" is no network: not a network; write ADDRESS or "
        "ADDRESS/PREFIX, such as 10.0.0.0/8 or fd00::/8"},
    {LISTENER("\"head_timeout\": 10"), "2:17: listeners.w.head_timeout: needs a unit: \"10s\" or \"10ms\""},
    {LISTENER("\"head_timeout\": \"10\""),
        "2:17: listeners.w.head_timeout: needs a unit: \"10s\" or \"10ms\""},
    {LISTENER("\"head_timeout\": -1"),
        "2:17: listeners.w.head_timeout: must be a duration such as \"10s\", not a number"},
    {LISTENER("\"head_timeout\": 1.5"), "2:17: listeners.w.head_timeout: must be a duration such as \"10s\", "
                                        "not a number with a fraction or an exponent"},
    {LISTENER("\"head_timeout\": \"soon\""), "2:17: listeners.w.head_timeout: \"soon\" is no duration; write "
                                             "a whole number with ms, s, m, h or d, such as \"10s\""},
    {LISTENER("\"head_timeout\": \"99ms\""), "2:17: listeners.w.head_timeout: must be 100ms to 10m"},
    {LISTENER("\"head_timeout\": \"601s\""), "2:17: listeners.w.head_timeout: must be 100ms to 10m"},
    {LISTENER("\"head_timeout\": \"99999999999999999999s\""),
        "2:17: listeners.w.head_timeout: must be 100ms to 10m"},
    {LISTENER("\"head_size\": \"1023\""), "2:14: listeners.w.head_size: must be 1k to 64k"},
    {LISTENER("\"head_size\": 65537"), "2:14: listeners.w.head_size: must be 1k to 64k"},
    {LISTENER("\"head_size\": -1"), "2:14: listeners.w.head_size: must be 1k to 64k"},
    {LISTENER("\"head_size\": \"16kb\""), "2:14: listeners.w.head_size: \"16kb\" is no size; write a whole "
                                          "number of bytes, or one with k, m or g, such as \"16k\""},
    {LISTENER("\"head_size\": [16]"),
        "2:14: listeners.w.head_size: must be a size such as \"16k\" or a number of bytes, not a list"},
    {LISTENER("\"max_waiting\": 0"), "2:16: listeners.w.max_waiting: must be 1 to 1000000"},
    {LISTENER("\"max_waiting\": 1000001"), "2:16: listeners.w.max_waiting: must be 1 to 1000000"},
    {LISTENER("\"max_waiting\": -9223372036854775807"),
        "2:16: listeners.w.max_waiting: must be 1 to 1000000"},
    {LISTENER("\"max_waiting\": \"10000\""),
        "2:16: listeners.w.max_waiting: must be a number, not the string \"10000\""},
    {LISTENER("\"max_waiting_per_client\": 1.0"), "2:27: listeners.w.max_waiting_per_client: must be a whole "
                                                  "number, not a number with a fraction or an exponent"},
    {LISTENER("\"backlog\": 65536"), "2:12: listeners.w.backlog: must be 1 to 65535"},
    {POOL("\"on_down\": \"wait\""), "2:12: pools.p.on_down: \"wait\" is none of hold, next, reject"},
    {TOP("\"control_mode\": 600"),
        "2:17: control_mode: must be an octal number as a string such as \"0600\", not a number"},
    {TOP("\"control_mode\": \"0666\""), "2:17: control_mode: may have no bits but those of \"0660\""},
    {TOP("\"control_mode\": \"rw-\""), "2:17: control_mode: \"rw-\" is no mode; write three octal digits, or "
                                        "four with 0 first, such as \"0600\""},
    {TOP("\"control_mode\": \"00600\""), "2:17: control_mode: \"00600\" is no mode; write three octal digits, "
                                          "or four with 0 first, such as \"0600\""},
    {TOP("\"control_mode\": \"0680\""), "2:17: control_mode: \"0680\" is no mode; write three octal digits, "
                                         "or four with 0 first, such as \"0600\""},
    {LISTENER("\"mode\": \"1777\""), "2:9: listeners.w.mode: may have no bits but those of \"0777\""},
    {POOL("\"umask\": \"4022\""), "2:10: pools.p.umask: may have no bits but those of \"0777\""},
    {POOL("\"limits\": 5"), "2:11: pools.p.limits: must be an object, not a number"},
    {POOL("\"limits\": {\"file\": 5}"), "2:12: pools.p.limits.file: unknown key; did you mean \"nofile\"?"},
    {POOL("\"limits\": {\"nofile\": 15, \"processes\": \"many\", \"memory\": \"1k\", \"core\": \"none\"}"),
        "2:22: pools.p.limits.nofile: must be 16 to 1073741824\n"
        "2:39: pools.p.limits.processes: must be a number, not the string \"many\"\n"
        "2:57: pools.p.limits.memory: must be 1m to 1048576g\n"
        "2:71: pools.p.limits.core: \"none\" is no size; write a whole number of bytes, or one with k, m or g, such as "
        "\"16k\""},
    {POOL("\"environment\": [\"A=b\"]"), "2:16: pools.p.environment: must be an object of strings such as "
                                         "{\"NODE_ENV\": \"production\"}, not a list"},
    {POOL("\"environment\": {\"A\": 1, \"B\": true, \"C=\": \"x\", \"\": \"y\", \"D\": null}"),
        "2:22: pools.p.environment.A: must be a string: \"1\"\n"
        "2:30: pools.p.environment.B: must be a string, not true\n"
        "2:36: pools.p.environment.C=: is no name of a variable\n"
        "2:47: pools.p.environment.: is no name of a variable\n"
        "2:61: pools.p.environment.D: must be a string, not null"},
    {"{\"pools\":{\"p\":{\"command\":\"node a.js\"}}}",
        "1:26: pools.p.command: must be a list: the program, then each argument as a string of its own"},
    {"{\"pools\":{\"p\":{\"command\":{}}}}",
        "1:26: pools.p.command: must be a list of strings such as [\"node\", \"server.js\"], not an object"},
    {"{\"pools\":{\"p\":{\"command\":[]}}}", "1:26: pools.p.command: is empty"},
    {"{\"pools\":{\"p\":{\"command\":[\"\", \"a\"]}}}", "1:27: pools.p.command[0]: is empty; name a program"},
    {"{\"pools\":{\"p\":{\"command\":[\"node\", 8080, \"a.js\"]}}}",
        "1:35: pools.p.command[1]: must be a string, not a number"},
    {"{\"pools\":{\"p\":{\"command\":[8080]}}}", "1:27: pools.p.command[0]: must be a string, not a number"},
};

static void test_bad(void **state)
{
	check_bad(bad, COUNT(bad), 0);
}

static void test_good(void **state)
{
	struct config *config =
	    load_good("{\"$schema\": \"\", \"user\": \"root\", \"control\": \"/c\", \"control_mode\": \"660\", \"control_group\": \"root\", \"hash_secret\": \"/s\", "
	              "\"log\": {\"level\": \"debug\", \"format\": \"json\", \"file\": \"/l\"},"
	              "\"listeners\": {\"w\": {\"address\": \"127.0.0.1:80\", \"proxy_protocol\": true,"
	              "\"trusted_proxies\": [\"10.0.0.0/8\", \"unix\"], \"head_timeout\": \"100ms\", "
	              "\"head_size\": 65536,"
	              "\"max_waiting\": 1, \"max_waiting_per_client\": 1000000, \"backlog\": 65535}},"
	              "\"pools\": {\"p\": {\"command\": [\"node\", \"a.js\", \"\"], \"directory\": \"/\","
	              "\"environment\": {\"A\": \"\", \"//\": 1, \"B\": \"x=y\"}, \"user\": \"root\", "
	              "\"group\": \"root\", \"umask\": \"027\","
	              "\"limits\": {\"nofile\": 64, \"core\": 0, \"memory\": \"unlimited\"},"
	              "\"start_timeout\": \"1h\", \"drain_timeout\": \"0s\", \"kill_timeout\": \"1m\", "
	              "\"on_down\": \"next\","
	              "\"hold\": \"1ms\", \"window\": 1024, \"queue\": 0}}}");
	const struct listener_config *listener = &config->listeners[0];
	const struct pool_config *pool = &config->pools[0];
	struct address ten;

	assert_string_equal(config->file, "f.json");
	assert_string_equal(config->user, "root");
	assert_string_equal(config->control, "/c");
	assert_string_equal(config->hash_secret, "/s");
	assert_int_equal(config->control_mode.bits, 0660);
	assert_string_equal(config->control_group, "root");
	assert_string_equal(config->log_file, "/l");
	assert_int_equal(config->log_level, LOG_LEVEL_DEBUG);
	assert_int_equal(config->log_format, LOG_FORMAT_JSON);
	assert_int_equal(config->listeners_count, 1);
	assert_string_equal(listener->name, "w");
	assert_true(listener->has_address);
	assert_int_equal(address_port(&listener->address), 80);
	assert_true(listener->proxy_protocol);
	assert_int_equal(listener->trusted_proxies_count, 2);
	assert_int_equal(address_parse(&ten, "10.1.2.3:4", NULL), 0);
	assert_true(address_prefix_contains(&listener->trusted_proxies[0], &ten));
	assert_false(address_prefix_contains(&listener->trusted_proxies[1], &ten));
	assert_int_equal(listener->head_timeout, 100);
	assert_int_equal(listener->head_size, 65536);
	assert_int_equal(listener->max_waiting, 1);
	assert_int_equal(listener->max_waiting_per_client, 1000000);
	assert_int_equal(listener->backlog, 65535);
	assert_string_equal(pool->command[2], "");
	assert_null(pool->command[3]);
	assert_string_equal(pool->directory, "/");
	assert_string_equal(pool->environment[0], "A=");
	assert_string_equal(pool->environment[1], "B=x=y");
	assert_null(pool->environment[2]);
	assert_string_equal(pool->user, "root");
	assert_string_equal(pool->group, "root");
	assert_true(pool->umask.is_set);
	assert_int_equal(pool->umask.bits, 027);
	assert_true(pool->limit_nofile.is_set);
	assert_int_equal(pool->limit_nofile.value, 64);
	assert_true(pool->limit_core.is_set);
	assert_int_equal(pool->limit_core.value, 0);
	assert_true(pool->limit_memory.value == LIMIT_UNLIMITED);
	assert_false(pool->limit_processes.is_set);
	assert_int_equal(pool->start_timeout, 3600000);
	assert_int_equal(pool->drain_timeout, 0);
	assert_int_equal(pool->kill_timeout, 60000);
	assert_int_equal(pool->on_down, ON_DOWN_NEXT);
	assert_int_equal(pool->hold, 1);
	assert_int_equal(pool->window, 1024);
	assert_int_equal(pool->queue, 0);
	config_free(config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_good), cmocka_unit_test(test_bad)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
