#include "loading.h"

#include "config/document.h"

static struct document *parse(const char *text)
{
	struct document *document = NULL;
	struct document_error error = {.text = ""};

	if (document_parse(&document, text, strlen(text), &error) < 0)
		fail_msg("%s: %u:%u: %s", text, error.at.line, error.at.column, error.text);
	return document;
}

static void assert_at(struct position at, unsigned line, unsigned column)
{
	assert_int_equal(at.line, line);
	assert_int_equal(at.column, column);
}

static void test_positions(void **state)
{
	struct document *document =
	    parse("\n {\"a\" :\t[1, \"two\",\r\n  {}, []],\n\"\u00e4\u20ac\": \"\u00e4\", \"c\" : -7 }\n");
	const struct node *root = &document->nodes[0];
	const struct node *a = node_member(root, "a");
	const struct node *umlaut = node_member(root, "\u00e4\u20ac");
	const struct node *c = node_member(root, "c");

	assert_at(root->value_at, 2, 2);
	assert_int_equal(root->count, 3);
	assert_at(a->key_at, 2, 3);
	assert_at(a->value_at, 2, 9);
	assert_int_equal(a->count, 4);
	assert_at(a->first->value_at, 2, 10);
	assert_int_equal(a->first->integer, 1);
	assert_at(a->first->next->value_at, 2, 13);
	assert_string_equal(a->first->next->string, "two");
	assert_at(a->first->next->next->value_at, 3, 3);
	assert_int_equal(a->last->type, NODE_LIST);
	assert_int_equal(a->last->index, 3);
	assert_ptr_equal(a->last->parent, a);
	/* Columns are characters. */
	assert_at(umlaut->key_at, 4, 1);
	assert_at(umlaut->value_at, 4, 7);
	assert_at(c->key_at, 4, 12);
	assert_at(c->value_at, 4, 18);
	assert_int_equal(c->integer, -7);
	document_free(document);
}

static void test_types(void **state)
{
	struct document *document =
	    parse("[{},[],\"\",0,-1,1.5,1e3,1E3,true,false,null,9223372036854775807]");
	static const enum node_type types[] = {NODE_OBJECT, NODE_LIST, NODE_STRING, NODE_INTEGER,
	    NODE_INTEGER, NODE_REAL, NODE_REAL, NODE_REAL, NODE_TRUE, NODE_FALSE, NODE_NULL, NODE_INTEGER};
	const struct node *node = document->nodes[0].first;

	assert_int_equal(document->nodes[0].count, COUNT(types));
	for (size_t i = 0; i < COUNT(types); i++, node = node->next)
		assert_int_equal(node->type, types[i]);
	assert_true(document->nodes[0].last->integer == INT64_MAX);
	document_free(document);
}

static void test_strings(void **state)
{
	struct document *document = parse(
	    "{\"\\u0061\\n\": \"\\\"\\\\\\/\\u20ac\\ud83d\\ude00\", \"x\": \"{[,:]}//\", \"y\": \"\\\\\"}");

	assert_string_equal(node_member(&document->nodes[0], "a\n")->string, "\"\\/\u20ac\U0001F600");
	assert_string_equal(node_member(&document->nodes[0], "x")->string, "{[,:]}//");
	assert_string_equal(node_member(&document->nodes[0], "y")->string, "\\");
	assert_null(node_member(&document->nodes[0], "z"));
	assert_null(node_member(NULL, "z"));
	assert_null(node_member(node_member(&document->nodes[0], "x"), "z"));
	document_free(document);
}

static void test_comments(void **state)
{
	struct document *document = parse("{\"//\": 1, \"// a\": {\"x\": [1, 2]}, \"//\": 2, \"a\": "
	                                  "{\"//\": [], \"b\": 1, \"\\u002f\\/ c\": {}}, \"/\": 3}");
	const struct node *root = &document->nodes[0];

	assert_int_equal(root->count, 2);
	assert_string_equal(root->first->key, "a");
	assert_int_equal(root->first->index, 0);
	assert_int_equal(root->first->count, 1);
	assert_string_equal(root->first->first->key, "b");
	assert_string_equal(root->last->key, "/");
	document_free(document);
}

static void test_duplicates(void **state)
{
	struct document *document =
	    parse("{\"a\": {\"x\": 1}, \"b\": {\"a\": 1},\n\"\\u0061\": [2], \"a\": 3}");
	const struct node *first = document->nodes[0].first;
	const struct node *second = first->next->next;

	assert_null(first->duplicate_of);
	assert_null(first->next->duplicate_of);
	assert_null(first->next->first->duplicate_of);
	assert_ptr_equal(second->duplicate_of, first);
	assert_ptr_equal(second->next->duplicate_of, first);
	assert_int_equal(first->first->integer, 1);
	assert_int_equal(second->first->integer, 2);
	document_free(document);
}

static const struct {
	const char *text;
	size_t length; /* 0: strlen */
	unsigned line;
	unsigned column;
	const char *message;
} bad[] = {
    {"", 0, 1, 1, "'[' or '{' expected near end of file"},
    {"  ", 0, 1, 2, "'[' or '{' expected near end of file"},
    {"1", 0, 1, 1, "'[' or '{' expected near '1'"},
    {"{", 0, 1, 1, "string or '}' expected near end of file"},
    {"{\n\"a\": 1,\n}", 0, 3, 1, "string or '}' expected near '}'; is there a comma too many?"},
    {"[1,]", 0, 1, 4, "unexpected token near ']'; is there a comma too many?"},
    {"{\"a\" 1}", 0, 1, 6, "':' expected near '1'"},
    {"{\"a\": 1} x", 0, 1, 10, "end of file expected near 'x'"},
    {"{\n// why\n\"a\": 1}", 0, 2, 1,
        "string or '}' expected near '/'; a comment is a key that begins with //: \"// why\": \"...\""},
    {"{\"a\": 'x'}", 0, 1, 7, "invalid token near '''"},
    {"{\"a\": 99999999999999999999}", 0, 1, 26, "too big integer near '99999999999999999999'"},
    {"{\"a\": 1e999}", 0, 1, 11, "real number overflow near '1e999'"},
    {"{\"a\": \"\\u0000\"}", 0, 1, 14, "a string cannot hold \\u0000"},
    {"{\"a\":\n \"\xff\"}", 0, 2, 2, "unable to decode byte 0xff near '\"'"},
    {"{\"a\": \"x\ny\"}", 0, 1, 8, "unexpected newline near '\"x'"},
    {"{\n \"a\": 1\0}", 11, 2, 8, "NUL byte; this is no text file"},
    {"\xef\xbb\xbf{}", 0, 1, 1, "begins with a byte order mark; save it as UTF-8 without one"},
    {"\xff\xfe{}", 0, 1, 1, "unable to decode byte 0xff"},
    {"[[[[[[[[[[[[[[[[\n [1]]]]]]]]]]]]]]]]]", 0, 2, 2, "nested deeper than 16 levels"},
};

static void test_bad(void **state)
{
	int different = 0;

	for (size_t i = 0; i < COUNT(bad); i++) {
		struct document *document = NULL;
		struct document_error error = {.text = ""};
		size_t length = bad[i].length > 0 ? bad[i].length : strlen(bad[i].text);

		assert_int_equal(document_parse(&document, bad[i].text, length, &error), -EINVAL);
		assert_null(document);
		if (error.at.line == bad[i].line && error.at.column == bad[i].column &&
		    strcmp(error.text, bad[i].message) == 0)
			continue;
		print_error("%s: %u:%u: %s\n", bad[i].text, error.at.line, error.at.column, error.text);
		different++;
	}
	assert_int_equal(different, 0);
}

/* A large text of each shape must take linear time: quadratic would be minutes, past the test's time limit.
 */
static void test_large(void **state)
{
	static const char *const members[] = {
	    "\"k%zu\":{},", "\"k\":1,", "\"//\":[[]],", "\"k%zu\":\"\\n\","};
	size_t size = 1024 * 1024;
	char *text = malloc(size);

	assert_non_null(text);
	for (size_t shape = 0; shape < COUNT(members); shape++) {
		struct document *document;
		size_t used = 1;

		text[0] = '{';
		for (size_t i = 0; used < size - 64; i++) {
			char member[32];
			int n = snprintf(member, sizeof member, "%s", members[shape]);
			char *percent = strstr(member, "%zu");

			if (percent != NULL) {
				char tail[16];

				snprintf(tail, sizeof tail, "%s", percent + 3);
				n = (int)(percent - member) + snprintf(percent, 24, "%zu%s", i, tail);
			}
			memcpy(text + used, member, (size_t)n);
			used += (size_t)n;
		}
		strcpy(text + used, "\"end\":0}");
		document = parse(text);
		assert_string_equal(document->nodes[0].last->key, "end");
		document_free(document);
	}
	memset(text, '[', size - 1);
	text[size - 1] = '\0';
	{
		struct document *document = NULL;
		struct document_error error;

		assert_int_equal(document_parse(&document, text, size - 1, &error), -EINVAL);
	}
	free(text);
}

static void test_builder_is_bounded(void **state)
{
	struct document *document = document_new(2, 4);
	struct node *root = document_add(document, NULL, NULL, NODE_OBJECT);

	assert_non_null(root);
	assert_non_null(document_add(document, root, "a", NODE_TRUE));
	assert_null(document_add(document, root, "b", NODE_TRUE));
	assert_int_equal(root->count, 1);
	assert_null(document_text(document, "abcd", 4));
	assert_string_equal(document_text(document, "abcd", 3), "abc");
	assert_null(document_text(document, "", 0));
	document_free(document);
	document_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_positions), cmocka_unit_test(test_types),
	    cmocka_unit_test(test_strings), cmocka_unit_test(test_comments),
	    cmocka_unit_test(test_duplicates), cmocka_unit_test(test_bad), cmocka_unit_test(test_large),
	    cmocka_unit_test(test_builder_is_bounded)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
