/* Reading of objects by the table of keys, and of the whole configuration. */
#include <stdlib.h>
#include <string.h>

#include "config/reader.h"
#include "config/suggest.h"

#define NAME_BYTES 64

void read_wrong_type(struct reader *reader, const struct node *node, const char *expected)
{
	problems_value(reader->problems, node, "must be %s, not %s", expected, node_type_name(node->type));
}

bool name_is_valid(const char *name)
{
	size_t length = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");

	return length > 0 && length <= NAME_BYTES && name[length] == '\0';
}

static void unknown_key(struct reader *reader, enum key_object object, const struct node *node)
{
	struct suggest suggest;

	suggest_init(&suggest, node->key);
	for (size_t i = 0; i < keys_count; i++) {
		if (keys[i].object == object)
			suggest_offer(&suggest, keys[i].name);
	}
	if (suggest.best != NULL) {
		problems_key(reader->problems, node, "unknown key; did you mean \"%s\"?", suggest.best);
		return;
	}
	for (size_t i = 0; i < keys_count; i++) {
		if (strcmp(keys[i].name, node->key) == 0) {
			problems_key(reader->problems, node, "unknown key here; it belongs into %s%s",
			    keys_prefix(keys[i].object), keys[i].name);
			return;
		}
	}
	problems_key(reader->problems, node, "unknown key");
}

void read_object(struct reader *reader, enum key_object object, const struct node *node, void *base)
{
	if (node->type != NODE_OBJECT) {
		read_wrong_type(reader, node, "an object");
		return;
	}
	for (const struct node *member = node->first; member != NULL; member = member->next) {
		const struct key *key;

		/* Past the last problem that is kept, nothing is learnt from more. */
		if (reader->problems->count > PROBLEMS_MAX)
			return;
		if (member->duplicate_of != NULL)
			continue;
		key = keys_find(object, member->key);
		if (key == NULL)
			unknown_key(reader, object, member);
		else
			read_value(reader, key, member, base);
	}
	for (size_t i = 0; i < keys_count; i++) {
		if (keys[i].object == object && keys[i].required && node_member(node, keys[i].name) == NULL)
			problems_value(reader->problems, node, "lacks the key \"%s\"", keys[i].name);
	}
}

/* All objects, also those that are read member by member. nodes[0] is the root. */
static void report_duplicates(struct reader *reader, const struct node *node)
{
	for (const struct node *member = node->first; member != NULL; member = member->next) {
		if (member->duplicate_of != NULL)
			problems_key(reader->problems, member, "is there twice; the first is in line %u",
			    member->duplicate_of->key_at.line);
		report_duplicates(reader, member); /* DOCUMENT_DEPTH_MAX bounds this */
	}
}

/* How many entries a map of named objects has; 0 after a problem. */
static size_t map_length(struct reader *reader, const char *name, const struct node *map)
{
	const struct key *key = keys_find(KEYS_CONFIG, name);

	if (map == NULL)
		return 0;
	if (map->type != NODE_OBJECT) {
		read_wrong_type(reader, map, "an object of names");
		return 0;
	}
	if (map->count < key->min)
		problems_value(reader->problems, map, "is empty");
	if (map->count <= key->max)
		return map->count;
	problems_value(
	    reader->problems, map, "has %zu entries; at most %zu are allowed", map->count, (size_t)key->max);
	return 0;
}

static char *read_name(struct reader *reader, const struct node *node)
{
	char *name = strdup(node->key);

	if (name == NULL)
		reader->problems->out_of_memory = true;
	if (!name_is_valid(node->key))
		problems_key(reader->problems, node,
		    "a name has 1 to %d characters: letters, digits, '.', '_' and '-'", NAME_BYTES);
	return name;
}

static void read_pools(struct reader *reader, const struct node *map)
{
	struct config *config = reader->config;
	size_t length = map_length(reader, "pools", map);

	if (length == 0)
		return;
	config->pools = calloc(length, sizeof *config->pools);
	if (config->pools == NULL) {
		reader->problems->out_of_memory = true;
		return;
	}
	for (const struct node *node = map->first; node != NULL; node = node->next) {
		struct pool_config *pool;

		if (node->duplicate_of != NULL)
			continue;
		pool = &config->pools[config->pools_count++];
		pool->name = read_name(reader, node);
		read_pool(reader, node, pool);
	}
}

static void read_pool_name(struct reader *reader, const struct node *node, struct listener_config *listener)
{
	const struct node *name = node_member(node, "pool");
	struct config *config = reader->config;
	struct suggest suggest;

	if (name == NULL) {
		if (config->pools_count == 1)
			listener->pool = &config->pools[0];
		else if (config->pools_count > 1)
			problems_value(reader->problems, node,
			    "lacks the key \"pool\"; there are %zu pools to choose from",
			    config->pools_count);
		return;
	}
	if (name->type != NODE_STRING) {
		read_wrong_type(reader, name, "a string, the name of a pool");
		return;
	}
	if (config->pools_count == 0)
		return; /* what is wrong with the pools has been said */
	suggest_init(&suggest, name->string);
	for (size_t i = 0; i < config->pools_count; i++) {
		if (config->pools[i].name == NULL)
			continue;
		suggest_offer(&suggest, config->pools[i].name);
		if (strcmp(config->pools[i].name, name->string) == 0)
			listener->pool = &config->pools[i];
	}
	if (listener->pool == NULL && suggest.best != NULL)
		problems_value(reader->problems, name, "there is no pool \"%.64s\"; did you mean \"%s\"?",
		    name->string, suggest.best);
	else if (listener->pool == NULL)
		problems_value(reader->problems, name, "there is no pool \"%.64s\"", name->string);
}

static void read_listener(struct reader *reader, const struct node *node, struct listener_config *listener)
{
	keys_set_defaults(KEYS_LISTENER, listener);
	read_object(reader, KEYS_LISTENER, node, listener);
	read_sticky(reader, node_member(node, "sticky"), listener);
	if (node->type == NODE_OBJECT)
		read_pool_name(reader, node, listener);
}

static void read_listeners(struct reader *reader, const struct node *map)
{
	struct config *config = reader->config;
	size_t length = map_length(reader, "listeners", map);

	if (length == 0)
		return;
	config->listeners = calloc(length, sizeof *config->listeners);
	if (config->listeners == NULL) {
		reader->problems->out_of_memory = true;
		return;
	}
	/* Twice, as those with an address come first. */
	for (int with_address = 1; with_address >= 0; with_address--) {
		for (const struct node *node = map->first; node != NULL; node = node->next) {
			struct listener_config *listener;

			if (node->duplicate_of != NULL ||
			    (node_member(node, "address") != NULL) != with_address)
				continue;
			listener = &config->listeners[config->listeners_count++];
			listener->name = read_name(reader, node);
			read_listener(reader, node, listener);
		}
	}
}

/* What workers ask to listen on is served by the listener of their pool that has no address, or by defaults.
 */
static void set_worker_listeners(struct reader *reader)
{
	struct config *config = reader->config;

	for (size_t i = 0; i < config->listeners_count; i++) {
		struct listener_config *listener = &config->listeners[i];

		if (listener->pool == NULL)
			continue;
		if (listener->has_address)
			listener->pool->has_listeners = true;
		else if (listener->pool->worker_listener == NULL)
			listener->pool->worker_listener = listener;
	}
	for (size_t i = 0; i < config->pools_count; i++) {
		struct pool_config *pool = &config->pools[i];
		struct listener_config *listener;

		if (pool->worker_listener != NULL)
			continue;
		listener = calloc(1, sizeof *listener);
		pool->worker_listener = listener;
		if (listener == NULL || pool->name == NULL || (listener->name = strdup(pool->name)) == NULL) {
			reader->problems->out_of_memory = true;
			continue;
		}
		listener->pool = pool;
		keys_set_defaults(KEYS_LISTENER, listener);
		read_sticky(reader, NULL, listener);
	}
}

void read_config(struct reader *reader, const struct node *root)
{
	report_duplicates(reader, root);
	read_object(reader, KEYS_CONFIG, root, reader->config);
	read_pools(reader, node_member(root, "pools"));
	read_listeners(reader, node_member(root, "listeners"));
	set_worker_listeners(reader);
}
