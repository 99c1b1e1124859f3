#include "loading.h"

#include "config/units.h"

static const struct {
	const char *text;
	enum units_result duration;
	uint64_t milliseconds;
	enum units_result size;
	uint64_t bytes;
} texts[] = {
    {"250ms", UNITS_OK, 250, UNITS_INVALID, 0},
    {"10s", UNITS_OK, 10000, UNITS_INVALID, 0},
    {"5m", UNITS_OK, 300000, UNITS_OK, 5 * 1024 * 1024},
    {"2h", UNITS_OK, 7200000, UNITS_INVALID, 0},
    {"1d", UNITS_OK, 86400000, UNITS_INVALID, 0},
    {"0s", UNITS_OK, 0, UNITS_INVALID, 0},
    {"007s", UNITS_OK, 7000, UNITS_INVALID, 0},
    {"16k", UNITS_INVALID, 0, UNITS_OK, 16384},
    {"16K", UNITS_INVALID, 0, UNITS_OK, 16384},
    {"1g", UNITS_INVALID, 0, UNITS_OK, 1073741824},
    {"10", UNITS_NO_UNIT, 0, UNITS_OK, 10},
    {"0", UNITS_NO_UNIT, 0, UNITS_OK, 0},
    {"10S", UNITS_INVALID, 0, UNITS_INVALID, 0},
    {"", UNITS_INVALID, 0, UNITS_INVALID, 0},
    {"s", UNITS_INVALID, 0, UNITS_INVALID, 0},
    {"k", UNITS_INVALID, 0, UNITS_INVALID, 0},
    {"-1s", UNITS_INVALID, 0, UNITS_INVALID, 0},
    {"+1s", UNITS_INVALID, 0, UNITS_INVALID, 0},
    {" 1s", UNITS_INVALID, 0, UNITS_INVALID, 0},
    {"1s ", UNITS_INVALID, 0, UNITS_INVALID, 0},
    {"1 s", UNITS_INVALID, 0, UNITS_INVALID, 0},
    {"1.5s", UNITS_INVALID, 0, UNITS_INVALID, 0},
    {"1e3ms", UNITS_INVALID, 0, UNITS_INVALID, 0},
    {"1m30s", UNITS_INVALID, 0, UNITS_INVALID, 0},
    {"18446744073709551615ms", UNITS_OK, UINT64_MAX, UNITS_INVALID, 0},
    {"18446744073709551616ms", UNITS_TOO_BIG, 0, UNITS_INVALID, 0},
    {"18446744073709551615s", UNITS_TOO_BIG, 0, UNITS_INVALID, 0},
    {"18446744073709551615", UNITS_NO_UNIT, 0, UNITS_OK, UINT64_MAX},
    {"18446744073709551616", UNITS_NO_UNIT, 0, UNITS_TOO_BIG, 0},
    {"18014398509481984k", UNITS_INVALID, 0, UNITS_TOO_BIG, 0},
    {"99999999999999999999999999999999x", UNITS_INVALID, 0, UNITS_INVALID, 0},
};

static void test_parse(void **state)
{
	for (size_t i = 0; i < COUNT(texts); i++) {
		uint64_t value = 4711;

		print_message("%s\n", texts[i].text);
		assert_int_equal(duration_parse(&value, texts[i].text), texts[i].duration);
		assert_true(value == (texts[i].duration == UNITS_OK ? texts[i].milliseconds : 4711));
		value = 4711;
		assert_int_equal(size_parse(&value, texts[i].text), texts[i].size);
		assert_true(value == (texts[i].size == UNITS_OK ? texts[i].bytes : 4711));
	}
}

static void test_format(void **state)
{
	static const uint64_t values[] = {0, 1, 999, 1000, 1001, 1024, 60000, 90000, 3600000, 86400000,
	    172800000, 1 << 20, 1 << 30, UINT64_MAX};
	char text[UNITS_TEXT_MAX];

	assert_string_equal(duration_format(0, text), "0s");
	assert_string_equal(duration_format(1500, text), "1500ms");
	assert_string_equal(duration_format(90000, text), "90s");
	assert_string_equal(duration_format(604800000, text), "7d");
	assert_string_equal(size_format(0, text), "0");
	assert_string_equal(size_format(1000, text), "1000");
	assert_string_equal(size_format(65536, text), "64k");
	for (size_t i = 0; i < COUNT(values); i++) {
		uint64_t back = 4711;

		assert_int_equal(duration_parse(&back, duration_format(values[i], text)), UNITS_OK);
		assert_true(back == values[i]);
		assert_int_equal(size_parse(&back, size_format(values[i], text)), UNITS_OK);
		assert_true(back == values[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_parse), cmocka_unit_test(test_format)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
