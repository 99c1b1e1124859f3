#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include "channel/line_stream.h"

struct seen {
	char text[4096]; /* "[line][line]"; cut ones as "<length>" */
	size_t stop_after;
};

static bool see(void *context, const char *line, size_t length, bool whole)
{
	struct seen *seen = context;
	size_t at = strlen(seen->text);

	if (whole && length < 64)
		snprintf(seen->text + at, sizeof(seen->text) - at, "[%.*s]", (int)length, length ? line : "");
	else
		snprintf(seen->text + at, sizeof(seen->text) - at, whole ? "(%zu)" : "<%zu>", length);
	return !seen->stop_after || --seen->stop_after;
}

static const struct {
	const char *bytes, *lines;
} good[] = {
    {"", ""},
    {"\n", "[]"},
    {"a", ""},
    {"a\n", "[a]"},
    {"a\nbc\n", "[a][bc]"},
    {"\n\n\n", "[][][]"},
    {"{\"a\":1}\npart", "[{\"a\":1}]"},
};

static void lines_are_cut_wherever_the_pieces_end(void **state)
{
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		for (size_t piece = 1; piece <= 16; piece++) {
			struct line_stream stream;
			struct seen seen = {0};

			line_stream_init(&stream);
			for (size_t at = 0, length = strlen(good[i].bytes); at < length; at += piece)
				assert_int_equal(line_stream_feed(&stream, good[i].bytes + at,
				                     length - at < piece ? length - at : piece, see, &seen),
				    0);
			assert_string_equal(seen.text, good[i].lines);
			line_stream_deinit(&stream);
		}
	}
}

static void long_lines_take_bounded_memory(void **state)
{
	static const struct {
		size_t length;
		const char *seen;
	} lines[] = {
	    {LINE_MAX_BYTES - 1, "(65535)[next]"},
	    {LINE_MAX_BYTES, "(65536)[next]"},
	    {LINE_MAX_BYTES + 1, "<64>[next]"},
	    {1024 * 1024, "<64>[next]"},
	    {32 * 1024 * 1024, "<64>[next]"},
	};
	static const size_t pieces[] = {16384, 1021, 1u << 30};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		char *bytes = malloc(lines[i].length + 6);

		memset(bytes, 'x', lines[i].length);
		memcpy(bytes + lines[i].length, "\nnext\n", 6);
		for (size_t p = 0; p < sizeof(pieces) / sizeof(pieces[0]); p++) {
			struct line_stream stream;
			struct seen seen = {0};
			size_t length = lines[i].length + 6;

			line_stream_init(&stream);
			for (size_t at = 0; at < length; at += pieces[p]) {
				line_stream_feed(&stream, bytes + at,
				    length - at < pieces[p] ? length - at : pieces[p], see, &seen);
				assert_true(stream.capacity <= LINE_MAX_BYTES);
			}
			assert_string_equal(seen.text, lines[i].seen);
			assert_true(stream.capacity <= 4096);
			line_stream_deinit(&stream);
		}
		free(bytes);
	}
}

static void the_callback_may_stop_it(void **state)
{
	struct line_stream stream;
	struct seen seen = {.stop_after = 2};

	line_stream_init(&stream);
	line_stream_feed(&stream, "a\nb\nc\nd\n", 8, see, &seen);
	assert_string_equal(seen.text, "[a][b]");
	line_stream_deinit(&stream);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(lines_are_cut_wherever_the_pieces_end),
	    cmocka_unit_test(long_lines_take_bounded_memory),
	    cmocka_unit_test(the_callback_may_stop_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
