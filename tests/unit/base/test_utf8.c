/* Tests of src/base/utf8.h. */
#include "testing.h"

#include <stdbool.h>

#include "base/utf8.h"

/* The bit pattern alone: also of what is no character, and longer than it need be. */
static size_t encode(unsigned code, size_t length, unsigned char *to)
{
	static const unsigned char first[] = {0, 0, 0xc0, 0xe0, 0xf0};

	for (size_t i = length; i-- > 1; code >>= 6)
		to[i] = (unsigned char)(0x80 | (code & 0x3f));
	to[0] = (unsigned char)(first[length] | code);
	return length;
}

static size_t shortest(unsigned code)
{
	return code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
}

static void every_code_point(void **state)
{
	for (unsigned code = 0; code < 0x200000; code++) {
		bool character = code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);

		for (size_t length = 2; length <= 4; length++) {
			unsigned char bytes[4];

			if (length < shortest(code))
				continue;
			encode(code, length, bytes);
			assert_int_equal(utf8_sequence_length(bytes, length),
			    character && length == shortest(code) ? length : 0);
			assert_int_equal(utf8_sequence_length(bytes, length - 1), 0);
		}
	}
}

static void what_begins_none(void **state)
{
	for (unsigned first = 0; first < 256; first++) {
		unsigned char bytes[4] = {(unsigned char)first, 'x', 'x', 'x'};

		assert_int_equal(utf8_sequence_length(bytes, 4), 0);
		assert_int_equal(utf8_sequence_length(bytes, 1), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_code_point),
	    cmocka_unit_test(what_begins_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
