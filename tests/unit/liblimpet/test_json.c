#include "testing.h"

#include <stdio.h>

#include "json.h"

static bool read_type(const char *text, struct limpet_json_member *type)
{
	*type = (struct limpet_json_member){.name = "type"};
	return limpet_json_object(text, strlen(text), type, 1);
}

static void test_good(void **state)
{
	static const char *const good[] = {
	    "{}",
	    " {\t}\r\n",
	    "{\"a\":1}",
	    "{ \"a\" : [ ] , \"b\" : { } }",
	    "{\"a\":[1,[2,{\"b\":null}],true,false]}",
	    "{\"a\":-0,\"b\":0.5e+10,\"c\":1E-2,\"d\":123456789012345678901234567890}",
	    "{\"\":\"\",\"\\u0000\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"}",
	    "{\"a\":\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x90\x9a\",\"b\":\"\\ud83d\\uDC1A\"}",
	    "{\"a\":1,\"a\":2}",
	    "{\"typ\":1,\"types\":2,\"type\":3}",
	};
	struct limpet_json_member type;

	for (size_t i = 0; i < COUNT(good); i++)
		if (!read_type(good[i], &type))
			fail_msg("is refused: %s", good[i]);
}

static void test_bad(void **state)
{
	static const char *const bad[] = {
	    "",
	    " ",
	    "{",
	    "}",
	    "[]",
	    "1",
	    "\"\"",
	    "null",
	    "{}{}",
	    "{} x",
	    "{\"a\"}",
	    "{\"a\":}",
	    "{\"a\":1,}",
	    "{,}",
	    "{a:1}",
	    "{'a':1}",
	    "{\"a\":1 \"b\":2}",
	    "{1:1}",
	    "{\"a\":01}",
	    "{\"a\":+1}",
	    "{\"a\":1.}",
	    "{\"a\":.5}",
	    "{\"a\":1e}",
	    "{\"a\":-}",
	    "{\"a\":NaN}",
	    "{\"a\":tru}",
	    "{\"a\":truex}",
	    "{\"a\":[1,]}",
	    "{\"a\":[1 2]}",
	    "{\"a\":[}",
	    "{\"a\":{]}",
	    "{\"a\":\"",
	    "{\"a\":\"\\",
	    "{\"a\":\"\\x\"}",
	    "{\"a\":\"\\u12\"}",
	    "{\"a\":\"\\u12g4\"}",
	    "{\"a\":\"\t\"}",
	    "{\"a\":\"\\ud800\"}",
	    "{\"a\":\"\\ud800x\"}",
	    "{\"a\":\"\\ud800\\u0041\"}",
	    "{\"a\":\"\\udc00\"}",
	    "{\"a\":\"\x80\"}",
	    "{\"a\":\"\xc3\"}",
	    "{\"a\":\"\xc0\xaf\"}",
	    "{\"a\":\"\xed\xa0\x80\"}",
	    "{\"a\":\"\xf4\x90\x80\x80\"}",
	    "{\"a\":\"\xe0\x80\x80\"}",
	    "{\"a\":\"\xf0\x80\x80\x80\"}",
	    "{\"\xff\":1}",
	    "\xef\xbb\xbf{}",
	    "{\"type\":1,\"type\":1}",
	    "{\"type\":1,\"ty\\u0070e\":1}",
	    "{\"a\":1/**/}",
	};
	struct limpet_json_member type;

	for (size_t i = 0; i < COUNT(bad); i++)
		if (read_type(bad[i], &type) || type.value)
			fail_msg("is taken: %s", bad[i]);
	/* A NUL is a byte like others. */
	type = (struct limpet_json_member){.name = "type"};
	assert_false(limpet_json_object("{}", 3, &type, 1));
	assert_false(limpet_json_object("{\"\0\":1}", 7, &type, 1));
}

static void test_every_beginning_of_a_text_is_refused(void **state)
{
	static const char whole[] =
	    "{\"type\":\"\\ud83d\\udc1a\xf0\x9f\x90\x9a\",\"list\":[true,null,-1.5e+3,{\"a\":\"\\n\"}]}";
	struct limpet_json_member type = {.name = "type"};

	assert_true(read_type(whole, &type));
	for (size_t length = 0; length < sizeof(whole) - 1; length++) {
		/* Of exactly this length, so that reading on shows. */
		char *copy = malloc(length ? length : 1);

		assert_non_null(copy);
		memcpy(copy, whole, length);
		assert_false(limpet_json_object(copy, length, &type, 1));
		free(copy);
	}
}

static bool nested(unsigned depth, char open, char close)
{
	char text[20000];
	struct limpet_json_member type;
	size_t length = (size_t)snprintf(text, sizeof(text), "{\"a\":");

	for (unsigned i = 1; i < depth; i++) {
		text[length++] = open;
		if (open == '{' && i + 1 < depth)
			length += (size_t)sprintf(text + length, "\"\":");
	}
	if (depth == 1)
		text[length++] = '1';
	for (unsigned i = 1; i < depth; i++)
		text[length++] = close;
	text[length++] = '}';
	text[length] = '\0';
	return read_type(text, &type);
}

static void test_depth(void **state)
{
	assert_true(nested(1, '[', ']'));
	assert_true(nested(LIMPET_JSON_DEPTH_MAX, '[', ']'));
	assert_true(nested(LIMPET_JSON_DEPTH_MAX, '{', '}'));
	assert_false(nested(LIMPET_JSON_DEPTH_MAX + 1, '[', ']'));
	assert_false(nested(LIMPET_JSON_DEPTH_MAX + 1, '{', '}'));
	assert_false(nested(3000, '[', ']'));
	assert_false(nested(3000, '{', '}'));
}

static void test_string(void **state)
{
	struct limpet_json_member type;
	char buffer[16];

	assert_true(read_type("{\"a\":\"b\",\"t\\u0079pe\":\"x\\n\\u20ac\\ud83d\\udc1a\"}", &type));
	assert_true(limpet_json_string(&type, buffer, sizeof(buffer)));
	assert_string_equal(buffer, "x\n\xe2\x82\xac\xf0\x9f\x90\x9a");
	assert_true(limpet_json_string(&type, buffer, 10));
	assert_false(limpet_json_string(&type, buffer, 9));
	assert_true(read_type("{\"type\":\"\"}", &type));
	assert_true(limpet_json_string(&type, buffer, 1));
	assert_string_equal(buffer, "");
	assert_true(read_type("{\"type\":\"a\\u0000b\"}", &type));
	assert_false(limpet_json_string(&type, buffer, sizeof(buffer)));
	assert_true(read_type("{\"type\":7}", &type));
	assert_false(limpet_json_string(&type, buffer, sizeof(buffer)));
	assert_true(read_type("{\"a\":7}", &type));
	assert_false(limpet_json_string(&type, buffer, sizeof(buffer)));
}

static bool number(const char *text, uint32_t maximum, uint32_t *value)
{
	struct limpet_json_member type;
	char whole[128];

	snprintf(whole, sizeof(whole), "{\"type\":%s}", text);
	assert_true(read_type(whole, &type));
	return limpet_json_number(&type, maximum, value);
}

static void test_number(void **state)
{
	static const char *const bad[] = {"-1", "-0", "1.0", "1e1", "2147483648", "4294967296", "99999999999",
	    "\"1\"", "null", "[1]", "true"};
	uint32_t value;

	assert_true(number("0", 0, &value));
	assert_int_equal(value, 0);
	assert_true(number("2147483647", INT32_MAX, &value));
	assert_int_equal(value, INT32_MAX);
	assert_true(number("4294967295", UINT32_MAX, &value));
	assert_int_equal(value, UINT32_MAX);
	assert_false(number("1", 0, &value));
	for (size_t i = 0; i < COUNT(bad); i++)
		if (number(bad[i], INT32_MAX, &value))
			fail_msg("is a number: %s", bad[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_good),
	    cmocka_unit_test(test_bad),
	    cmocka_unit_test(test_every_beginning_of_a_text_is_refused),
	    cmocka_unit_test(test_depth),
	    cmocka_unit_test(test_string),
	    cmocka_unit_test(test_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
