#include "loading.h"

static char *written(struct problems *problems)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	problems_write(problems, out);
	fclose(out);
	problems_deinit(problems);
	return text;
}

static void test_order_and_path(void **state)
{
	struct problems problems;
	struct document *document = document_new(8, 0);
	struct node *root = document_add(document, NULL, NULL, NODE_OBJECT);
	struct node *a = document_add(document, root, "a", NODE_LIST);
	struct node *first = document_add(document, a, NULL, NODE_OBJECT);
	struct node *second = document_add(document, a, NULL, NODE_OBJECT);
	struct node *c = document_add(document, second, "c", NODE_TRUE);
	char *text;

	root->value_at = (struct position){1, 1};
	a->key_at = (struct position){2, 3};
	a->value_at = (struct position){2, 8};
	first->value_at = (struct position){2, 9};
	c->key_at = (struct position){3, 1};
	c->value_at = (struct position){3, 10};
	problems_init(&problems, "f");
	problems_value(&problems, c, "second on %d", 3);
	problems_key(&problems, c, "first on 3");
	problems_value(&problems, first, "element");
	problems_value(&problems, a, "one");
	problems_value(&problems, a, "two");
	problems_key(&problems, a, "name");
	problems_value(&problems, root, "root");
	problems_option(&problems, "-l", "option");
	problems_option(&problems, NULL, "command line");
	problems_position(&problems, (struct position){9, 9}, "place");
	text = written(&problems);
	assert_string_equal(text, "limpet: -l: option\n"
	                          "limpet: command line\n"
	                          "f:1:1: root\n"
	                          "f:2:3: a: name\n"
	                          "f:2:8: a: one\n"
	                          "f:2:8: a: two\n"
	                          "f:2:9: a[0]: element\n"
	                          "f:3:1: a[1].c: first on 3\n"
	                          "f:3:10: a[1].c: second on 3\n"
	                          "f:9:9: place\n");
	free(text);
	document_free(document);
}

static void test_control_characters(void **state)
{
	struct problems problems;
	struct position whole = {0, 0};
	char *text;

	problems_init(&problems, "f");
	problems_position(&problems, whole,
	    "a\x1b[31mb\nc\x7f\xc2\x9b"
	    "d \u00e4 \u00a0");
	text = written(&problems);
	assert_string_equal(text, "f: a?[31mb?c???d \u00e4 \u00a0\n");
	free(text);
}

static void test_bound(void **state)
{
	struct problems problems;
	size_t lines = 0;
	char *text;

	problems_init(&problems, "f");
	for (unsigned i = 1; i <= PROBLEMS_MAX + 7; i++)
		problems_position(&problems, (struct position){i, 1}, "x");
	assert_int_equal(problems.count, PROBLEMS_MAX + 7);
	text = written(&problems);
	for (const char *at = text; *at != '\0'; at++)
		lines += *at == '\n';
	assert_int_equal(lines, PROBLEMS_MAX + 1);
	assert_non_null(strstr(text, "limpet: and 7 more problems\n"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_order_and_path),
	    cmocka_unit_test(test_control_characters), cmocka_unit_test(test_bound)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
