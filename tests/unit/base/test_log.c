/* Tests of src/base/log.c. The log goes to files of the test, so that the lines can be read back. */
#include "testing.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/log.h"

static char directory[] = "/tmp/limpet-test-log-XXXXXX", path[64], moved[64];

static int make_directory(void **state)
{
	if (!mkdtemp(directory))
		return -1;
	snprintf(path, sizeof(path), "%s/log", directory);
	snprintf(moved, sizeof(moved), "%s/log.1", directory);
	return 0;
}

static int remove_directory(void **state)
{
	log_open(NULL);
	unlink(path);
	unlink(moved);
	return rmdir(directory);
}

static int fresh_log(void **state)
{
	log_open(NULL);
	unlink(path);
	unlink(moved);
	return log_open(path);
}

/* What the file holds, NUL-terminated. */
static const char *content(const char *name)
{
	static char text[65536];
	int fd = open(name, O_RDONLY | O_CLOEXEC);
	ssize_t length;

	assert_true(fd >= 0);
	length = read(fd, text, sizeof(text) - 1);
	assert_true(length >= 0);
	text[length] = '\0';
	close(fd);
	return text;
}

static void writes_levels_up_to_the_configured(void **state)
{
	static const char *const names[] = {"error: a", "warning: b", "x: c", "x: d"};

	for (int level = LOG_LEVEL_ERROR; level <= LOG_LEVEL_DEBUG; level++) {
		fresh_log(state);
		log_configure("x", (enum log_level)level, LOG_FORMAT_TEXT);
		log_error("a");
		log_warning("b");
		log_info("c");
		log_debug("d");
		for (int i = LOG_LEVEL_ERROR; i <= LOG_LEVEL_DEBUG; i++) {
			assert_int_equal(log_enabled((enum log_level)i), i <= level);
			assert_int_equal(strstr(content(path), names[i]) != NULL, i <= level);
		}
	}
}

static void a_line_in_a_file_has_a_time(void **state)
{
	int year, milliseconds, at = 0;

	log_configure("who", LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	log_info("%s %d", "hello", 5);
	assert_int_equal(
	    sscanf(content(path), "%4d-%*2d-%*2dT%*2d:%*2d:%*2d.%3dZ %n", &year, &milliseconds, &at), 2);
	assert_string_equal(content(path) + at, "who: hello 5\n");
}

static void control_characters_do_not_reach_a_terminal(void **state)
{
	log_configure("x", LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	log_info("%s", "a\nb\r\t\x1b[31m\x7f"
	               "c\"\\");
	assert_non_null(strstr(content(path), "x: a\\x0ab\\x0d\\x09\\x1b[31m\\x7fc\"\\\n"));
}

static void json_is_json(void **state)
{
	const char *text;

	log_configure("x", LOG_LEVEL_INFO, LOG_FORMAT_JSON);
	log_warning("%s", "say \"hi\" \\ \n\x1b");
	text = content(path);
	assert_ptr_equal(strstr(text, "{\"time\":\""), text);
	assert_non_null(strstr(text, "\"level\":\"warning\",\"process\":\"x\",\"pid\":"));
	assert_non_null(strstr(text, "\"message\":\"say \\\"hi\\\" \\\\ \\u000a\\u001b\"}\n"));
}

/* JSON is UTF-8: readers refuse a line, or a whole file, with anything else in it. */
static void json_is_utf8(void **state)
{
	static const struct {
		const char *message, *written;
	} table[] = {
	    {"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x90\x9a",
	        "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x90\x9a"},
	    {"a\xff"
	     "b",
	        "a\\ufffdb"},
	    {"\xc3", "\\ufffd"},
	    {"\xc3(", "\\ufffd("},
	    {"\xe2\x82", "\\ufffd\\ufffd"},
	    {"\xc0\xaf", "\\ufffd\\ufffd"},
	    {"\xed\xa0\x80", "\\ufffd\\ufffd\\ufffd"},
	    {"\xf4\x90\x80\x80", "\\ufffd\\ufffd\\ufffd\\ufffd"},
	    {"\x80", "\\ufffd"},
	};

	log_configure("x", LOG_LEVEL_INFO, LOG_FORMAT_JSON);
	for (size_t i = 0; i < COUNT(table); i++) {
		char expected[128];

		fresh_log(state);
		log_info("%s", table[i].message);
		snprintf(expected, sizeof(expected), "\"message\":\"%s\"}\n", table[i].written);
		if (!strstr(content(path), expected))
			fail_msg("line %zu: %s", i, content(path));
	}
}

static void long_lines_are_cut_and_stay_lines(void **state)
{
	static char text[20000];
	static const char fill[] = {'a', '\x01', '"'};

	for (int format = LOG_FORMAT_TEXT; format <= LOG_FORMAT_JSON; format++) {
		for (size_t i = 0; i < sizeof(fill); i++) {
			const char *line;

			fresh_log(state);
			memset(text, fill[i], sizeof(text) - 1);
			log_configure("x", LOG_LEVEL_INFO, (enum log_format)format);
			log_info("%s", text);
			line = content(path);
			assert_in_range(strlen(line), 1000, 4096);
			assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
			if (format == LOG_FORMAT_JSON)
				assert_string_equal(line + strlen(line) - 3, "\"}\n");
		}
	}
}

static void is_reopened_after_a_rotation(void **state)
{
	struct stat status;

	log_configure("x", LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	log_info("one");
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 07777 & 0137, 0); /* not more than 0640 */
	assert_int_equal(rename(path, moved), 0);
	log_info("two");
	assert_int_equal(log_reopen(), 0);
	log_info("three");
	assert_non_null(strstr(content(moved), "two"));
	assert_null(strstr(content(moved), "three"));
	assert_non_null(strstr(content(path), "three"));
	assert_null(strstr(content(path), "two"));
}

static void what_cannot_be_opened_changes_nothing(void **state)
{
	unsigned before = open_fds();

	log_configure("x", LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	assert_int_equal(log_open("/nonexistent/log"), -ENOENT);
	log_info("still here");
	assert_non_null(strstr(content(path), "still here"));
	assert_int_equal(rename(path, moved), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(log_reopen(), -EISDIR);
	assert_int_equal(rmdir(path), 0);
	log_info("here too");
	assert_non_null(strstr(content(moved), "here too"));
	assert_int_equal(open_fds(), before);
}

static void adopts_a_file_of_another_process(void **state)
{
	unsigned before = open_fds();
	int fd = open(moved, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	log_configure("x", LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	log_adopt(fd);
	assert_int_equal(log_fd(), fd);
	log_info("adopted");
	assert_non_null(strstr(content(moved), "adopted"));
	assert_string_equal(content(path), "");
	assert_int_equal(open_fds(), before); /* the former one was closed */
}

static void leaves_errno_alone(void **state)
{
	log_configure("x", LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	errno = ENOTTY;
	log_info("a");
	assert_int_equal(errno, ENOTTY);
	log_adopt(open("/dev/full", O_WRONLY | O_CLOEXEC));
	errno = ENOTTY;
	log_info("a");
	assert_int_equal(errno, ENOTTY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(writes_levels_up_to_the_configured, fresh_log),
	    cmocka_unit_test_setup(a_line_in_a_file_has_a_time, fresh_log),
	    cmocka_unit_test_setup(control_characters_do_not_reach_a_terminal, fresh_log),
	    cmocka_unit_test_setup(json_is_json, fresh_log),
	    cmocka_unit_test_setup(json_is_utf8, fresh_log),
	    cmocka_unit_test_setup(long_lines_are_cut_and_stay_lines, fresh_log),
	    cmocka_unit_test_setup(is_reopened_after_a_rotation, fresh_log),
	    cmocka_unit_test_setup(what_cannot_be_opened_changes_nothing, fresh_log),
	    cmocka_unit_test_setup(adopts_a_file_of_another_process, fresh_log),
	    cmocka_unit_test_setup(leaves_errno_alone, fresh_log),
	};

	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
