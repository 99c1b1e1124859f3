/* Reading of a listener's "sticky": one source or a list of them. */
#include <string.h>

#include "config/reader.h"
#include "config/suggest.h"

static const struct choice types[] = {{"ip", STICKY_IP}, {"cookie", STICKY_COOKIE}, {"header", STICKY_HEADER},
    {"query", STICKY_QUERY}, {"path", STICKY_PATH}, {NULL, 0}};

/* at_key: the name is the key of node, not its value. */
static void unknown_source(struct reader *reader, const struct node *node, const char *name, bool at_key)
{
	void (*report)(struct problems *, const struct node *, const char *, ...) =
	    at_key ? problems_key : problems_value;
	struct suggest suggest;

	suggest_init(&suggest, name);
	for (const struct choice *type = types; type->name != NULL; type++)
		suggest_offer(&suggest, type->name);
	if (suggest.best != NULL)
		report(reader->problems, node, "\"%.80s\" is no source of a key; did you mean \"%s\"?", name,
		    suggest.best);
	else
		report(reader->problems, node,
		    "\"%.80s\" is no source of a key; these are: ip, cookie, header, query, path", name);
}

static void read_source(struct reader *reader, const struct node *node, struct sticky_source *source)
{
	const struct node *member = node->first;
	int type;

	source->type = STICKY_IP;
	keys_set_defaults(KEYS_STICKY_IP, source);
	if (node->type == NODE_STRING) {
		if (strcmp(node->string, "ip") == 0)
			return;
		if (choice_value(types, node->string, &type) && node->option != NULL)
			problems_value(reader->problems, node, "%s needs a %s: %s:%s", node->string,
			    type == STICKY_PATH ? "number" : "name", node->string,
			    type == STICKY_PATH ? "1" : "NAME");
		else if (choice_value(types, node->string, &type))
			problems_value(reader->problems, node, "%s needs a %s: {\"%s\": %s}", node->string,
			    type == STICKY_PATH ? "number" : "name", node->string,
			    type == STICKY_PATH ? "1" : "\"NAME\"");
		else
			unknown_source(reader, node, node->string, false);
		return;
	}
	if (node->type != NODE_OBJECT) {
		read_wrong_type(reader, node, "a source such as \"ip\" or {\"cookie\": \"NAME\"}");
		return;
	}
	if (node->count != 1) {
		problems_value(reader->problems, node,
		    "must have one key, not %zu; several sources are a list", node->count);
		return;
	}
	if (!choice_value(types, member->key, &type)) {
		unknown_source(reader, member, member->key, true);
		return;
	}
	source->type = (enum sticky_type)type;
	read_value(reader, keys_find(KEYS_STICKY, member->key), member, source);
}

static void append_ip(struct listener_config *listener)
{
	struct sticky_source *source = &listener->sticky[listener->sticky_count++];

	source->type = STICKY_IP;
	keys_set_defaults(KEYS_STICKY_IP, source);
}

static void read_list(struct reader *reader, const struct node *node, struct listener_config *listener)
{
	const struct node *last_ip = NULL;

	for (const struct node *entry = node->first; entry != NULL; entry = entry->next) {
		size_t before = reader->problems->count;
		struct sticky_source *source;

		/* The last place is kept for the ip that is implied. */
		if (listener->sticky_count == STICKY_SOURCES_MAX - 1 && entry->next != NULL) {
			problems_value(reader->problems, node,
			    "has %zu sources; at most %d are allowed, the last ip included", node->count,
			    STICKY_SOURCES_MAX);
			return;
		}
		if (last_ip != NULL) {
			problems_value(reader->problems, entry,
			    "is never reached, as every client has an address; put ip last");
			return;
		}
		source = &listener->sticky[listener->sticky_count++];
		read_source(reader, entry, source);
		if (source->type == STICKY_IP && reader->problems->count == before)
			last_ip = entry;
	}
}

void read_sticky(struct reader *reader, const struct node *node, struct listener_config *listener)
{
	size_t before = reader->problems->count;

	if (node != NULL && node->type == NODE_LIST && node->count == 0)
		problems_value(reader->problems, node, "is empty; leave the key out for ip");
	else if (node != NULL && node->type == NODE_LIST)
		read_list(reader, node, listener);
	else if (node != NULL)
		read_source(reader, node, &listener->sticky[listener->sticky_count++]);
	if (listener->sticky_count > 0 && listener->sticky[listener->sticky_count - 1].type == STICKY_IP)
		return;
	if (listener->sticky_count < STICKY_SOURCES_MAX)
		append_ip(listener);
	else if (reader->problems->count == before)
		problems_value(reader->problems, node,
		    "has %zu sources; at most %d are allowed, the last ip included", node->count,
		    STICKY_SOURCES_MAX);
}
