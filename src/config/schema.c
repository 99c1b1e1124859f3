/* The JSON Schema (draft 2020-12) of the configuration, from the table of keys. */
#include <errno.h>
#include <string.h>

#include <jansson.h>

#include "config/reader.h"
#include "config/units.h"

static json_t *object_schema(enum key_object object);

/* {"type": "object", ...} in which keys that begin with // are comments. */
static json_t *map_schema(const struct key *key, json_t *values)
{
	return json_pack("{ss, s{s{}}, so, sI, sI}", "type", "object", "patternProperties", "^//",
	    "additionalProperties", values, "minProperties", (json_int_t)key->min, "maxProperties",
	    (json_int_t)key->max);
}

static json_t *choice_schema(const struct key *key)
{
	json_t *names = json_array();

	for (const struct choice *choice = key->choices; choice->name != NULL; choice++)
		json_array_append_new(names, json_string(choice->name));
	return json_pack("{so}", "enum", names);
}

static json_t *name_schema(const struct key *key, json_t *entry)
{
	json_t *map = map_schema(key, entry);

	json_object_set_new(map, "propertyNames",
	    json_pack("{s[{ss}, {ss}]}", "anyOf", "pattern", "^[A-Za-z0-9._-]{1,64}$", "pattern", "^//"));
	return map;
}

static json_t *sticky_schema(const struct key *key)
{
	json_t *source = json_pack("{s[{ss}, o]}", "anyOf", "const", "ip", object_schema(KEYS_STICKY));
	json_t *list = json_pack("{ss, sO, sI, sI}", "type", "array", "items", source, "minItems",
	    (json_int_t)key->min, "maxItems", (json_int_t)key->max);

	return json_pack("{s[o, o]}", "anyOf", source, list);
}

static json_t *string_schema(const struct key *key)
{
	return json_pack("{ss, sI, sI}", "type", "string", "minLength", (json_int_t)key->min, "maxLength",
	    (json_int_t)key->max);
}

/* A number, for sizes also one with a unit, or the word. */
static json_t *limit_schema(const struct key *key)
{
	json_t *forms = json_pack("[{ss, sI, sI}, {ss}]", "type", "integer", "minimum", (json_int_t)key->min, "maximum",
	    (json_int_t)key->max, "const", "unlimited");

	if (key->type == KEY_SIZE_LIMIT)
		json_array_append_new(forms, json_pack("{ss, ss}", "type", "string", "pattern", "^[0-9]+[kKmMgG]?$"));
	return json_pack("{so}", "anyOf", forms);
}

static json_t *value_schema(const struct key *key)
{
	switch (key->type) {
	case KEY_NOTE:
	case KEY_STRING:
	case KEY_POOL_NAME:
	case KEY_ADDRESS:
		return string_schema(key);
	case KEY_TOKEN:
		return json_pack("{ss, ss, sI}", "type", "string", "pattern", "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$",
		    "maxLength", (json_int_t)key->max);
	case KEY_DURATION:
		return json_pack("{ss, ss}", "type", "string", "pattern", "^[0-9]+(ms|s|m|h|d)$");
	case KEY_SIZE:
		return json_pack("{s[{ss, sI, sI}, {ss, ss}]}", "anyOf", "type", "integer", "minimum",
		    (json_int_t)key->min, "maximum", (json_int_t)key->max, "type", "string", "pattern",
		    "^[0-9]+[kKmMgG]?$");
	case KEY_INTEGER:
		return json_pack("{ss, sI, sI}", "type", "integer", "minimum", (json_int_t)key->min,
		    "maximum", (json_int_t)key->max);
	case KEY_BOOLEAN:
		return json_pack("{ss}", "type", "boolean");
	case KEY_MODE:
		return json_pack("{ss, ss}", "type", "string", "pattern", "^0?[0-7]{3}$");
	case KEY_LIMIT:
	case KEY_SIZE_LIMIT:
		return limit_schema(key);
	case KEY_CHOICE:
		return choice_schema(key);
	case KEY_OBJECT:
		return object_schema(key->of);
	case KEY_MAP:
		return name_schema(key, object_schema(key->of));
	case KEY_STICKY_LIST:
		return sticky_schema(key);
	case KEY_PREFIXES:
	case KEY_COMMAND:
		return json_pack("{ss, s{ss}, sI, sI}", "type", "array", "items", "type", "string",
		    "minItems", (json_int_t)key->min, "maxItems", (json_int_t)key->max);
	case KEY_ENVIRONMENT:
		return map_schema(key, json_pack("{ss}", "type", "string"));
	case KEY_WORKERS:
		return json_pack("{s[{ss, sI, sI}, {ss}]}", "anyOf", "type", "integer", "minimum",
		    (json_int_t)key->min, "maximum", (json_int_t)key->max, "const", "auto");
	case KEY_SLOTS:
		return json_pack("{s[{ss, sI, sI}, {ss, s{ss, ss}, sI, sI, sb}]}", "anyOf", "type", "integer", "minimum",
		    (json_int_t)key->min, "maximum", (json_int_t)key->max, "type", "array", "items", "type", "string",
		    "pattern", "^[A-Za-z0-9._-]{1,64}$", "minItems", (json_int_t)key->min, "maxItems",
		    (json_int_t)key->max, "uniqueItems", 1);
	case KEY_WEIGHTS:
		return map_schema(
		    key, json_pack("{ss, si, si}", "type", "integer", "minimum", 0, "maximum", 1000));
	}
	return NULL;
}

/* The default as the JSON value that one would write. */
static json_t *fallback_json(const struct key *key)
{
	if (key->type == KEY_INTEGER)
		return json_loads(key->fallback, JSON_DECODE_ANY, NULL);
	if (key->type == KEY_BOOLEAN)
		return json_boolean(strcmp(key->fallback, "true") == 0);
	return json_string(key->fallback);
}

static json_t *object_schema(enum key_object object)
{
	json_t *properties = json_object();
	json_t *required = json_array();
	json_t *schema;

	for (size_t i = 0; i < keys_count; i++) {
		const struct key *key = &keys[i];
		json_t *value;

		if (key->object != object)
			continue;
		value = json_pack("{ss}", "description", key->help);
		json_object_update_new(value, value_schema(key));
		if (key->fallback != NULL)
			json_object_set_new(value, "default", fallback_json(key));
		json_object_set_new(properties, key->name, value);
		if (key->required)
			json_array_append_new(required, json_string(key->name));
	}
	schema = json_pack("{ss, so, s{s{}}, sb}", "type", "object", "properties", properties,
	    "patternProperties", "^//", "additionalProperties", 0);
	if (json_array_size(required) > 0)
		json_object_set(schema, "required", required);
	json_decref(required);
	if (object == KEYS_STICKY)
		json_object_set_new(schema, "minProperties", json_integer(1));
	return schema;
}

int config_print_schema(FILE *out)
{
	json_t *schema = json_pack("{ss, ss, ss}", "$schema", "https://json-schema.org/draft/2020-12/schema",
	    "title", "limpet.json", "description", "Configuration of limpet; see limpet.json(5)");
	int r = json_object_update_new(schema, object_schema(KEYS_CONFIG));

	if (r == 0 && (json_dumpf(schema, out, JSON_INDENT(2)) < 0 || fputc('\n', out) == EOF))
		r = -EIO;
	else if (r < 0)
		r = -ENOMEM;
	json_decref(schema);
	return r;
}
