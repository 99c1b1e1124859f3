/* Datagrams of a front, as liblimpet reads them. What it takes, jansson takes and understands in the same
 * way; and the other way round, but for what either of them does not want: deep nesting, members that come
 * twice, a NUL in their names, huge numbers, texts that do not fit. */
#include <jansson.h>
#include <string.h>
#include <sys/socket.h>

#include "address.h"
#include "fuzz.h"
#include "json.h"
#include "message.h"

static bool is_number(const json_t *object, const char *name, uint32_t number)
{
	const json_t *member = json_object_get(object, name);

	return json_is_integer(member) && json_integer_value(member) == (json_int_t)number;
}

/* Empty stands for whatever is no text. */
static bool is_text(const json_t *object, const char *name, const char *text)
{
	const json_t *member = json_object_get(object, name);

	return !*text || (json_is_string(member) && strcmp(json_string_value(member), text) == 0);
}

static bool is_type(const json_t *object, const char *type)
{
	return is_text(object, "type", type);
}

static void compare(const struct limpet_message *message, const json_t *object)
{
	switch (message->type) {
	case LIMPET_MESSAGE_CONNECTION:
		REQUIRE(is_type(object, "connection") && is_number(object, "id", message->id));
		REQUIRE(is_text(object, "listener", message->listener) &&
		        is_text(object, "client", message->client) && is_text(object, "key", message->key));
		break;
	case LIMPET_MESSAGE_PING:
		REQUIRE(is_type(object, "ping") && is_number(object, "id", message->id));
		break;
	case LIMPET_MESSAGE_PONG:
		REQUIRE(is_type(object, "pong") && is_number(object, "id", message->id));
		break;
	case LIMPET_MESSAGE_WELCOME:
		REQUIRE(is_type(object, "welcome") && is_number(object, "version", message->version));
		REQUIRE(is_text(object, "pool", message->pool) && is_text(object, "slot", message->slot));
		break;
	case LIMPET_MESSAGE_BYE:
		REQUIRE(is_type(object, "bye") && is_text(object, "reason", message->reason));
		break;
	case LIMPET_MESSAGE_DRAIN:
		REQUIRE(is_type(object, "drain"));
		break;
	case LIMPET_MESSAGE_UNKNOWN:
		break;
	}
}

static size_t depth_of(const json_t *value)
{
	size_t deepest = 0, depth, index;
	const char *name;
	json_t *member;

	if (json_is_object(value)) {
		json_object_foreach((json_t *)value, name, member)
		{
			depth = depth_of(member);
			deepest = depth > deepest ? depth : deepest;
		}
	} else if (json_is_array(value)) {
		json_array_foreach(value, index, member)
		{
			depth = depth_of(member);
			deepest = depth > deepest ? depth : deepest;
		}
	} else {
		return 0;
	}
	return deepest + 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct limpet_message message;
	struct sockaddr_storage address;
	const char *bytes = (const char *)data;
	json_error_t error;
	json_t *object;
	socklen_t length;
	bool taken;

	if (!size || size > LIMPET_MESSAGE_MAX)
		return 0;
	/* jansson reads what is nested up to 2048 deep. */
	object = json_loadb(bytes, size, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &error);
	taken = limpet_json_object(bytes, size, NULL, 0);
	/* jansson passes over a NUL behind a number. */
	if (object)
		REQUIRE(taken == (json_is_object(object) && depth_of(object) <= LIMPET_JSON_DEPTH_MAX) ||
		        (!taken && memchr(bytes, '\0', size)));
	else if (taken)
		REQUIRE(json_error_code(&error) == json_error_duplicate_key ||
		        json_error_code(&error) == json_error_numeric_overflow ||
		        json_error_code(&error) == json_error_null_byte_in_key);
	limpet_message_read(&message, bytes, size);
	REQUIRE(taken || message.type == LIMPET_MESSAGE_UNKNOWN);
	if (object)
		compare(&message, object);
	if (message.type == LIMPET_MESSAGE_CONNECTION &&
	    limpet_address_read(message.client, &address, &length))
		REQUIRE(length >= sizeof(sa_family_t) && length <= sizeof(address));
	json_decref(object);
	return 0;
}
