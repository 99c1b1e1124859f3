#include "loading.h"

#define LIST(...)                                                                                            \
	(const char *const[])                                                                                \
	{                                                                                                    \
		__VA_ARGS__, NULL                                                                            \
	}
#define NODE_COMMAND                                                                                         \
	(char *[])                                                                                           \
	{                                                                                                    \
		(char[]){"node"}, (char[]){"a.js"}, NULL                                                     \
	}

struct bad_options {
	const char *const *listeners;
	const char *const *sticky;
	const char *workers;
	const char *protocol;
	const char *control;
	const char *program; /* NULL: node a.js; "": no command */
	const char *file;
	const char *messages;
};

static size_t count_list(const char *const *list)
{
	size_t count = 0;

	while (list != NULL && list[count] != NULL)
		count++;
	return count;
}

static char *load(struct config **config, const struct bad_options *from, char *const *command)
{
	struct config_options options = {
	    .file = from->file,
	    .listeners = from->listeners,
	    .listeners_count = count_list(from->listeners),
	    .sticky = from->sticky,
	    .sticky_count = count_list(from->sticky),
	    .workers = from->workers,
	    .protocol = from->protocol,
	    .control = from->control,
	    .command = command,
	};
	char *messages = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&messages, &size);
	int r;

	*config = NULL;
	r = config_load(config, &options, out);
	fclose(out);
	assert_int_equal(r, *config == NULL ? -EINVAL : 0);
	assert_int_equal(size == 0, *config != NULL);
	return messages;
}

static const struct bad_options bad[] = {
    {.program = "",
        .messages = "limpet: nothing to run: give a command (limpet -- node server.js) or a file "
                    "(limpet -c FILE)\n"},
    {.listeners = LIST("localhost:80"),
        .messages = "limpet: -l: \"localhost:80\" is no address: not a numeric IP "
                    "address; names are not resolved\n"},
    {.listeners = LIST("127.0.0.1:80", "127.0.0.1:80"),
        .messages = "limpet: -l: \"127.0.0.1:80\" is given twice\n"},
    {.sticky = LIST("session"),
        .messages = "limpet: -s: \"session\" is no source of a key; these are: ip, cookie, "
                    "header, query, path\n"},
    {.sticky = LIST("cokie:sid"),
        .messages = "limpet: -s: \"cokie\" is no source of a key; did you mean \"cookie\"?\n"},
    {.sticky = LIST("cookie"), .messages = "limpet: -s: cookie needs a name: cookie:NAME\n"},
    {.sticky = LIST("cookie:"), .messages = "limpet: -s: is empty\n"},
    {.sticky = LIST("cookie:a=b"),
        .messages = "limpet: -s: \"a=b\" cannot be the name of a cookie; it has letters, "
                    "digits and !#$%&'*+-.^_`|~ only\n"},
    {.sticky = LIST("path"), .messages = "limpet: -s: path needs a number: path:1\n"},
    {.sticky = LIST("path:0"), .messages = "limpet: -s: must be 1 to 64\n"},
    {.sticky = LIST("path:two"), .messages = "limpet: -s: must be a number, not the string \"two\"\n"},
    {.sticky = LIST("path:9999999999999999999999"),
        .messages = "limpet: -s: must be a number, not the string \"9999999999999999999999\"\n"},
    {.sticky = LIST("ip:24"), .messages = "limpet: -s: write ip or ip:V4PREFIX/V6PREFIX, such as ip:24/56\n"},
    {.sticky = LIST("ip:33/129"), .messages = "limpet: -s: must be 0 to 32\nlimpet: -s: must be 0 to 128\n"},
    {.sticky = LIST("ip:/"),
        .messages = "limpet: -s: must be a number, not the string \"\"\n"
                    "limpet: -s: must be a number, not the string \"\"\n"},
    {.sticky = LIST("ip", "cookie:a"),
        .messages = "limpet: -s: is never reached, as every client has an address; put ip last\n"},
    {.sticky = LIST(""),
        .messages = "limpet: -s: \"\" is no source of a key; these are: ip, cookie, header, query, path\n"},
    {.sticky = LIST(":"),
        .messages = "limpet: -s: \"\" is no source of a key; these are: ip, cookie, header, query, path\n"},
    {.workers = "0", .messages = "limpet: -n: must be a whole number, 1 to 1024, or \"auto\"\n"},
    {.workers = "1025", .messages = "limpet: -n: must be a whole number, 1 to 1024, or \"auto\"\n"},
    {.workers = "four", .messages = "limpet: -n: must be a whole number, 1 to 1024, or \"auto\"\n"},
    {.workers = "-1", .messages = "limpet: -n: must be a whole number, 1 to 1024, or \"auto\"\n"},
    {.workers = "", .messages = "limpet: -n: must be a whole number, 1 to 1024, or \"auto\"\n"},
    {.protocol = "tcp", .messages = "limpet: -p: \"tcp\" is none of node-cluster, node-ipc, limpet, accept\n"},
    {.protocol = "socket.io",
        .listeners = LIST("80"),
        .messages = "limpet: -p: \"socket.io\" is a flavour of node-ipc; did you mean "
                    "\"node-ipc:socket.io\"?\n"},
    {.protocol = "sticky-session:connection",
        .listeners = LIST("80"),
        .messages = "limpet: -p: \"sticky-session:connection\" is a flavour of node-ipc; did you mean "
                    "\"node-ipc:sticky-session:connection\"?\n"},
    {.protocol = "node-ipc",
        .listeners = LIST("80"),
        .messages = "limpet: -p: node-ipc needs a flavour: node-ipc:sticky-session, "
                    "node-ipc:sticky-cluster, node-ipc:sticky-session:connection, "
                    "node-ipc:socket.io, node-ipc:sticky-listen or node-ipc:limpet:connection\n"},
    {.protocol = "node-cluster:messages",
        .messages = "limpet: -p: \"messages\" is none of accept, message; did you mean \"message\"?\n"},
    {.protocol = "node-ipc:socketio",
        .listeners = LIST("80"),
        .messages = "limpet: -p: \"socketio\" is none of sticky-session, sticky-cluster, "
                    "sticky-session:connection, socket.io, sticky-listen, limpet:connection; did you mean \"socket.io\"?\n"},
    {.protocol = "node-ipc:socket.io",
        .messages = "limpet: workers of protocol node-ipc do not say where to listen; give an address: -l "
                    "ADDRESS:PORT\n"},
    {.protocol = "limpet",
        .messages = "limpet: workers of protocol limpet do not say where to listen; give an "
                    "address: -l ADDRESS:PORT\n"},
    {.program = "node",
        .messages = "limpet: command: node needs a script: Node's cluster workers take their server "
                    "from a file, as in \"node server.js\"\n"},
    {.control = "", .messages = "limpet: --control: is empty\n"},
    {.file = "/nonexistent/f.json",
        .listeners = LIST("80"),
        .sticky = LIST("ip"),
        .workers = "4",
        .protocol = "limpet",
        .messages =
            "limpet: -l: does not go with -c; put it into /nonexistent/f.json as "
            "listeners.NAME.address\n"
            "limpet: -s: does not go with -c; put it into /nonexistent/f.json as listeners.NAME.sticky\n"
            "limpet: -n: does not go with -c; put it into /nonexistent/f.json as pools.NAME.workers\n"
            "limpet: -p: does not go with -c; put it into /nonexistent/f.json as pools.NAME.protocol\n"
            "limpet: command: does not go with -c; put it into /nonexistent/f.json as "
            "pools.NAME.command\n"
            "/nonexistent/f.json: open failed: No such file or directory\n"},
};

static void test_bad(void **state)
{
	int different = 0;

	for (size_t i = 0; i < COUNT(bad); i++) {
		char program[64];
		char *command[] = {program, NULL};
		char *none[] = {NULL};
		struct config *config;
		char *messages;

		snprintf(program, sizeof program, "%s", bad[i].program == NULL ? "" : bad[i].program);
		messages = load(&config, &bad[i],
		    bad[i].program == NULL ? NODE_COMMAND : (program[0] == '\0' ? none : command));
		if (strcmp(messages, bad[i].messages) != 0) {
			print_error("said:     %sexpected: %s\n", messages, bad[i].messages);
			different++;
		}
		free(messages);
		config_free(config);
	}
	assert_int_equal(different, 0);
}

static struct config *load_options(const struct bad_options *options)
{
	struct config *config;
	char *messages = load(&config, options, NODE_COMMAND);

	if (config == NULL)
		fail_msg("%s", messages);
	free(messages);
	return config;
}

static void test_no_options(void **state)
{
	struct config *config = load_options(&(struct bad_options){.workers = NULL});

	assert_null(config->file);
	assert_null(config->control);
	assert_int_equal(config->listeners_count, 0);
	assert_int_equal(config->pools_count, 1);
	assert_string_equal(config->pools[0].name, "default");
	assert_string_equal(config->pools[0].command[0], "node");
	assert_string_equal(config->pools[0].command[1], "a.js");
	assert_null(config->pools[0].command[2]);
	assert_int_equal(config->pools[0].protocol, PROTOCOL_NODE_CLUSTER);
	assert_false(config->pools[0].has_listeners);
	assert_int_equal(config->pools[0].worker_listener->sticky[0].type, STICKY_IP);
	config_free(config);
}

static void test_all_options(void **state)
{
	struct config *config =
	    load_options(&(struct bad_options){.listeners = LIST("127.0.0.1:80", "/run/x", "81"),
	        .sticky = LIST("cookie:sid", "header:X-Y", "query:a:b", "path:3", "ip:24/56"),
	        .workers = "3",
	        .protocol = "node-ipc:sticky-session:connection",
	        .control = "/c"});
	const struct listener_config *listener = &config->listeners[2];

	assert_string_equal(config->control, "/c");
	assert_int_equal(config->listeners_count, 3);
	assert_string_equal(config->listeners[0].name, "default");
	assert_string_equal(config->listeners[1].name, "default-2");
	assert_int_equal(address_family(&config->listeners[1].address), AF_UNIX);
	assert_string_equal(listener->name, "default-3");
	assert_int_equal(address_port(&listener->address), 81);
	assert_ptr_equal(listener->pool, &config->pools[0]);
	/* Each listener has all sources. */
	assert_int_equal(listener->sticky_count, 5);
	assert_string_equal(listener->sticky[0].name, "sid");
	assert_string_equal(listener->sticky[1].name, "X-Y");
	assert_string_equal(listener->sticky[2].name, "a:b");
	assert_int_equal(listener->sticky[3].segment, 3);
	assert_int_equal(listener->sticky[4].v4_prefix, 24);
	assert_int_equal(listener->sticky[4].v6_prefix, 56);
	assert_int_equal(config->pools[0].slots_count, 3);
	assert_int_equal(config->pools[0].protocol, PROTOCOL_NODE_IPC);
	assert_int_equal(config->pools[0].flavour, FLAVOUR_STICKY_SESSION_CONNECTION);
	config_free(config);
}

/* Without -l the sources are for the addresses that workers ask for. */
static void test_sticky_only(void **state)
{
	struct config *config =
	    load_options(&(struct bad_options){.sticky = LIST("cookie:sid"), .workers = "auto"});

	assert_int_equal(config->listeners_count, 1);
	assert_string_equal(config->listeners[0].name, "default");
	assert_false(config->listeners[0].has_address);
	assert_ptr_equal(config->pools[0].worker_listener, &config->listeners[0]);
	assert_int_equal(config->pools[0].worker_listener->sticky_count, 2);
	config_free(config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_no_options),
	    cmocka_unit_test(test_all_options), cmocka_unit_test(test_sticky_only),
	    cmocka_unit_test(test_bad)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
