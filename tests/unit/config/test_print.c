/* What is printed loads to the same: it prints the same again. Arguments: the example files. */
#include "loading.h"

static int files_count;
static char **files;

static char *printed(const struct config *config)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	assert_int_equal(config_print(config, out), 0);
	fclose(out);
	return text;
}

static void check_round_trip(const struct config *config)
{
	char *first = printed(config);
	struct config *again = load_good(first);
	char *second = printed(again);

	assert_string_equal(first, second);
	free(first);
	free(second);
	config_free(again);
}

static struct config *load_options(const struct config_options *options)
{
	struct config *config = NULL;

	assert_int_equal(config_load(&config, options, stderr), 0);
	return config;
}

static void test_examples(void **state)
{
	for (int i = 0; i < files_count; i++) {
		struct config *config = load_options(&(struct config_options){.file = files[i]});

		print_message("%s\n", files[i]);
		check_round_trip(config);
		config_free(config);
	}
	assert_true(files_count >= 3);
}

static void test_options(void **state)
{
	static const char *const listeners[] = {"[::1]:80", "unix:/run/\u00e4 b", "@name", "1.2.3.4:0"};
	static const char *const sticky[] = {"cookie:a", "header:b", "query:c\"d", "path:4", "ip:1/2"};
	char node[] = "node";
	char script[] = "a.js";
	char *const command[] = {node, script, NULL};
	struct config *config = load_options(&(struct config_options){.listeners = listeners,
	    .listeners_count = COUNT(listeners),
	    .sticky = sticky,
	    .sticky_count = COUNT(sticky),
	    .command = command,
	    .workers = "5",
	    .protocol = "node-ipc:socket.io",
	    .control = "/c"});

	check_round_trip(config);
	config_free(config);
}

static const char everything[] =
    "{\"user\":\"root\",\"control\":\"/c\",\"control_mode\":\"0660\",\"control_group\":\"root\",\"hash_secret\":\"/"
    "h\",\"log\":{\"level\":\"debug\",\"format\":\"json\","
    "\"file\":\"/"
    "l\"},\"listeners\":{\"w\":{\"address\":\"unix:/w\",\"mode\":\"0620\",\"pool\":\"p\","
    "\"sticky\":[{\"ip\":{\"v4_prefix\":1,"
    "\"v6_prefix\":2}}],\"proxy_protocol\":true,\"client_address\":\"ignore\",\"trusted_proxies\":[\"10.0.0.0/"
    "8\",\"::/0\",\"fd00::1/128\",\"unix\"],"
    "\"head_timeout\":\"1500ms\",\"head_size\":\"1025\",\"max_waiting\":1,\"max_"
    "waiting_per_client\":2,\"backlog\":3}},"
    "\"pools\":{\"p\":{\"command\":[\"a\",\"b\"],\"protocol\":\"node-ipc\","
    "\"flavour\":\"sticky-listen\",\"connections\":\"message\",\"accept\":\"seccomp\",\"workers\":2,"
    "\"slots\":[\"a\",\"b\",\"c.3\"],\"socket\":\"@s\",\"socket_mode\":\"0660\",\"socket_owner\":\"root\","
    "\"socket_group\":\"root\",\"weights\":{\"b\":7},\"directory\":\"/"
    "d\",\"environment\":{\"A\":\"b=c\"},\"user\":\"root\",\"group\":\"root\","
    "\"umask\":\"0027\",\"limits\":{\"nofile\":1024,\"processes\":\"unlimited\",\"memory\":\"1g\","
    "\"core\":\"0\"},"
    "\"start_timeout\":\"1s\",\"drain_timeout\":\"1d\",\"drain_signal\":\"QUIT\",\"kill_timeout\":\"1m\",\"stuck_timeout\":\"3s\",\"stuck_action\":\"restart\","
    "\"surge\":2,\"max_retired\":8,\"on_down\":\"reject\",\"hold\":\"0s\","
    "\"window\":2,\"queue\":0,\"queue_timeout\":\"5s\"}}}";

/* The table of keys makes the printed text: here is one with every key, none at its default, to compare it
 * with. */
static void test_everything(void **state)
{
	struct config *config = load_good(everything);
	char *text = printed(config);
	char *to = text;

	for (const char *from = text; *from != '\0'; from++) {
		if (*from != ' ' && *from != '\n')
			*to++ = *from;
	}
	*to = '\0';
	assert_string_equal(text, everything);
	free(text);
	config_free(config);
}

static void test_not_utf8(void **state)
{
	char node[] = "node";
	char script[] = "\xff.js";
	char *const command[] = {node, script, NULL};
	struct config *config = load_options(&(struct config_options){.command = command});
	FILE *out = fopen("/dev/null", "w");

	assert_int_equal(config_print(config, out), -EILSEQ);
	fclose(out);
	config_free(config);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_examples), cmocka_unit_test(test_options),
	    cmocka_unit_test(test_everything), cmocka_unit_test(test_not_utf8)};

	files_count = argc - 1;
	files = argv + 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
