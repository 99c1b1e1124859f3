#include "message.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "json.h"

#define TYPE_MAX 16
#define STAT_NAME_MAX 32

struct text {
	char *bytes;
	size_t size, length;
	bool full;
};

enum member { TYPE, ID, VERSION, LISTENER, CLIENT, KEY, POOL, SLOT, REASON, MEMBERS };

static void string_or_empty(const struct limpet_json_member *member, char *buffer, size_t size)
{
	if (!limpet_json_string(member, buffer, size))
		buffer[0] = '\0';
}

void limpet_message_read(struct limpet_message *message, const char *bytes, size_t length)
{
	struct limpet_json_member members[MEMBERS] = {
	    [TYPE] = {.name = "type"},
	    [ID] = {.name = "id"},
	    [VERSION] = {.name = "version"},
	    [LISTENER] = {.name = "listener"},
	    [CLIENT] = {.name = "client"},
	    [KEY] = {.name = "key"},
	    [POOL] = {.name = "pool"},
	    [SLOT] = {.name = "slot"},
	    [REASON] = {.name = "reason"},
	};
	char type[TYPE_MAX];
	bool numbered;

	message->type = LIMPET_MESSAGE_UNKNOWN;
	if (length > LIMPET_MESSAGE_MAX || !limpet_json_object(bytes, length, members, MEMBERS) ||
	    !limpet_json_string(&members[TYPE], type, sizeof(type)))
		return;
	numbered = limpet_json_number(&members[ID], LIMPET_ID_MAX, &message->id);
	if (strcmp(type, "connection") == 0 && numbered) {
		message->type = LIMPET_MESSAGE_CONNECTION;
		string_or_empty(&members[LISTENER], message->listener, sizeof(message->listener));
		string_or_empty(&members[CLIENT], message->client, sizeof(message->client));
		string_or_empty(&members[KEY], message->key, sizeof(message->key));
	} else if (strcmp(type, "ping") == 0 && numbered) {
		message->type = LIMPET_MESSAGE_PING;
	} else if (strcmp(type, "pong") == 0 && numbered) {
		message->type = LIMPET_MESSAGE_PONG;
	} else if (strcmp(type, "drain") == 0) {
		message->type = LIMPET_MESSAGE_DRAIN;
	} else if (strcmp(type, "welcome") == 0 &&
	           limpet_json_number(&members[VERSION], LIMPET_ID_MAX, &message->version)) {
		message->type = LIMPET_MESSAGE_WELCOME;
		string_or_empty(&members[POOL], message->pool, sizeof(message->pool));
		string_or_empty(&members[SLOT], message->slot, sizeof(message->slot));
	} else if (strcmp(type, "bye") == 0) {
		message->type = LIMPET_MESSAGE_BYE;
		string_or_empty(&members[REASON], message->reason, sizeof(message->reason));
	}
}

static void add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(struct text *text, const char *format, ...)
{
	size_t room = text->size - text->length;
	va_list arguments;
	int length;

	if (text->full)
		return;
	va_start(arguments, format);
	length = vsnprintf(text->bytes + text->length, room, format, arguments);
	va_end(arguments);
	if (length < 0 || (size_t)length >= room)
		text->full = true;
	else
		text->length += (size_t)length;
}

static size_t finish(const struct text *text)
{
	return text->full ? 0 : text->length;
}

size_t limpet_message_hello(char *bytes, size_t size, const char *pool, const char *slot)
{
	struct text text = {.bytes = bytes, .size = size};

	add(&text, "{\"type\":\"hello\",\"version\":%d", LIMPET_PROTOCOL);
	if (*pool)
		add(&text, ",\"pool\":\"%s\"", pool);
	if (*slot)
		add(&text, ",\"slot\":\"%s\"", slot);
	add(&text, ",\"capabilities\":[\"stats\"]}");
	return finish(&text);
}

size_t limpet_message_plain(char *bytes, size_t size, const char *type)
{
	struct text text = {.bytes = bytes, .size = size};

	add(&text, "{\"type\":\"%s\"}", type);
	return finish(&text);
}

size_t limpet_message_number(char *bytes, size_t size, const char *type, const char *member, uint32_t number)
{
	struct text text = {.bytes = bytes, .size = size};

	add(&text, "{\"type\":\"%s\",\"%s\":%u}", type, member, number);
	return finish(&text);
}

static bool stat_is_valid(const struct limpet_stat *stat)
{
	size_t length = stat->name ? strspn(stat->name, "abcdefghijklmnopqrstuvwxyz0123456789_") : 0;

	return length > 0 && length <= STAT_NAME_MAX && !stat->name[length] && isfinite(stat->value);
}

void limpet_decimal_point(char *number)
{
	char *point = number + strspn(number, "-0123456789e+");

	if (*point) {
		char *fraction = point + strcspn(point, "0123456789");

		*point = '.';
		memmove(point + 1, fraction, strlen(fraction) + 1);
	}
}

static void add_double(struct text *text, double value)
{
	char digits[64];

	snprintf(digits, sizeof(digits), "%.17g", value);
	limpet_decimal_point(digits);
	add(text, "%s", digits);
}

size_t limpet_message_stats(char *bytes, size_t size, const struct limpet_stat *stats, size_t count)
{
	struct text text = {.bytes = bytes, .size = size};

	if (count > LIMPET_STATS_MAX)
		return 0;
	add(&text, "{\"type\":\"stats\",\"values\":{");
	for (size_t i = 0; i < count; i++) {
		if (!stat_is_valid(&stats[i]))
			return 0;
		add(&text, "%s\"%s\":", i ? "," : "", stats[i].name);
		add_double(&text, stats[i].value);
	}
	add(&text, "}}");
	return finish(&text);
}

bool limpet_name_is_valid(const char *name)
{
	size_t length = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");

	return length > 0 && length < LIMPET_NAME_MAX && !name[length];
}
