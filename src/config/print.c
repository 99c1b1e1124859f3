/* Printing of a configuration as the file that it could have been loaded from. Walks the table of keys, so
 * that a new key needs nothing here. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "config/reader.h"
#include "config/units.h"

static json_t *object_json(enum key_object object, const void *base);

static json_t *address_json(const struct address *address)
{
	char text[ADDRESS_TEXT_MAX];
	char path[sizeof address->un.sun_path + 8];

	/* address_format() is for logs: it replaces bytes of a path that are not ASCII. */
	if (address_family(address) == AF_UNIX && address->un.sun_path[0] == '/') {
		snprintf(
		    path, sizeof path, "unix:%.*s", (int)sizeof address->un.sun_path, address->un.sun_path);
		return json_string(path);
	}
	return json_string(address_format(address, text, sizeof text));
}

static json_t *prefixes_json(const struct listener_config *listener)
{
	json_t *list = json_array();

	for (size_t i = 0; i < listener->trusted_proxies_count; i++) {
		const struct address_prefix *prefix = &listener->trusted_proxies[i];
		char text[INET6_ADDRSTRLEN + 8] = "unix";

		if (prefix->family != AF_UNIX) {
			inet_ntop(prefix->family, prefix->bytes, text, INET6_ADDRSTRLEN);
			snprintf(text + strlen(text), 8, "/%u", prefix->bits);
		}
		if (json_array_append_new(list, json_string(text)) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static json_t *source_json(const struct sticky_source *source)
{
	switch (source->type) {
	case STICKY_IP:
		return json_pack("{so}", "ip", object_json(KEYS_STICKY_IP, source));
	case STICKY_COOKIE:
		return json_pack("{ss}", "cookie", source->name);
	case STICKY_HEADER:
		return json_pack("{ss}", "header", source->name);
	case STICKY_QUERY:
		return json_pack("{ss}", "query", source->name);
	case STICKY_PATH:
		return json_pack("{si}", "path", (int)source->segment);
	}
	return NULL;
}

static json_t *sticky_json(const struct listener_config *listener)
{
	json_t *list = json_array();

	for (size_t i = 0; i < listener->sticky_count; i++) {
		if (json_array_append_new(list, source_json(&listener->sticky[i])) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static json_t *command_json(char *const *strings)
{
	json_t *list = json_array();

	for (; *strings != NULL; strings++) {
		if (json_array_append_new(list, json_string(*strings)) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static json_t *environment_json(char *const *strings)
{
	json_t *object = json_object();

	for (; *strings != NULL; strings++) {
		char *name = strdup(*strings);
		char *equals = name == NULL ? NULL : strchr(name, '=');
		int r = -1;

		if (equals != NULL) {
			*equals = '\0';
			r = json_object_set_new(object, name, json_string(equals + 1));
		}
		free(name);
		if (r < 0) {
			json_decref(object);
			return NULL;
		}
	}
	return object;
}

/* Only weights that are not the default: a pool of a thousand workers has a thousand of those. */
static json_t *weights_json(const struct pool_config *pool)
{
	json_t *object = json_object();

	for (size_t i = 0; i < pool->slots_count; i++) {
		const struct slot_config *slot = &pool->slots[i];

		if (slot->weight != 1 &&
		    json_object_set_new(object, slot->name, json_integer(slot->weight)) < 0) {
			json_decref(object);
			return NULL;
		}
	}
	return object;
}

static bool has_names(const struct pool_config *pool)
{
	char number[24];

	for (size_t i = 0; i < pool->slots_count; i++) {
		snprintf(number, sizeof number, "%zu", i);
		if (strcmp(pool->slots[i].name, number) != 0)
			return true;
	}
	return false;
}

static json_t *slots_json(const struct pool_config *pool)
{
	json_t *list;

	if (!has_names(pool))
		return json_integer((json_int_t)pool->slots_count);
	list = json_array();
	for (size_t i = 0; i < pool->slots_count; i++) {
		if (json_array_append_new(list, json_string(pool->slots[i].name)) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static json_t *map_json(const struct config *config, const struct key *key)
{
	json_t *map = json_object();
	bool pools = key->of == KEYS_POOL;
	size_t count = pools ? config->pools_count : config->listeners_count;

	for (size_t i = 0; i < count; i++) {
		const char *name = pools ? config->pools[i].name : config->listeners[i].name;
		const void *entry =
		    pools ? (const void *)&config->pools[i] : (const void *)&config->listeners[i];

		if (json_object_set_new(map, name, object_json(key->of, entry)) < 0) {
			json_decref(map);
			return NULL;
		}
	}
	return map;
}

static json_t *limit_json(const struct key *key, const struct limit *limit)
{
	char text[UNITS_TEXT_MAX];

	if (limit->value == LIMIT_UNLIMITED)
		return json_string("unlimited");
	return key->type == KEY_LIMIT ? json_integer((json_int_t)limit->value)
				      : json_string(size_format(limit->value, text));
}

static json_t *mode_json(const struct mode *mode)
{
	char text[8];

	snprintf(text, sizeof text, "%04o", mode->bits & 07777);
	return json_string(text);
}

static bool any_set(enum key_object object, const void *base);

/* Is there anything to print? What is not set has no text that would load to it. */
static bool is_set(const struct key *key, const void *base)
{
	const void *field = (const char *)base + key->offset;
	const struct pool_config *pool = base;

	switch (key->type) {
	case KEY_NOTE:
		return false;
	case KEY_STRING:
	case KEY_TOKEN:
		return *(char *const *)field != NULL;
	case KEY_COMMAND:
	case KEY_ENVIRONMENT:
		return *(char **const *)field != NULL;
	case KEY_ADDRESS:
		return ((const struct listener_config *)base)->has_address;
	case KEY_CHOICE:
		return choice_name(key->choices, *(const int *)field) != NULL;
	case KEY_MODE:
		return ((const struct mode *)field)->is_set;
	case KEY_LIMIT:
	case KEY_SIZE_LIMIT:
		return ((const struct limit *)field)->is_set;
	case KEY_OBJECT:
		return any_set(key->of, base);
	case KEY_SLOTS:
		return has_names(pool) || pool->workers != pool->slots_count;
	default:
		return true;
	}
}

static bool any_set(enum key_object object, const void *base)
{
	for (size_t i = 0; i < keys_count; i++) {
		if (keys[i].object == object && is_set(&keys[i], base))
			return true;
	}
	return false;
}

static json_t *value_json(const struct key *key, const void *base)
{
	const void *field = (const char *)base + key->offset;
	const struct listener_config *listener = base;
	const struct pool_config *pool = base;
	char text[UNITS_TEXT_MAX];

	switch (key->type) {
	case KEY_NOTE:
		return NULL;
	case KEY_STRING:
	case KEY_TOKEN:
		return json_string(*(char *const *)field);
	case KEY_DURATION:
		return json_string(duration_format(*(const uint64_t *)field, text));
	case KEY_SIZE:
		return json_string(size_format(*(const size_t *)field, text));
	case KEY_INTEGER:
		return json_integer(*(const unsigned *)field);
	case KEY_BOOLEAN:
		return json_boolean(*(const bool *)field);
	case KEY_MODE:
		return mode_json(field);
	case KEY_LIMIT:
	case KEY_SIZE_LIMIT:
		return limit_json(key, field);
	case KEY_CHOICE:
		return json_string(choice_name(key->choices, *(const int *)field));
	case KEY_OBJECT:
		return object_json(key->of, base);
	case KEY_MAP:
		return map_json(base, key);
	case KEY_ADDRESS:
		return address_json(field);
	case KEY_POOL_NAME:
		return json_string(listener->pool->name);
	case KEY_STICKY_LIST:
		return sticky_json(listener);
	case KEY_PREFIXES:
		return prefixes_json(listener);
	case KEY_COMMAND:
		return command_json(*(char **const *)field);
	case KEY_ENVIRONMENT:
		return environment_json(*(char **const *)field);
	case KEY_WORKERS:
		return json_integer((json_int_t)pool->workers);
	case KEY_SLOTS:
		return slots_json(pool);
	case KEY_WEIGHTS:
		return weights_json(pool);
	}
	return NULL;
}

static json_t *object_json(enum key_object object, const void *base)
{
	json_t *json = json_object();

	for (size_t i = 0; i < keys_count && json != NULL; i++) {
		const struct key *key = &keys[i];

		if (key->object != object || !is_set(key, base))
			continue;
		if (json_object_set_new(json, key->name, value_json(key, base)) < 0) {
			json_decref(json);
			return NULL;
		}
	}
	return json;
}

int config_print(const struct config *config, FILE *out)
{
	json_t *json = object_json(KEYS_CONFIG, config);
	int r = 0;

	/* No memory, or a string from the command line that is not UTF-8, which no JSON file can say. */
	if (json == NULL)
		return -EILSEQ;
	if (json_dumpf(json, out, JSON_INDENT(2)) < 0 || fputc('\n', out) == EOF)
		r = -EIO;
	json_decref(json);
	return r;
}
