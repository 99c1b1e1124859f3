#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>
#include <string.h>

#include "channel/json_text.h"

static void strings_are_escaped(void **state)
{
	static const struct {
		const char *string, *json;
	} good[] = {
	    {NULL, "\"\""},
	    {"", "\"\""},
	    {"web", "\"web\""},
	    {"a\"b\\c/d", "\"a\\\"b\\\\c/d\""},
	    {"\n\r\t\x01\x1f\x7f", "\"\\u000a\\u000d\\u0009\\u0001\\u001f\\u007f\""},
	    {"\",\"id\":1,\"x\":\"", "\"\\\",\\\"id\\\":1,\\\"x\\\":\\\"\""},
	    {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x90\x9a", "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x90\x9a\""},
	    /* cut short, overlong, a surrogate, too large, a lone continuation */
	    {"\xc3", "\"?\""},
	    {"\xe2\x82", "\"??\""},
	    {"\xf0\x9f\x90", "\"???\""},
	    {"\xc0\xaf", "\"??\""},
	    {"\xe0\x80\xaf", "\"???\""},
	    {"\xf0\x80\x80\xaf", "\"????\""},
	    {"\xed\xa0\x80", "\"???\""},
	    {"\xf4\x90\x80\x80", "\"????\""},
	    {"\xf5\x80\x80\x80", "\"????\""},
	    {"a\x80z", "\"a?z\""},
	    {"\xff\xfe", "\"??\""},
	};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		char bytes[128];
		struct json_text text = JSON_TEXT(bytes);
		json_t *read;

		json_text_string(&text, good[i].string);
		assert_false(text.full);
		assert_int_equal(text.length, strlen(good[i].json));
		assert_memory_equal(bytes, good[i].json, text.length);
		read = json_loadb(bytes, text.length, JSON_DECODE_ANY, NULL);
		assert_non_null(read);
		json_decref(read);
	}
}

static void what_does_not_fit_is_said_to_be_full(void **state)
{
	char bytes[8];
	struct json_text text = JSON_TEXT(bytes);

	json_text_add(&text, "%d", 1234567);
	assert_false(text.full);
	json_text_raw(&text, "x", 1);
	assert_false(text.full);
	json_text_raw(&text, "x", 1);
	assert_true(text.full);

	text = JSON_TEXT(bytes);
	json_text_add(&text, "%d", 12345678);
	assert_true(text.full);
	json_text_string(&text, "x");
	assert_true(text.full);
	assert_int_equal(text.length, 0);

	text = JSON_TEXT(bytes);
	json_text_string(&text, "1234567");
	assert_true(text.full);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(strings_are_escaped),
	    cmocka_unit_test(what_does_not_fit_is_said_to_be_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
