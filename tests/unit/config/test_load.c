#include "loading.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[] = "/tmp/limpet-test-XXXXXX";

static int make_directory(void **state)
{
	return mkdtemp(directory) == NULL || chdir(directory) < 0 ? -1 : 0;
}

static int remove_directory(void **state)
{
	unlink("f.json");
	unlink("fifo");
	return chdir("/") < 0 || rmdir(directory) < 0 ? -1 : 0;
}

static void write_file(const char *text, size_t length)
{
	FILE *file = fopen("f.json", "w");

	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, length, file), length);
	assert_int_equal(fclose(file), 0);
}

static void expect(const char *file, const char *control, const char *expected)
{
	struct config_options options = {.file = file, .control = control};
	struct config *config = NULL;
	char *messages = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&messages, &size);
	int r = config_load(&config, &options, out);

	fclose(out);
	assert_string_equal(messages, expected);
	assert_int_equal(r, expected[0] == '\0' ? 0 : -EINVAL);
	if (r == 0) {
		assert_string_equal(config->file, file);
		if (control != NULL)
			assert_string_equal(config->control, control);
	} else {
		assert_null(config);
	}
	config_free(config);
	free(messages);
}

static void test_no_files(void **state)
{
	assert_int_equal(mkfifo("fifo", 0600), 0);
	expect("none.json", NULL, "none.json: open failed: No such file or directory\n");
	expect("", NULL, ": open failed: No such file or directory\n");
	expect(".", NULL, ".: read failed: Is a directory\n");
	expect("/dev/zero", NULL, "/dev/zero: is not a regular file\n");
	expect("fifo", NULL, "fifo: is not a regular file\n");
}

static void test_unreadable(void **state)
{
	uid_t uid = geteuid();

	write_file("{}", 2);
	assert_int_equal(chmod("f.json", 0), 0);
	assert_int_equal(chmod(".", 0755), 0);
	/* Root may read everything. */
	if (uid == 0)
		assert_int_equal(seteuid(65534), 0);
	expect("f.json", NULL, "f.json: open failed: Permission denied\n");
	assert_int_equal(seteuid(uid), 0);
	unlink("f.json");
}

static void test_files(void **state)
{
	static const char good[] = "{\"control\": \"/from/file\", " POOLS "}";
	char control[200];

	write_file(good, strlen(good));
	expect("f.json", NULL, "");
	expect("f.json", "/other", "");
	expect("f.json", "", "limpet: --control: a path has 1 to 107 bytes\n");
	memset(control, 'x', sizeof control - 1);
	control[sizeof control - 1] = '\0';
	expect("f.json", control, "limpet: --control: a path has 1 to 107 bytes\n");
	write_file("{\n", 2);
	expect("f.json", NULL, "f.json:2:1: string or '}' expected near end of file\n");
	write_file("", 0);
	expect("f.json", NULL, "f.json:1:1: '[' or '{' expected near end of file\n");
	write_file("{\"a\0\"}", 6);
	expect("f.json", NULL, "f.json:1:4: NUL byte; this is no text file\n");
}

static void test_size(void **state)
{
	static const char good[] = "{" POOLS "}";
	size_t size = CONFIG_TEXT_MAX + 1;
	char *text = malloc(size);

	assert_non_null(text);
	memset(text, ' ', size);
	memcpy(text, good, strlen(good));
	write_file(text, size - 1);
	expect("f.json", NULL, "");
	write_file(text, size);
	expect("f.json", NULL, "f.json: is longer than 1048576 bytes\n");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_no_files), cmocka_unit_test(test_unreadable),
	    cmocka_unit_test(test_files), cmocka_unit_test(test_size)};

	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
