#include "loading.h"

#include <pwd.h>

static const struct bad_text bad[] = {
    {TOP("\"listeners\": {\"a\": {\"address\": \"127.0.0.1:80\"}, \"b\": {\"address\": \"127.0.0.1:80\"}}"),
        "2:66: listeners.b.address: listener \"a\" has the same address"},
    {TOP("\"listeners\": {\"a\": {\"address\": \":80\"}, \"b\": {\"address\": \"[::]:80\"}}"),
        "2:57: listeners.b.address: listener \"a\" has the same address"},
    {TOP("\"listeners\": {\"a\": {\"address\": \"/x\"}, \"b\": {\"address\": \"unix:/x\"}}"),
        "2:56: listeners.b.address: listener \"a\" has the same address"},
    {TOP("\"listeners\": {\"a\": {}, \"b\": {}}"),
        "2:24: listeners.b: pool \"p\" has the listener \"a\" without an address already; give this one an "
        "\"address\""},
    {LISTENER("\"proxy_protocol\": true"), "2:19: listeners.w.proxy_protocol: needs \"trusted_proxies\": no "
                                           "peer is trusted, so every connection would be closed"},
    {LISTENER("\"proxy_protocol\": true, \"trusted_proxies\": []"),
        "2:19: listeners.w.proxy_protocol: needs \"trusted_proxies\": no peer is trusted, so every "
        "connection "
        "would be closed"},
    {LISTENER("\"mode\": \"0660\""), "2:9: listeners.w.mode: is only for an address unix:/PATH"},
    {TOP("\"listeners\": {\"a\": {\"address\": \"127.0.0.1:80\", \"mode\": \"0660\"}}"),
        "2:56: listeners.a.mode: is only for an address unix:/PATH"},
    {TOP("\"listeners\": {\"a\": {\"address\": \"unix:@x\", \"mode\": \"0660\"}}"),
        "2:51: listeners.a.mode: is only for an address unix:/PATH"},
    {TOP("\"control\": \"rel.sock\""), "2:12: control: must be an absolute path, or \"@\" and a name"},
    {TOP("\"control_group\": \"root\""),
        "2:18: control_group: needs a \"control_mode\" that lets the group in: \"0660\""},
    {TOP("\"control_mode\": \"0660\", \"control_group\": \"no-such-group-here\""),
        "2:42: control_group: there is no group \"no-such-group-here\""},
    {TOP("\"user\": \"no-such-user-here\""), "2:9: user: there is no user \"no-such-user-here\""},
};

static const struct bad_text bad_not_root[] = {
    {TOP("\"user\": \"root\""), "2:9: user: limpet must be started as root to become \"root\"; leave the key "
                                "out to stay who starts it"},
    {POOL("\"user\": \"root\""), "2:9: pools.p.user: limpet must be started as root to become \"root\"; "
                                 "leave the key out to stay who starts it"},
};

static void test_bad(void **state)
{
	check_bad(bad, COUNT(bad), 0);
}

static void test_not_root(void **state)
{
	check_bad(bad_not_root, COUNT(bad_not_root), 12345);
}

static void test_good(void **state)
{
	static const char *const texts[] = {
	    /* Port 0 is another port each time. */
	    TOP("\"listeners\": {\"a\": {\"address\": \"127.0.0.1:0\"}, \"b\": {\"address\": "
	        "\"127.0.0.1:0\"}}"),
	    TOP("\"listeners\": {\"a\": {\"address\": \"127.0.0.1:1\"}, \"b\": {\"address\": "
	        "\"127.0.0.2:1\"}, \"c\": {}}"),
	    LISTENER("\"proxy_protocol\": true, \"trusted_proxies\": [\"::1\"]"),
	    TOP("\"user\": \"root\""),
	    TOP("\"control\": \"/c\", \"control_mode\": \"0660\", \"control_group\": \"root\""),
	    TOP("\"listeners\": {\"a\": {\"address\": \"unix:/x\", \"mode\": \"0660\"}}"),
	};

	for (size_t i = 0; i < COUNT(texts); i++)
		config_free(load_good(texts[i]));
}

/* Who is not root may name himself. */
static void test_same_user(void **state)
{
	static const char text[] = TOP("\"user\": \"nobody\"");
	const struct passwd *nobody = getpwnam("nobody");
	struct config *config;

	if (nobody == NULL)
		skip();
	free(load_bytes(&config, text, strlen(text), nobody->pw_uid));
	assert_non_null(config);
	config_free(config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_good), cmocka_unit_test(test_same_user),
	    cmocka_unit_test(test_not_root), cmocka_unit_test(test_bad)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
