#include "loading.h"

static const struct bad_text bad[] = {
    {LISTENER("\"sticky\": []"), "2:11: listeners.w.sticky: is empty; leave the key out for ip"},
    {LISTENER("\"sticky\": {}"),
        "2:11: listeners.w.sticky: must have one key, not 0; several sources are a list"},
    {LISTENER("\"sticky\": {\"cookie\": \"a\", \"header\": \"b\"}"),
        "2:11: listeners.w.sticky: must have one key, not 2; several sources are a list"},
    {LISTENER("\"sticky\": 7"),
        "2:11: listeners.w.sticky: must be a source such as \"ip\" or {\"cookie\": \"NAME\"}, not a number"},
    {LISTENER("\"sticky\": \"cookie\""),
        "2:11: listeners.w.sticky: cookie needs a name: {\"cookie\": \"NAME\"}"},
    {LISTENER("\"sticky\": [\"path\"]"), "2:12: listeners.w.sticky[0]: path needs a number: {\"path\": 1}"},
    {LISTENER("\"sticky\": \"cooky\""),
        "2:11: listeners.w.sticky: \"cooky\" is no source of a key; did you mean \"cookie\"?"},
    {LISTENER("\"sticky\": \"session\""), "2:11: listeners.w.sticky: \"session\" is no source of a key; "
                                          "these are: ip, cookie, header, query, path"},
    {LISTENER("\"sticky\": {\"cokie\": \"a\"}"),
        "2:12: listeners.w.sticky.cokie: \"cokie\" is no source of a key; did you mean \"cookie\"?"},
    {LISTENER("\"sticky\": [{\"session\": \"a\"}]"),
        "2:13: listeners.w.sticky[0].session: \"session\" is no source of a key; these are: ip, cookie, "
        "header, query, path"},
    {LISTENER("\"sticky\": {\"cookie\": \"\"}"), "2:22: listeners.w.sticky.cookie: is empty"},
    {LISTENER("\"sticky\": {\"cookie\": \"a;b\"}"),
        "2:22: listeners.w.sticky.cookie: \"a;b\" cannot be the name of a cookie; it has letters, digits and "
        "!#$%&'*+-.^_`|~ only"},
    {LISTENER("\"sticky\": {\"header\": \"X Tenant:\"}"),
        "2:22: listeners.w.sticky.header: \"X Tenant:\" cannot be the name of a header; it has letters, "
        "digits and !#$%&'*+-.^_`|~ only"},
    {LISTENER("\"sticky\": {\"header\": \"Ä\"}"),
        "2:22: listeners.w.sticky.header: \"Ä\" cannot be the name of a header; it has letters, digits and "
        "!#$%&'*+-.^_`|~ only"},
    {LISTENER("\"sticky\": {\"query\": 1}"),
        "2:21: listeners.w.sticky.query: must be a string, not a number"},
    {LISTENER("\"sticky\": {\"path\": 0}"), "2:20: listeners.w.sticky.path: must be 1 to 64"},
    {LISTENER("\"sticky\": {\"path\": \"1\"}"),
        "2:20: listeners.w.sticky.path: must be a number, not the string \"1\""},
    {LISTENER("\"sticky\": {\"ip\": {\"v4_prefix\": 33, \"v6_prefix\": 129, \"v5_prefix\": 1}}"),
        "2:32: listeners.w.sticky.ip.v4_prefix: must be 0 to 32\n"
        "2:49: listeners.w.sticky.ip.v6_prefix: must be 0 to 128\n"
        "2:54: listeners.w.sticky.ip.v5_prefix: unknown key; did you mean \"v4_prefix\"?"},
    {LISTENER("\"sticky\": {\"ip\": 24}"), "2:18: listeners.w.sticky.ip: must be an object, not a number"},
    {LISTENER("\"sticky\": [\"ip\", {\"cookie\": \"a\"}]"),
        "2:18: listeners.w.sticky[1]: is never reached, as every client has an address; put ip last"},
    {LISTENER("\"sticky\": [\"ip\", \"ip\"]"),
        "2:18: listeners.w.sticky[1]: is never reached, as every client has an address; put ip last"},
    {LISTENER("\"sticky\": [\"x\", \"y\", {\"cookie\": 1}]"),
        "2:12: listeners.w.sticky[0]: \"x\" is no source of a key; these are: ip, cookie, header, query, "
        "path\n"
        "2:17: listeners.w.sticky[1]: \"y\" is no source of a key; these are: ip, cookie, header, query, "
        "path\n"
        "2:33: listeners.w.sticky[2].cookie: must be a string, not a number"},
    {LISTENER("\"sticky\": [{\"path\": 1}, {\"path\": 2}, {\"path\": 3}, {\"path\": 4}, {\"path\": 5}, "
              "{\"path\": 6}, {\"path\": 7}, {\"path\": 8}]"),
        "2:11: listeners.w.sticky: has 8 sources; at most 8 are allowed, the last ip included"},
    {LISTENER("\"sticky\": [{\"path\": 1}, {\"path\": 2}, {\"path\": 3}, {\"path\": 4}, {\"path\": 5}, "
              "{\"path\": 6}, {\"path\": 7}, {\"path\": 8}, {\"path\": 9}]"),
        "2:11: listeners.w.sticky: has 9 sources; at most 8 are allowed, the last ip included"},
};

static void test_bad(void **state)
{
	check_bad(bad, COUNT(bad), 0);
}

static void check_sources(const char *text, size_t count, const struct sticky_source *expected)
{
	struct config *config = load_good(text);
	const struct listener_config *listener = &config->listeners[0];

	assert_int_equal(listener->sticky_count, count);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(listener->sticky[i].type, expected[i].type);
		if (expected[i].name != NULL)
			assert_string_equal(listener->sticky[i].name, expected[i].name);
		else
			assert_null(listener->sticky[i].name);
		assert_int_equal(listener->sticky[i].segment, expected[i].segment);
		if (expected[i].type == STICKY_IP) {
			assert_int_equal(listener->sticky[i].v4_prefix, expected[i].v4_prefix);
			assert_int_equal(listener->sticky[i].v6_prefix, expected[i].v6_prefix);
		}
	}
	config_free(config);
}

static void test_good(void **state)
{
	static const struct sticky_source ip = {STICKY_IP, NULL, 0, 32, 64};
	static char sid[] = "sid";
	static char host[] = "Host";
	static char odd[] = "a b\xc3\xa4";
	const struct sticky_source cookie[] = {{.type = STICKY_COOKIE, .name = sid}, ip};
	const struct sticky_source all[] = {{.type = STICKY_COOKIE, .name = sid},
	    {.type = STICKY_HEADER, .name = host}, {.type = STICKY_QUERY, .name = odd},
	    {.type = STICKY_PATH, .segment = 64}, {STICKY_IP, NULL, 0, 24, 56}};
	const struct sticky_source eight[] = {{.type = STICKY_PATH, .segment = 1},
	    {.type = STICKY_PATH, .segment = 2}, {.type = STICKY_PATH, .segment = 3},
	    {.type = STICKY_PATH, .segment = 4}, {.type = STICKY_PATH, .segment = 5},
	    {.type = STICKY_PATH, .segment = 6}, {.type = STICKY_PATH, .segment = 7}, ip};

	check_sources(LISTENER(""), 1, &ip);
	check_sources(LISTENER("\"sticky\": \"ip\""), 1, &ip);
	check_sources(LISTENER("\"sticky\": [\"ip\"]"), 1, &ip);
	check_sources(LISTENER("\"sticky\": {\"ip\": {}}"), 1, &ip);
	check_sources(LISTENER("\"sticky\": {\"cookie\": \"sid\"}"), 2, cookie);
	check_sources(LISTENER("\"sticky\": [{\"// why\": 1, \"cookie\": \"sid\"}, \"ip\"]"), 2, cookie);
	check_sources(
	    LISTENER("\"sticky\": [{\"cookie\": \"sid\"}, {\"header\": \"Host\"}, {\"query\": \"a b\u00e4\"},"
	             "{\"path\": 64}, {\"ip\": {\"v4_prefix\": 24, \"v6_prefix\": 56}}]"),
	    5, all);
	check_sources(
	    LISTENER(
	        "\"sticky\": [{\"path\":1},{\"path\":2},{\"path\":3},{\"path\":4},{\"path\":5},{\"path\":6},"
	        "{\"path\":7}]"),
	    8, eight);
	check_sources(
	    LISTENER(
	        "\"sticky\": [{\"path\":1},{\"path\":2},{\"path\":3},{\"path\":4},{\"path\":5},{\"path\":6},"
	        "{\"path\":7},\"ip\"]"),
	    8, eight);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_good), cmocka_unit_test(test_bad)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
