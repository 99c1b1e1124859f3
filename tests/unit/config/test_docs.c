/* The committed schema and manual page say what the table of keys says. Arguments: SCHEMA PAGE. */
#include "loading.h"

#define REMEDY "%s is out of date; run ninja config-docs"

static const char *schema_path;
static const char *page_path;

static char *read_text(const char *path)
{
	static char text[256 * 1024];
	FILE *file = fopen(path, "r");
	size_t length;

	if (file == NULL)
		fail_msg("%s: %s", path, strerror(errno));
	length = fread(text, 1, sizeof text - 1, file);
	text[length] = '\0';
	fclose(file);
	return text;
}

static char *generated(int (*print)(FILE *))
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	assert_int_equal(print(out), 0);
	fclose(out);
	return text;
}

static void test_schema(void **state)
{
	char *schema = generated(config_print_schema);

	if (strcmp(read_text(schema_path), schema) != 0)
		fail_msg(REMEDY, schema_path);
	free(schema);
}

static void test_page(void **state)
{
	char *list = generated(config_print_mdoc);
	char *begin = strstr(read_text(page_path), "generated: ninja config-docs\n");
	char *end = begin == NULL ? NULL : strstr(begin, ".\\\" End of the generated list\n");

	assert_non_null(end);
	begin = strchr(begin, '\n') + 1;
	if ((size_t)(end - begin) != strlen(list) || memcmp(begin, list, strlen(list)) != 0)
		fail_msg(REMEDY, page_path);
	free(list);
}

/* Every key is in both. */
static void test_complete(void **state)
{
	char *list = generated(config_print_mdoc);
	char *schema = generated(config_print_schema);

	for (size_t i = 0; i < keys_count; i++) {
		char item[128];

		snprintf(item, sizeof item, ".It Cm %s%s\n", keys_prefix(keys[i].object), keys[i].name);
		assert_non_null(strstr(list, item));
		snprintf(item, sizeof item, "\"%s\": {\n", keys[i].name);
		assert_non_null(strstr(schema, item));
	}
	free(list);
	free(schema);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_schema), cmocka_unit_test(test_page), cmocka_unit_test(test_complete)};

	if (argc != 3)
		return 1;
	schema_path = argv[1];
	page_path = argv[2];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
