/* Reading of values whose type says everything: strings, numbers with bounds, addresses, lists of strings. */
#include <stdlib.h>
#include <string.h>

#include "config/reader.h"
#include "config/suggest.h"
#include "config/units.h"

/* How much of what a user wrote is quoted back. */
#define QUOTED "\"%.80s\""

static char *copy(struct reader *reader, const char *text)
{
	char *duplicate = strdup(text);

	if (duplicate == NULL)
		reader->problems->out_of_memory = true;
	return duplicate;
}

/* Characters of RFC 9110, 5.6.2: names of header fields, and of cookies (RFC 6265, 4.1.1). */
static bool is_token(const char *text)
{
	return text[0] != '\0' && text[strspn(text, "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
	                                            "ABCDEFGHIJKLMNOPQRSTUVWXYZ")] == '\0';
}

static void read_string(struct reader *reader, const struct key *key, const struct node *node, char **field)
{
	if (node->type != NODE_STRING) {
		read_wrong_type(reader, node, "a string");
		return;
	}
	if (node->string[0] == '\0' && key->min > 0) {
		problems_value(reader->problems, node,
		    node->option != NULL || key->object == KEYS_STICKY
		        ? "is empty"
		        : "is empty; leave the key out for its default");
		return;
	}
	if (strlen(node->string) > key->max) {
		problems_value(reader->problems, node, "is longer than %zu bytes", (size_t)key->max);
		return;
	}
	if (key->type == KEY_TOKEN && !is_token(node->string)) {
		problems_value(reader->problems, node,
		    QUOTED " cannot be the name of a %s; it has letters, digits and !#$%%&'*+-.^_`|~ only",
		    node->string, key->name);
		return;
	}
	if (key->type != KEY_NOTE)
		*field = copy(reader, node->string);
}

static void read_duration(
    struct reader *reader, const struct key *key, const struct node *node, uint64_t *field)
{
	char least[UNITS_TEXT_MAX];
	char most[UNITS_TEXT_MAX];
	uint64_t value = 0;
	enum units_result result;

	if (node->type == NODE_INTEGER && node->integer >= 0) {
		problems_value(reader->problems, node, "needs a unit: \"%llds\" or \"%lldms\"", node->integer,
		    node->integer);
		return;
	}
	if (node->type != NODE_STRING) {
		read_wrong_type(reader, node, "a duration such as \"10s\"");
		return;
	}
	result = duration_parse(&value, node->string);
	if (result == UNITS_NO_UNIT)
		problems_value(reader->problems, node, "needs a unit: \"%.20ss\" or \"%.20sms\"",
		    node->string, node->string);
	else if (result == UNITS_INVALID)
		problems_value(reader->problems, node,
		    QUOTED " is no duration; write a whole number with ms, s, m, h or d, such as \"10s\"",
		    node->string);
	else if (result == UNITS_TOO_BIG || value < key->min || value > key->max)
		problems_value(reader->problems, node, "must be %s to %s", duration_format(key->min, least),
		    duration_format(key->max, most));
	else
		*field = value;
}

static void read_size(struct reader *reader, const struct key *key, const struct node *node, size_t *field)
{
	char least[UNITS_TEXT_MAX];
	char most[UNITS_TEXT_MAX];
	uint64_t value = 0;
	enum units_result result = UNITS_OK;

	if (node->type == NODE_INTEGER) {
		value = node->integer < 0 ? 0 : (uint64_t)node->integer;
	} else if (node->type == NODE_STRING) {
		result = size_parse(&value, node->string);
	} else {
		read_wrong_type(reader, node, "a size such as \"16k\" or a number of bytes");
		return;
	}
	if (result == UNITS_INVALID)
		problems_value(reader->problems, node,
		    QUOTED
		    " is no size; write a whole number of bytes, or one with k, m or g, such as \"16k\"",
		    node->string);
	else if (result == UNITS_TOO_BIG || value < key->min || value > key->max)
		problems_value(reader->problems, node, "must be %s to %s", size_format(key->min, least),
		    size_format(key->max, most));
	else
		*field = (size_t)value;
}

bool read_integer(struct reader *reader, const struct key *key, const struct node *node, unsigned *value)
{
	if (node->type != NODE_INTEGER) {
		if (node->type == NODE_STRING)
			problems_value(
			    reader->problems, node, "must be a number, not the string " QUOTED, node->string);
		else
			read_wrong_type(reader, node, "a whole number");
		return false;
	}
	if (node->integer < (long long)key->min || node->integer > (long long)key->max) {
		problems_value(reader->problems, node, "must be %llu to %llu", (unsigned long long)key->min,
		    (unsigned long long)key->max);
		return false;
	}
	*value = (unsigned)node->integer;
	return true;
}

static void read_boolean(struct reader *reader, const struct node *node, bool *field)
{
	if (node->type == NODE_TRUE || node->type == NODE_FALSE)
		*field = node->type == NODE_TRUE;
	else
		read_wrong_type(reader, node, "true or false");
}

static void read_mode(struct reader *reader, const struct key *key, const struct node *node, struct mode *field)
{
	const char *text = node->string;
	unsigned bits;

	if (node->type != NODE_STRING) {
		read_wrong_type(reader, node, "an octal number as a string such as \"0600\"");
		return;
	}
	if (strlen(text) < 3 || strlen(text) > 4 || text[strspn(text, "01234567")] != '\0') {
		problems_value(reader->problems, node,
		    QUOTED " is no mode; write three octal digits, or four with 0 first, such as \"0600\"", text);
		return;
	}
	bits = (unsigned)strtoul(text, NULL, 8);
	if (bits & ~(unsigned)key->max)
		problems_value(reader->problems, node, "may have no bits but those of \"%04o\"", (unsigned)key->max);
	else
		*field = (struct mode){true, bits};
}

static void read_limit(struct reader *reader, const struct key *key, const struct node *node, struct limit *field)
{
	size_t before = reader->problems->count;
	unsigned number = 0;
	size_t size = 0;

	if (node->type == NODE_STRING && strcmp(node->string, "unlimited") == 0) {
		*field = (struct limit){true, LIMIT_UNLIMITED};
		return;
	}
	if (key->type == KEY_LIMIT)
		read_integer(reader, key, node, &number);
	else
		read_size(reader, key, node, &size);
	if (reader->problems->count == before)
		*field = (struct limit){true, key->type == KEY_LIMIT ? number : size};
}

static void read_choice(struct reader *reader, const struct key *key, const struct node *node, int *field)
{
	struct suggest suggest;
	char all[256] = "";

	if (node->type != NODE_STRING) {
		read_wrong_type(reader, node, "a string");
		return;
	}
	if (choice_value(key->choices, node->string, field))
		return;
	suggest_init(&suggest, node->string);
	for (const struct choice *choice = key->choices; choice->name != NULL; choice++) {
		size_t used = strlen(all);

		suggest_offer(&suggest, choice->name);
		snprintf(all + used, sizeof all - used, "%s%s", used > 0 ? ", " : "", choice->name);
	}
	if (suggest.best != NULL)
		problems_value(reader->problems, node, QUOTED " is none of %s; did you mean \"%s\"?",
		    node->string, all, suggest.best);
	else
		problems_value(reader->problems, node, QUOTED " is none of %s", node->string, all);
}

static void read_address(struct reader *reader, const struct node *node, struct address *field)
{
	const char *why = NULL;

	if (node->type == NODE_INTEGER && node->integer >= 0 && node->integer <= 65535)
		problems_value(reader->problems, node, "must be a string: \"%lld\"", node->integer);
	else if (node->type != NODE_STRING)
		read_wrong_type(reader, node, "an address such as \"127.0.0.1:8080\"");
	else if (address_parse(field, node->string, &why) < 0)
		problems_value(reader->problems, node, QUOTED " is no address: %s", node->string,
		    why == NULL ? "it cannot be read" : why);
}

/* Checks that a list has a length within the key's bounds. */
static bool read_length(
    struct reader *reader, const struct key *key, const struct node *node, const char *what)
{
	if (node->count < key->min) {
		problems_value(reader->problems, node, "is empty");
		return false;
	}
	if (node->count > key->max) {
		problems_value(reader->problems, node, "has %zu %s; at most %zu are allowed", node->count,
		    what, (size_t)key->max);
		return false;
	}
	return true;
}

static void read_prefixes(
    struct reader *reader, const struct key *key, const struct node *node, struct listener_config *listener)
{
	struct address_prefix *prefixes;

	if (node->type != NODE_LIST) {
		read_wrong_type(reader, node, "a list of networks such as [\"10.0.0.0/8\"]");
		return;
	}
	if (node->count == 0 || !read_length(reader, key, node, "networks"))
		return;
	prefixes = calloc(node->count, sizeof *prefixes);
	if (prefixes == NULL) {
		reader->problems->out_of_memory = true;
		return;
	}
	listener->trusted_proxies = prefixes;
	listener->trusted_proxies_count = node->count;
	for (const struct node *entry = node->first; entry != NULL; entry = entry->next) {
		const char *why = NULL;

		if (entry->type != NODE_STRING)
			read_wrong_type(reader, entry, "a network such as \"10.0.0.0/8\"");
		else if (address_prefix_parse(&prefixes[entry->index], entry->string, &why) < 0)
			problems_value(reader->problems, entry, QUOTED " is no network: %s", entry->string,
			    why == NULL ? "it cannot be read" : why);
	}
}

static void read_command(struct reader *reader, const struct key *key, const struct node *node, char ***field)
{
	char **strings;

	if (node->type == NODE_STRING) {
		problems_value(reader->problems, node,
		    "must be a list: the program, then each argument as a string of its own");
		return;
	}
	if (node->type != NODE_LIST) {
		read_wrong_type(reader, node, "a list of strings such as [\"node\", \"server.js\"]");
		return;
	}
	if (!read_length(reader, key, node, "strings"))
		return;
	strings = calloc(node->count + 1, sizeof *strings);
	if (strings == NULL) {
		reader->problems->out_of_memory = true;
		return;
	}
	*field = strings;
	for (const struct node *entry = node->first; entry != NULL; entry = entry->next) {
		if (entry->type != NODE_STRING)
			read_wrong_type(reader, entry, "a string");
		else if (entry->index == 0 && entry->string[0] == '\0')
			problems_value(reader->problems, entry, "is empty; name a program");
		/* One that is missing after a problem would end the list early; the program stays unknown. */
		if (entry->type == NODE_STRING)
			strings[entry->index] = copy(reader, entry->string);
		else
			strings[entry->index] = copy(reader, entry->index == 0 ? "" : "?");
		if (strings[entry->index] == NULL)
			return;
	}
}

static void read_environment(
    struct reader *reader, const struct key *key, const struct node *node, char ***field)
{
	size_t count = 0;

	if (node->type != NODE_OBJECT) {
		read_wrong_type(reader, node, "an object of strings such as {\"NODE_ENV\": \"production\"}");
		return;
	}
	if (!read_length(reader, key, node, "variables"))
		return;
	*field = calloc(node->count + 1, sizeof **field);
	if (*field == NULL) {
		reader->problems->out_of_memory = true;
		return;
	}
	for (const struct node *entry = node->first; entry != NULL; entry = entry->next) {
		if (entry->duplicate_of != NULL)
			continue;
		if (entry->key[0] == '\0' || strchr(entry->key, '=') != NULL) {
			problems_key(reader->problems, entry, "is no name of a variable");
		} else if (entry->type == NODE_INTEGER) {
			problems_value(reader->problems, entry, "must be a string: \"%lld\"", entry->integer);
		} else if (entry->type != NODE_STRING) {
			read_wrong_type(reader, entry, "a string");
		} else if (asprintf(&(*field)[count], "%s=%s", entry->key, entry->string) < 0) {
			(*field)[count] = NULL;
			reader->problems->out_of_memory = true;
		} else {
			count++;
		}
	}
}

void read_value(struct reader *reader, const struct key *key, const struct node *node, void *base)
{
	void *field = (char *)base + key->offset;
	struct listener_config *listener = base;

	switch (key->type) {
	case KEY_NOTE:
	case KEY_STRING:
	case KEY_TOKEN:
		read_string(reader, key, node, field);
		break;
	case KEY_DURATION:
		read_duration(reader, key, node, field);
		break;
	case KEY_SIZE:
		read_size(reader, key, node, field);
		break;
	case KEY_INTEGER:
		read_integer(reader, key, node, field);
		break;
	case KEY_BOOLEAN:
		read_boolean(reader, node, field);
		break;
	case KEY_MODE:
		read_mode(reader, key, node, field);
		break;
	case KEY_LIMIT:
	case KEY_SIZE_LIMIT:
		read_limit(reader, key, node, field);
		break;
	case KEY_CHOICE:
		read_choice(reader, key, node, field);
		break;
	case KEY_OBJECT:
		read_object(reader, key->of, node, field);
		break;
	case KEY_ADDRESS:
		listener->has_address = true;
		read_address(reader, node, field);
		break;
	case KEY_PREFIXES:
		read_prefixes(reader, key, node, listener);
		break;
	case KEY_COMMAND:
		read_command(reader, key, node, field);
		break;
	case KEY_ENVIRONMENT:
		read_environment(reader, key, node, field);
		break;
	case KEY_MAP:
	case KEY_POOL_NAME:
	case KEY_STICKY_LIST:
	case KEY_WORKERS:
	case KEY_SLOTS:
	case KEY_WEIGHTS:
		break; /* these need their neighbours: whoever asked for the object reads them after it */
	}
}
