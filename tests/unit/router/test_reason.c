/* Tests of src/router/reason.c: the answers that clients get from the front itself. */
#include "testing.h"

#include <stdio.h>

#include "router/reason.h"

static const char *field(const char *text, const char *name)
{
	char line[64];
	const char *found;

	snprintf(line, sizeof(line), "\r\n%s: ", name);
	found = strstr(text, line);
	return found ? found + strlen(line) : NULL;
}

static void every_answer_is_a_whole_http_response(void **state)
{
	for (int i = 0; i < CLOSE_REASON_COUNT; i++) {
		const struct close_reason_description *reason = &close_reasons[i];
		size_t length;
		const char *text = answer_text(reason->status, &length), *body;
		char line[32];

		assert_string_equal(counter_descriptions[reason->counter].name, reason->name);
		assert_int_equal(length, strlen(text));
		if (!reason->status) {
			assert_int_equal(length, 0);
			continue;
		}
		assert_in_range(reason->status, 400, 599);
		snprintf(line, sizeof(line), "HTTP/1.1 %u ", reason->status);
		assert_ptr_equal(strstr(text, line), text);
		assert_ptr_equal(strstr(field(text, "Connection"), "close\r\n"), field(text, "Connection"));
		body = strstr(text, "\r\n\r\n");
		assert_non_null(body);
		assert_int_equal(strtoul(field(text, "Content-Length"), NULL, 10), strlen(body + 4));
		/* RFC 9110: with 429 and 503 the client is told when to come back. */
		assert_int_equal(
		    field(text, "Retry-After") != NULL, reason->status == 429 || reason->status == 503);
	}
}

static void no_two_reasons_share_a_counter(void **state)
{
	for (int i = 0; i < CLOSE_REASON_COUNT; i++)
		for (int j = 0; j < i; j++)
			assert_int_not_equal(close_reasons[i].counter, close_reasons[j].counter);
}

static void a_status_without_a_text_gets_none(void **state)
{
	static const unsigned none[] = {0, 200, 404, 500, UINT32_MAX};

	for (size_t i = 0; i < COUNT(none); i++) {
		size_t length = 1;

		assert_string_equal(answer_text(none[i], &length), "");
		assert_int_equal(length, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_answer_is_a_whole_http_response),
	    cmocka_unit_test(no_two_reasons_share_a_counter),
	    cmocka_unit_test(a_status_without_a_text_gets_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
