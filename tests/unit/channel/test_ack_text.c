/* Tests of src/channel/ack_text.c. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#include "channel/ack_text.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void reads_what_libraries_write(void **state)
{
	static const struct {
		const char *text;
		enum ack_text kind;
		uint32_t number;
	} good[] = {
	    {"{\"type\":\"ack\",\"id\":7}", ACK_TEXT_ID, 7},
	    {"{\"type\": \"ack\", \"id\": 7}", ACK_TEXT_ID, 7},
	    {"{\"type\":\"ack\",\"id\":0}", ACK_TEXT_ID, 0},
	    {"{\"type\":\"ack\",\"id\":2147483647}", ACK_TEXT_ID, INT32_MAX},
	    {"{\"type\":\"ack\",\"through\":1234567890}", ACK_TEXT_THROUGH, 1234567890},
	    {"{\"type\": \"ack\", \"through\": 10}", ACK_TEXT_THROUGH, 10},
	};

	for (size_t i = 0; i < COUNT(good); i++) {
		uint32_t number = 99;

		assert_int_equal(ack_text_parse(good[i].text, strlen(good[i].text), &number), good[i].kind);
		assert_int_equal(number, good[i].number);
	}
}

static void leaves_the_rest_to_a_parser(void **state)
{
	static const char *const others[] = {
	    "",
	    "{",
	    "{}",
	    "{\"type\":\"ack\"}",
	    "{\"type\":\"ack\",\"id\":}",
	    "{\"type\":\"ack\",\"id\":-1}",
	    "{\"type\":\"ack\",\"id\":01}",
	    "{\"type\":\"ack\",\"id\":1.0}",
	    "{\"type\":\"ack\",\"id\":1e1}",
	    "{\"type\":\"ack\",\"id\":2147483648}",
	    "{\"type\":\"ack\",\"id\":9999999999}",
	    "{\"type\":\"ack\",\"id\":10000000000}",
	    "{\"type\":\"ack\",\"id\":\"7\"}",
	    "{\"type\":\"ack\",\"id\":7}}",
	    "{\"type\":\"ack\",\"id\":7} ",
	    "{\"type\":\"ack\",\"id\":7,\"id\":8}",
	    "{\"type\":\"ack\",\"id\":7,\"through\":8}",
	    " {\"type\":\"ack\",\"id\":7}",
	    "{\"id\":7,\"type\":\"ack\"}",
	    "{\"type\":  \"ack\",\"id\":7}",
	    "{\"type\":\"acknowledge\",\"id\":7}",
	    "{\"type\":\"refuse\",\"id\":7}",
	    "{\"type\":\"ack\",\"throughout\":7}",
	};

	for (size_t i = 0; i < COUNT(others); i++) {
		uint32_t number;

		assert_int_equal(ack_text_parse(others[i], strlen(others[i]), &number), ACK_TEXT_OTHER);
	}
}

/* Cut anywhere it is something else, and nothing behind the end is looked at. */
static void stays_within_its_bytes(void **state)
{
	static const char whole[] = "{\"type\": \"ack\", \"through\": 1234567890}";
	size_t length = sizeof(whole) - 1;
	uint32_t number;

	for (size_t i = 0; i < length; i++) {
		char *part = malloc(i ? i : 1);

		assert_non_null(part);
		memcpy(part, whole, i);
		assert_int_equal(ack_text_parse(part, i, &number), ACK_TEXT_OTHER);
		free(part);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(reads_what_libraries_write),
	    cmocka_unit_test(leaves_the_rest_to_a_parser),
	    cmocka_unit_test(stays_within_its_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
