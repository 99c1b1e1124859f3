/* Tests of src/route/span.c. */
#include "cmocka_all.h"
#include "route/span.h"

static struct span span(const char *text)
{
	return (struct span){text, strlen(text)};
}

static void trims_blanks_and_line_ends(void **state)
{
	static const char *const table[][2] = {{"", ""}, {" ", ""}, {" \t\r\n", ""}, {"a", "a"},
	    {"  a b\t", "a b"}, {"\r\n a", "a"}, {"a\r\n ", "a"}};

	for (size_t i = 0; i < COUNT(table); i++) {
		struct span trimmed = span_trim(span(table[i][0]));

		assert_int_equal(trimmed.length, strlen(table[i][1]));
		assert_memory_equal(trimmed.at, table[i][1], trimmed.length);
	}
	assert_int_equal(span_trim((struct span){NULL, 0}).length, 0);
}

static void compares(void **state)
{
	assert_true(span_equal(span("abc"), "abc"));
	assert_false(span_equal(span("abc"), "abd"));
	assert_false(span_equal(span("abc"), "abcd"));
	assert_false(span_equal(span("abcd"), "abc"));
	assert_false(span_equal(span("abc"), "ABC"));
	assert_true(span_equal((struct span){NULL, 0}, ""));
	assert_true(span_equal_nocase(span("Cookie"), "cOOKIE"));
	assert_true(span_equal_nocase(span("aZ09-_"), "Az09-_"));
	assert_false(span_equal_nocase(span("cookie"), "cookies"));
	assert_false(span_equal_nocase(span("cookies"), "cookie"));
	/* Neighbours of the letters, 32 apart. */
	assert_false(span_equal_nocase(span("@"), "`"));
	assert_false(span_equal_nocase(span("["), "{"));
	assert_false(span_equal_nocase(span("\xc4"), "\xe4"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(trims_blanks_and_line_ends),
	    cmocka_unit_test(compares),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
