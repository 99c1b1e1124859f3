/* Tests of src/supervisor/hello.c. */
#include "testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/hello.h"

static const char *refusal(const char *text)
{
	struct hello hello;
	const char *why;

	assert_true((hello_parse(&hello, text, strlen(text), &why) < 0) == (why != NULL));
	return why;
}

static void good_ones(void **state)
{
	static const char text[] = "{\"type\":\"hello\",\"version\":1,\"pool\":\"chat\",\"slot\":\"2\",\"capabilities\":[\"cumulative\","
				   "\"stats\",\"of tomorrow\"],\"new\":{}}";
	static const char joined[] = "{\"type\":\"hello\",\"version\":1,\"protocol\":\"node-ipc\",\"flavour\":\"limpet:connection\","
				     "\"ready\":true}";
	struct hello hello;
	const char *why;

	assert_int_equal(hello_parse(&hello, text, sizeof(text) - 1, &why), 0);
	assert_string_equal(hello.pool, "chat");
	assert_string_equal(hello.slot, "2");
	assert_int_equal(hello.protocol, PROTOCOL_LIMPET);
	assert_false(hello.ready);
	assert_int_equal(hello_parse(&hello, joined, sizeof(joined) - 1, &why), 0);
	assert_string_equal(hello.pool, "");
	assert_string_equal(hello.slot, "");
	assert_int_equal(hello.protocol, PROTOCOL_NODE_IPC);
	assert_int_equal(hello.flavour, FLAVOUR_LIMPET_CONNECTION);
	assert_true(hello.ready);
}

static void bad_ones(void **state)
{
	static const struct {
		const char *text, *why;
	} bad[] = {
	    {"", "the first message must be a hello, one JSON object"},
	    {"[]", "the first message must be a hello, one JSON object"},
	    {"{}", "the first message must be a hello"},
	    {"{\"type\":\"ready\"}", "the first message must be a hello"},
	    {"{\"type\":\"hello\"}", "the hello has no version"},
	    {"{\"type\":\"hello\",\"version\":\"1\"}", "the hello has no version"},
	    {"{\"type\":\"hello\",\"version\":2}", "this limpet speaks version 1 of the protocol"},
	    {"{\"type\":\"hello\",\"version\":1,\"pool\":1}", "pool and slot are names of 1 to 64 bytes"},
	    {"{\"type\":\"hello\",\"version\":1,\"slot\":\"\"}", "pool and slot are names of 1 to 64 bytes"},
	    {"{\"type\":\"hello\",\"version\":1,\"slot\":\"a\\u0000\"}", "pool and slot are names of 1 to 64 bytes"},
	    {"{\"type\":\"hello\",\"version\":1,\"slot\":\"12345678901234567890123456789012345678901234567890123456789012345\"}",
		"pool and slot are names of 1 to 64 bytes"},
	    {"{\"type\":\"hello\",\"version\":1,\"capabilities\":\"stats\"}", "capabilities are at most 16 strings of at most 32 bytes"},
	    {"{\"type\":\"hello\",\"version\":1,\"capabilities\":[1]}", "capabilities are at most 16 strings of at most 32 bytes"},
	    {"{\"type\":\"hello\",\"version\":1,\"protocol\":\"auto\"}", "there is no such protocol or flavour"},
	    {"{\"type\":\"hello\",\"version\":1,\"protocol\":\"node-ipc\"}", "there is no such protocol or flavour"},
	    {"{\"type\":\"hello\",\"version\":1,\"protocol\":\"accept\",\"flavour\":\"socket.io\"}", "there is no such protocol or flavour"},
	    {"{\"type\":\"hello\",\"version\":1,\"ready\":\"yes\"}", "ready is true or false"},
	};
	char *longest = malloc(HELLO_MAX + 64);

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_string_equal(refusal(bad[i].text), bad[i].why);
	snprintf(longest, HELLO_MAX + 64, "{\"type\":\"hello\",\"version\":1,\"x\":\"%0*d\"}", HELLO_MAX - 40, 0);
	assert_null(refusal(longest));
	snprintf(longest, HELLO_MAX + 64, "{\"type\":\"hello\",\"version\":1,\"x\":\"%0*d\"}", HELLO_MAX, 0);
	assert_non_null(refusal(longest));
	free(longest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(good_ones),
	    cmocka_unit_test(bad_ones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
