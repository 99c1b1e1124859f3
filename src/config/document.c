/* The tree and the scan that builds it. The scan runs over text that jansson has accepted: it looks only for
 * where tokens begin and end, but never relies on it for memory safety. */
#include "config/document.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

struct scan {
	struct document *document;
	const char *at;
	const char *end;
	struct position position;
};

struct document *document_new(size_t nodes, size_t bytes)
{
	struct document *document = calloc(1, sizeof *document);

	if (document == NULL)
		return NULL;
	document->nodes = calloc(nodes, sizeof *document->nodes);
	document->bytes = malloc(bytes == 0 ? 1 : bytes);
	document->nodes_max = nodes;
	document->bytes_max = bytes;
	if (document->nodes == NULL || document->bytes == NULL) {
		document_free(document);
		return NULL;
	}
	return document;
}

void document_free(struct document *document)
{
	if (document == NULL)
		return;
	free(document->nodes);
	free(document->bytes);
	free(document);
}

/* A node that knows its parent, which does not know it: a comment stays so. */
static struct node *add_unlinked(
    struct document *document, struct node *parent, const char *key, enum node_type type)
{
	struct node *node;

	if (document->nodes_count == document->nodes_max)
		return NULL;
	node = &document->nodes[document->nodes_count++];
	node->type = type;
	node->key = key;
	node->parent = parent;
	return node;
}

static void link_to_parent(struct node *node)
{
	struct node *parent = node->parent;

	if (parent == NULL)
		return;
	if (parent->last == NULL)
		parent->first = node;
	else
		parent->last->next = node;
	parent->last = node;
	node->index = parent->count++;
}

struct node *document_add(
    struct document *document, struct node *parent, const char *key, enum node_type type)
{
	struct node *node = add_unlinked(document, parent, key, type);

	if (node != NULL)
		link_to_parent(node);
	return node;
}

const char *document_text(struct document *document, const char *text, size_t length)
{
	char *copy = document->bytes + document->bytes_used;

	if (length >= document->bytes_max - document->bytes_used)
		return NULL;
	memcpy(copy, text, length);
	copy[length] = '\0';
	document->bytes_used += length + 1;
	return copy;
}

const struct node *node_member(const struct node *node, const char *key)
{
	if (node == NULL || node->type != NODE_OBJECT)
		return NULL;
	for (const struct node *member = node->first; member != NULL; member = member->next) {
		if (strcmp(member->key, key) == 0)
			return member;
	}
	return NULL;
}

const char *node_type_name(enum node_type type)
{
	switch (type) {
	case NODE_OBJECT:
		return "an object";
	case NODE_LIST:
		return "a list";
	case NODE_STRING:
		return "a string";
	case NODE_INTEGER:
		return "a number";
	case NODE_REAL:
		return "a number with a fraction or an exponent";
	case NODE_TRUE:
		return "true";
	case NODE_FALSE:
		return "false";
	case NODE_NULL:
		return "null";
	}
	return "?";
}

static void advance(struct scan *scan)
{
	unsigned char byte = (unsigned char)*scan->at++;

	if (byte == '\n') {
		scan->position.line++;
		scan->position.column = 1;
	} else if ((byte & 0xc0) != 0x80) {
		scan->position.column++;
	}
}

/* Reads a string token at its opening quote. NULL: no memory, or no string. */
static const char *scan_string(struct scan *scan)
{
	const char *begin = scan->at;
	bool escapes = false;
	const char *text;
	json_t *decoded;

	advance(scan);
	while (scan->at < scan->end && *scan->at != '"') {
		if (*scan->at == '\\') {
			escapes = true;
			advance(scan);
		}
		if (scan->at < scan->end)
			advance(scan);
	}
	if (scan->at == scan->end)
		return NULL;
	advance(scan);
	if (!escapes)
		return document_text(scan->document, begin + 1, (size_t)(scan->at - begin) - 2);
	decoded = json_loadb(begin, (size_t)(scan->at - begin), JSON_DECODE_ANY, NULL);
	text = json_string_value(decoded);
	if (text != NULL)
		text = document_text(scan->document, text, json_string_length(decoded));
	json_decref(decoded);
	return text;
}

/* Reads a token that is neither string nor bracket: a number, true, false or null. */
static void scan_plain(struct scan *scan, struct node *node)
{
	char number[32];
	size_t length = 0;

	node->type = NODE_INTEGER;
	if (*scan->at == 't')
		node->type = NODE_TRUE;
	else if (*scan->at == 'f')
		node->type = NODE_FALSE;
	else if (*scan->at == 'n')
		node->type = NODE_NULL;
	while (scan->at < scan->end && strchr(" \t\r\n,:]}", *scan->at) == NULL) {
		if (node->type == NODE_INTEGER && strchr(".eE", *scan->at) != NULL)
			node->type = NODE_REAL;
		if (length < sizeof number - 1)
			number[length++] = *scan->at;
		advance(scan);
	}
	number[length] = '\0';
	/* jansson has refused integers that do not fit. */
	if (node->type == NODE_INTEGER)
		node->integer = strtoll(number, NULL, 10);
}

static int scan_value(struct scan *scan, struct node *node)
{
	node->value_at = scan->position;
	switch (*scan->at) {
	case '{':
	case '[':
		node->type = *scan->at == '{' ? NODE_OBJECT : NODE_LIST;
		advance(scan);
		return 0;
	case '"':
		node->type = NODE_STRING;
		node->string = scan_string(scan);
		return node->string == NULL ? -ENOMEM : 0;
	default:
		scan_plain(scan, node);
		return 0;
	}
}

static int scan_all(struct scan *scan, struct document_error *error)
{
	struct node *parent = NULL;
	const char *key = NULL;
	struct position key_at = {0, 0};
	unsigned depth = 0;

	while (scan->at < scan->end) {
		struct node *node;
		int r;

		/* Where commas and colons stand, jansson has checked. */
		if (strchr(" \t\r\n,:", *scan->at) != NULL) {
			advance(scan);
			continue;
		}
		if (*scan->at == '}' || *scan->at == ']') {
			parent = parent == NULL ? NULL : parent->parent;
			depth--;
			advance(scan);
			continue;
		}
		if (parent != NULL && parent->type == NODE_OBJECT && key == NULL) {
			key_at = scan->position;
			key = *scan->at == '"' ? scan_string(scan) : NULL;
			if (key == NULL)
				return -ENOMEM;
			continue;
		}
		node = add_unlinked(scan->document, parent, key, NODE_NULL);
		if (node == NULL)
			return -ENOMEM;
		node->key_at = key_at;
		if (key == NULL || strncmp(key, "//", 2) != 0)
			link_to_parent(node);
		key = NULL;
		r = scan_value(scan, node);
		if (r < 0)
			return r;
		if (node->type != NODE_OBJECT && node->type != NODE_LIST)
			continue;
		if (++depth > DOCUMENT_DEPTH_MAX) {
			error->at = node->value_at;
			snprintf(error->text, sizeof error->text, "nested deeper than %d levels",
			    DOCUMENT_DEPTH_MAX);
			return -EINVAL;
		}
		parent = node;
	}
	return 0;
}

/* One hash table an object: sorting or comparing in pairs would let a large file stall the load. */
static int mark_duplicates(struct node *object)
{
	json_t *seen;
	int r = 0;

	if (object->type != NODE_OBJECT || object->count < 2)
		return 0;
	seen = json_object();
	if (seen == NULL)
		return -ENOMEM;
	/* The members of one object are not neighbours in nodes[], but their distance identifies the first.
	 */
	for (struct node *member = object->first; member != NULL && r == 0; member = member->next) {
		json_t *first = json_object_get(seen, member->key);

		if (first != NULL)
			member->duplicate_of = object + json_integer_value(first);
		else if (json_object_set_new(seen, member->key, json_integer(member - object)) < 0)
			r = -ENOMEM;
	}
	json_decref(seen);
	return r;
}

static int check_bytes(const char *text, size_t length, struct document_error *error)
{
	struct scan scan = {NULL, text, text + length, {1, 1}};

	if (length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
		error->at = scan.position;
		snprintf(error->text, sizeof error->text,
		    "begins with a byte order mark; save it as UTF-8 without one");
		return -EINVAL;
	}
	if (memchr(text, '\0', length) == NULL)
		return 0;
	while (*scan.at != '\0')
		advance(&scan);
	error->at = scan.position;
	snprintf(error->text, sizeof error->text, "NUL byte; this is no text file");
	return -EINVAL;
}

static int check_syntax(const char *text, size_t length, struct document_error *error)
{
	json_error_t json_error;
	json_t *json = json_loadb(text, length, 0, &json_error);
	const char *hint = "";

	if (json != NULL) {
		json_decref(json);
		return 0;
	}
	if (json_error_code(&json_error) == json_error_out_of_memory)
		return -ENOMEM;
	error->at.line = json_error.line > 0 ? (unsigned)json_error.line : 1;
	error->at.column = json_error.column > 0 ? (unsigned)json_error.column : 1;
	if (strstr(json_error.text, "near '/") != NULL)
		hint = "; a comment is a key that begins with //: \"// why\": \"...\"";
	else if (strstr(json_error.text, "near '}'") != NULL || strstr(json_error.text, "near ']'") != NULL)
		hint = "; is there a comma too many?";
	if (json_error_code(&json_error) == json_error_null_character)
		snprintf(error->text, sizeof error->text, "a string cannot hold \\u0000");
	else
		snprintf(error->text, sizeof error->text, "%s%s", json_error.text, hint);
	return -EINVAL;
}

/* Every value but the root stands behind one of these. */
static size_t count_values(const char *text, size_t length)
{
	size_t count = 1;

	for (size_t i = 0; i < length; i++)
		count += text[i] == ',' || text[i] == '[' || text[i] == '{';
	return count;
}

int document_parse(struct document **document, const char *text, size_t length, struct document_error *error)
{
	struct scan scan = {NULL, text, text + length, {1, 1}};
	int r = check_bytes(text, length, error);

	if (r == 0)
		r = check_syntax(text, length, error);
	if (r < 0)
		return r;
	/* A decoded string and its NUL are shorter than its token with two quotes. */
	scan.document = document_new(count_values(text, length), length + 1);
	if (scan.document == NULL)
		return -ENOMEM;
	r = scan_all(&scan, error);
	for (size_t i = 0; i < scan.document->nodes_count && r == 0; i++)
		r = mark_duplicates(&scan.document->nodes[i]);
	if (r < 0) {
		document_free(scan.document);
		return r;
	}
	*document = scan.document;
	return 0;
}
