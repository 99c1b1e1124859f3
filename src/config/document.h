/* A JSON text as a tree that knows where in the text everything stands: line and column of every key and
 * value, and keys that are there twice. jansson decides whether a text is JSON and decodes its strings; it
 * keeps no positions and no duplicates, hence this tree.
 *
 * The command line is made into such a tree too, so that options and file go through the same checks.
 * Knows nothing of which keys there are.
 */
#ifndef LIMPET_CONFIG_DOCUMENT_H
#define LIMPET_CONFIG_DOCUMENT_H

#include <stdbool.h>
#include <stddef.h>

/* Values deeper than this are refused. */
#define DOCUMENT_DEPTH_MAX 16

enum node_type {
	NODE_OBJECT,
	NODE_LIST,
	NODE_STRING,
	NODE_INTEGER,
	NODE_REAL,
	NODE_TRUE,
	NODE_FALSE,
	NODE_NULL,
};

/* Both from 1; columns are characters, not bytes. Line 0: no position. */
struct position {
	unsigned line;
	unsigned column;
};

struct node {
	enum node_type type;
	const char *key;    /* in an object: its name there; else NULL */
	const char *string; /* NODE_STRING */
	long long integer;  /* NODE_INTEGER */
	const char *option; /* the command-line option that it was made from, or NULL; borrowed */
	struct position key_at;
	struct position value_at;
	struct node *parent;
	struct node *first; /* members or elements, in the order of the text */
	struct node *last;
	struct node *next;
	const struct node *duplicate_of; /* the earlier member of the same object with this key */
	size_t index;                    /* among its siblings, from 0 */
	size_t count;                    /* of members or elements */
};

struct document {
	struct node *nodes; /* nodes[0] is the root */
	size_t nodes_count;
	size_t nodes_max;
	char *bytes; /* where the strings are */
	size_t bytes_used;
	size_t bytes_max;
};

struct document_error {
	struct position at;
	char text[256];
};

/* Parses a text of any length (the caller bounds it) in linear time. A member whose key begins with "//" is a
 * comment and not in the tree. The text may go away afterwards. Returns 0 with *document owned by the caller,
 * -EINVAL with *error filled in, or -ENOMEM. */
int document_parse(struct document **document, const char *text, size_t length, struct document_error *error);

/* An empty document with room for so many nodes and bytes of strings; NULL: no memory. */
struct document *document_new(size_t nodes, size_t bytes);

/* Adds a value; parent is NULL for the root. key is borrowed. NULL if the room is used up. */
struct node *document_add(
    struct document *document, struct node *parent, const char *key, enum node_type type);

/* A copy that lives as long as the document; NULL if the room is used up. */
const char *document_text(struct document *document, const char *text, size_t length);

/* NULL is allowed. */
void document_free(struct document *document);

/* The first member of that name, or NULL (also if node is NULL or no object). */
const struct node *node_member(const struct node *node, const char *key);

/* "a string", "a list", ... for messages. */
const char *node_type_name(enum node_type type);

#endif
