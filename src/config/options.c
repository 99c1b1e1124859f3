/* The command line as a document: what "limpet -l ADDRESS -- COMMAND" says, as the file would say it. Each
 * node knows its option, so that the checks name it. */
#include <stdlib.h>
#include <string.h>

#include "config/reader.h"

struct builder {
	struct document *document;
	struct problems *problems;
};

static struct node *add(
    struct builder *builder, struct node *parent, const char *key, enum node_type type, const char *option)
{
	struct node *node = document_add(builder->document, parent, key, type);

	if (node == NULL)
		builder->problems->out_of_memory = true; /* the room was counted wrongly */
	else
		node->option = option;
	return node;
}

static void add_string(
    struct builder *builder, struct node *parent, const char *key, const char *string, const char *option)
{
	struct node *node = add(builder, parent, key, NODE_STRING, option);

	if (node != NULL)
		node->string = string;
}

/* A number if the text is one, else the text: the check of the value then says what was expected. */
static void add_number(
    struct builder *builder, struct node *parent, const char *key, const char *text, const char *option)
{
	struct node *node = add(builder, parent, key, NODE_STRING, option);
	size_t digits = strspn(text, "0123456789");

	if (node == NULL)
		return;
	node->string = text;
	if (digits == 0 || digits > 18 || text[digits] != '\0')
		return;
	node->type = NODE_INTEGER;
	node->integer = strtoll(text, NULL, 10);
}

static const char *copy(struct builder *builder, const char *text, size_t length)
{
	const char *copied = document_text(builder->document, text, length);

	if (copied == NULL)
		builder->problems->out_of_memory = true;
	return copied;
}

static void add_ip(struct builder *builder, struct node *list, const char *prefixes)
{
	const char *slash = strchr(prefixes, '/');
	struct node *source;
	struct node *ip;
	const char *v4;

	if (slash == NULL) {
		problems_option(
		    builder->problems, "-s", "write ip or ip:V4PREFIX/V6PREFIX, such as ip:24/56");
		add_string(builder, list, NULL, "ip", "-s");
		return;
	}
	v4 = copy(builder, prefixes, (size_t)(slash - prefixes));
	source = add(builder, list, NULL, NODE_OBJECT, "-s");
	ip = add(builder, source, "ip", NODE_OBJECT, "-s");
	if (v4 == NULL || source == NULL || ip == NULL)
		return;
	add_number(builder, ip, "v4_prefix", v4, "-s");
	add_number(builder, ip, "v6_prefix", slash + 1, "-s");
}

static void add_source(struct builder *builder, struct node *list, const char *text)
{
	const char *colon = strchr(text, ':');
	struct node *source;
	const char *name;

	if (colon == NULL) {
		add_string(builder, list, NULL, text, "-s");
		return;
	}
	name = copy(builder, text, (size_t)(colon - text));
	if (name == NULL)
		return;
	if (strcmp(name, "ip") == 0) {
		add_ip(builder, list, colon + 1);
		return;
	}
	source = add(builder, list, NULL, NODE_OBJECT, "-s");
	if (source == NULL)
		return;
	if (strcmp(name, "path") == 0)
		add_number(builder, source, name, colon + 1, "-s");
	else
		add_string(builder, source, name, colon + 1, "-s");
}

static void add_listener(
    struct builder *builder, struct node *listeners, size_t number, const struct config_options *options)
{
	const char *option = options->listeners_count > 0 ? "-l" : "-s";
	char name[32] = "default";
	struct node *listener;
	struct node *sticky;
	const char *key;

	if (number > 0)
		snprintf(name, sizeof name, "default-%zu", number + 1);
	key = copy(builder, name, strlen(name));
	if (key == NULL)
		return;
	listener = add(builder, listeners, key, NODE_OBJECT, option);
	if (listener == NULL)
		return;
	if (number < options->listeners_count)
		add_string(builder, listener, "address", options->listeners[number], "-l");
	if (options->sticky_count == 0)
		return;
	sticky = add(builder, listener, "sticky", NODE_LIST, "-s");
	for (size_t i = 0; sticky != NULL && i < options->sticky_count; i++)
		add_source(builder, sticky, options->sticky[i]);
}

static void add_protocol(struct builder *builder, struct node *pool, const char *text)
{
	static const char node_ipc[] = "node-ipc:", node_cluster[] = "node-cluster:";
	int flavour;

	if (strncmp(text, node_ipc, sizeof node_ipc - 1) == 0) {
		add_string(builder, pool, "protocol", "node-ipc", "-p");
		add_string(builder, pool, "flavour", text + sizeof node_ipc - 1, "-p");
	} else if (strncmp(text, node_cluster, sizeof node_cluster - 1) == 0) {
		add_string(builder, pool, "protocol", "node-cluster", "-p");
		add_string(builder, pool, "connections", text + sizeof node_cluster - 1, "-p");
	} else if (choice_value(flavour_choices, text, &flavour)) {
		problems_option(builder->problems, "-p",
		    "\"%s\" is a flavour of node-ipc; did you mean \"node-ipc:%s\"?", text, text);
		/* Taken as meant, so that the other checks say what else is wrong. */
		add_string(builder, pool, "protocol", "node-ipc", "-p");
		add_string(builder, pool, "flavour", text, "-p");
	} else {
		add_string(builder, pool, "protocol", text, "-p");
	}
}

static void add_pool(struct builder *builder, struct node *root, const struct config_options *options)
{
	struct node *pools = add(builder, root, "pools", NODE_OBJECT, "command");
	struct node *pool = pools == NULL ? NULL : add(builder, pools, "default", NODE_OBJECT, "command");
	struct node *command = pool == NULL ? NULL : add(builder, pool, "command", NODE_LIST, "command");

	if (command == NULL)
		return;
	for (char *const *argument = options->command; *argument != NULL; argument++)
		add_string(builder, command, NULL, *argument, "command");
	if (options->workers != NULL)
		add_number(builder, pool, "workers", options->workers, "-n");
	if (options->protocol != NULL)
		add_protocol(builder, pool, options->protocol);
}

/* Room for what options become; a bound, not an exact count. */
static struct document *make_room(const struct config_options *options)
{
	size_t listeners = options->listeners_count > 0 ? options->listeners_count : 1;
	size_t nodes = 16 + listeners * (3 + 4 * options->sticky_count);
	size_t bytes = 32 * listeners;

	for (char *const *argument = options->command; *argument != NULL; argument++)
		nodes++;
	for (size_t i = 0; i < options->sticky_count; i++)
		bytes += 2 * listeners * (strlen(options->sticky[i]) + 1);
	return document_new(nodes, bytes + 1);
}

struct document *options_document(const struct config_options *options, struct problems *problems)
{
	struct builder builder = {NULL, problems};
	struct node *root;
	struct node *listeners;

	if (options->command == NULL || options->command[0] == NULL) {
		problems_option(problems, NULL,
		    "nothing to run: give a command (limpet -- node server.js) or a file (limpet -c FILE)");
		return NULL;
	}
	builder.document = make_room(options);
	root = builder.document == NULL ? NULL : add(&builder, NULL, NULL, NODE_OBJECT, "command");
	if (root == NULL) {
		problems->out_of_memory = true;
		document_free(builder.document);
		return NULL;
	}
	if (options->control != NULL)
		add_string(&builder, root, "control", options->control, "--control");
	if (options->listeners_count > 0 || options->sticky_count > 0) {
		listeners = add(&builder, root, "listeners", NODE_OBJECT, "-l");
		for (size_t i = 0; listeners != NULL && (i == 0 || i < options->listeners_count); i++)
			add_listener(&builder, listeners, i, options);
	}
	add_pool(&builder, root, options);
	return builder.document;
}

void options_refuse_beside_file(const struct config_options *options, struct problems *problems)
{
	const struct {
		const char *option;
		const char *key;
		bool given;
	} refused[] = {
	    {"-l", "listeners.NAME.address", options->listeners_count > 0},
	    {"-s", "listeners.NAME.sticky", options->sticky_count > 0},
	    {"-n", "pools.NAME.workers", options->workers != NULL},
	    {"-p", "pools.NAME.protocol", options->protocol != NULL},
	    {"command", "pools.NAME.command", options->command != NULL && options->command[0] != NULL},
	};

	for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
		if (refused[i].given)
			problems_option(problems, refused[i].option,
			    "does not go with -c; put it into %s as %s", options->file, refused[i].key);
	}
}
