#include "testing.h"

#include <math.h>
#include <stdio.h>

#include "message.h"

static struct limpet_message message;

static enum limpet_message_type type_of(const char *text)
{
	limpet_message_read(&message, text, strlen(text));
	return message.type;
}

static void test_connection(void **state)
{
	assert_int_equal(type_of("{\"type\":\"connection\",\"id\":2147483647,\"listener\":\"web\","
	                         "\"client\":\"[2001:db8::1]:51123\",\"key\":\"ip\",\"new\":[{}]}"),
	    LIMPET_MESSAGE_CONNECTION);
	assert_int_equal(message.id, 2147483647);
	assert_string_equal(message.listener, "web");
	assert_string_equal(message.client, "[2001:db8::1]:51123");
	assert_string_equal(message.key, "ip");
}

static void test_texts_that_are_not_as_they_should_be_count_as_absent(void **state)
{
	char text[512];

	assert_int_equal(
	    type_of("{\"type\":\"connection\",\"id\":0,\"listener\":7,\"client\":null,\"key\":\"a\\u0000\"}"),
	    LIMPET_MESSAGE_CONNECTION);
	assert_string_equal(message.listener, "");
	assert_string_equal(message.client, "");
	assert_string_equal(message.key, "");
	snprintf(text, sizeof(text), "{\"type\":\"connection\",\"id\":0,\"client\":\"%0200d\"}", 1);
	assert_int_equal(type_of(text), LIMPET_MESSAGE_CONNECTION);
	assert_string_equal(message.client, "");
}

static void test_others(void **state)
{
	assert_int_equal(type_of("{\"type\":\"drain\"}"), LIMPET_MESSAGE_DRAIN);
	assert_int_equal(type_of("{\"id\":1,\"type\":\"ping\"}"), LIMPET_MESSAGE_PING);
	assert_int_equal(message.id, 1);
	assert_int_equal(type_of("{\"type\":\"pong\",\"id\":9}"), LIMPET_MESSAGE_PONG);
	assert_int_equal(type_of("{\"type\":\"welcome\",\"version\":1,\"pool\":\"chat\",\"slot\":\"2\"}"),
	    LIMPET_MESSAGE_WELCOME);
	assert_int_equal(message.version, 1);
	assert_string_equal(message.pool, "chat");
	assert_string_equal(message.slot, "2");
	assert_int_equal(type_of("{\"type\":\"bye\",\"reason\":\"no such pool\"}"), LIMPET_MESSAGE_BYE);
	assert_string_equal(message.reason, "no such pool");
	assert_int_equal(type_of("{\"type\":\"bye\"}"), LIMPET_MESSAGE_BYE);
	assert_string_equal(message.reason, "");
}

static void test_skipped(void **state)
{
	static const char *const skipped[] = {
	    "",
	    "x",
	    "[]",
	    "{}",
	    "{\"type\":7}",
	    "{\"type\":\"weather\"}",
	    "{\"type\":\"a type that is longer than any\"}",
	    "{\"type\":\"connection\"}",
	    "{\"type\":\"connection\",\"id\":-1}",
	    "{\"type\":\"connection\",\"id\":1.0}",
	    "{\"type\":\"connection\",\"id\":2147483648}",
	    "{\"type\":\"connection\",\"id\":1,\"id\":2}",
	    "{\"type\":\"connection\",\"id\":1}x",
	    "{\"type\":\"ping\"}",
	    "{\"type\":\"ping\",\"id\":\"1\"}",
	    "{\"type\":\"pong\"}",
	    "{\"type\":\"welcome\"}",
	    "{\"type\":\"welcome\",\"version\":\"1\"}",
	};
	char huge[LIMPET_MESSAGE_MAX + 1];

	for (size_t i = 0; i < COUNT(skipped); i++)
		if (type_of(skipped[i]))
			fail_msg("is read: %s", skipped[i]);
	memset(huge, ' ', sizeof(huge));
	memcpy(huge, "{\"type\":\"drain\"}", 16);
	limpet_message_read(&message, huge, sizeof(huge));
	assert_int_equal(message.type, LIMPET_MESSAGE_UNKNOWN);
	limpet_message_read(&message, huge, sizeof(huge) - 1);
	assert_int_equal(message.type, LIMPET_MESSAGE_DRAIN);
}

static void test_written(void **state)
{
	char bytes[256];
	size_t length = limpet_message_hello(bytes, sizeof(bytes), "chat", "2");

	assert_int_equal(length, strlen(bytes));
	assert_string_equal(bytes, "{\"type\":\"hello\",\"version\":1,\"pool\":\"chat\",\"slot\":\"2\","
	                           "\"capabilities\":[\"stats\"]}");
	limpet_message_hello(bytes, sizeof(bytes), "chat", "");
	assert_string_equal(
	    bytes, "{\"type\":\"hello\",\"version\":1,\"pool\":\"chat\",\"capabilities\":[\"stats\"]}");
	limpet_message_plain(bytes, sizeof(bytes), "ready");
	assert_string_equal(bytes, "{\"type\":\"ready\"}");
	limpet_message_number(bytes, sizeof(bytes), "closed", "count", UINT32_MAX);
	assert_string_equal(bytes, "{\"type\":\"closed\",\"count\":4294967295}");
	assert_int_equal(limpet_message_plain(bytes, 16, "ready"), 0);
	assert_int_equal(limpet_message_plain(bytes, 17, "ready"), 16);
}

static void test_stats(void **state)
{
	struct limpet_stat stats[LIMPET_STATS_MAX + 1] = {
	    {"rooms", 12}, {"load_1", 0.25}, {"a", -1e300}, {"b", 9007199254740993.}};
	char bytes[2048], longest[33 + 1] = "";

	assert_true(limpet_message_stats(bytes, sizeof(bytes), stats, 4));
	assert_string_equal(bytes, "{\"type\":\"stats\",\"values\":{\"rooms\":12,\"load_1\":0.25,"
	                           "\"a\":-1.0000000000000001e+300,\"b\":9007199254740992}}");
	assert_true(limpet_message_stats(bytes, sizeof(bytes), NULL, 0));
	assert_string_equal(bytes, "{\"type\":\"stats\",\"values\":{}}");
	/* The longest there is fits. */
	memset(longest, 'x', 32);
	for (size_t i = 0; i < COUNT(stats); i++)
		stats[i] = (struct limpet_stat){longest, -1.2345678901234567e-300};
	assert_true(limpet_message_stats(bytes, sizeof(bytes), stats, LIMPET_STATS_MAX));
	assert_false(limpet_message_stats(bytes, sizeof(bytes), stats, LIMPET_STATS_MAX + 1));
	longest[32] = 'x';
	assert_false(limpet_message_stats(bytes, sizeof(bytes), stats, 1));
}

static void test_stats_that_limpet_would_skip(void **state)
{
	const struct limpet_stat bad[] = {{"", 1}, {NULL, 1}, {"Rooms", 1}, {"a b", 1}, {"\"", 1}, {"a", NAN},
	    {"a", INFINITY}, {"a", -INFINITY}};
	char bytes[256];

	for (size_t i = 0; i < COUNT(bad); i++)
		assert_false(limpet_message_stats(bytes, sizeof(bytes), &bad[i], 1));
}

static void test_the_locale_does_not_matter(void **state)
{
	static const char *const numbers[][2] = {{"1234,5", "1234.5"}, {"-0,25e-07", "-0.25e-07"},
	    {"12", "12"}, {"1e+300", "1e+300"}, {"0.5", "0.5"}, {"1\331\2535", "1.5"}};

	for (size_t i = 0; i < COUNT(numbers); i++) {
		char number[32];

		strcpy(number, numbers[i][0]);
		limpet_decimal_point(number);
		assert_string_equal(number, numbers[i][1]);
	}
}

static void test_names(void **state)
{
	char name[66];

	assert_true(limpet_name_is_valid("chat-2.A_b"));
	assert_false(limpet_name_is_valid(""));
	assert_false(limpet_name_is_valid("a b"));
	assert_false(limpet_name_is_valid("\""));
	memset(name, 'a', sizeof(name));
	name[64] = '\0';
	assert_true(limpet_name_is_valid(name));
	name[64] = 'a';
	name[65] = '\0';
	assert_false(limpet_name_is_valid(name));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_connection),
	    cmocka_unit_test(test_texts_that_are_not_as_they_should_be_count_as_absent),
	    cmocka_unit_test(test_others),
	    cmocka_unit_test(test_skipped),
	    cmocka_unit_test(test_written),
	    cmocka_unit_test(test_stats),
	    cmocka_unit_test(test_stats_that_limpet_would_skip),
	    cmocka_unit_test(test_the_locale_does_not_matter),
	    cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
