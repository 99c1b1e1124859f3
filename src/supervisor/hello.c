#include "supervisor/hello.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "channel/channel.h"
#include "config/keys.h"

#define CAPABILITIES_MAX 16
#define CAPABILITY_MAX 32

/* A name that may be missing. */
static bool take_name(const json_t *message, const char *key, char name[HELLO_NAME_MAX + 1])
{
	const json_t *value = json_object_get(message, key);
	const char *text = json_string_value(value);
	size_t length = json_string_length(value);

	name[0] = '\0';
	if (!value)
		return true;
	if (!text || length == 0 || length > HELLO_NAME_MAX || strlen(text) != length)
		return false;
	memcpy(name, text, length + 1);
	return true;
}

static bool capabilities_are_valid(const json_t *list)
{
	const json_t *item;
	size_t i;

	if (!list)
		return true;
	if (!json_is_array(list) || json_array_size(list) > CAPABILITIES_MAX)
		return false;
	json_array_foreach(list, i, item)
		if (!json_is_string(item) || json_string_length(item) > CAPABILITY_MAX)
			return false;
	return true;
}

/* How its channel speaks. */
static bool take_protocol(const json_t *message, struct hello *hello)
{
	const json_t *protocol = json_object_get(message, "protocol"), *flavour = json_object_get(message, "flavour");
	int value = PROTOCOL_LIMPET;

	if (protocol && (!json_is_string(protocol) || !choice_value(protocol_choices, json_string_value(protocol), &value)))
		return false;
	hello->protocol = (enum protocol)value;
	if (!flavour)
		return hello->protocol != PROTOCOL_NODE_IPC;
	if (hello->protocol != PROTOCOL_NODE_IPC || !json_is_string(flavour) ||
	    !choice_value(flavour_choices, json_string_value(flavour), &value))
		return false;
	hello->flavour = (enum flavour)value;
	return true;
}

static const char *take(const json_t *message, struct hello *hello)
{
	const char *type = json_string_value(json_object_get(message, "type"));
	const json_t *version = json_object_get(message, "version"), *ready = json_object_get(message, "ready");

	if (!type || strcmp(type, "hello") != 0)
		return "the first message must be a hello";
	if (!json_is_integer(version))
		return "the hello has no version";
	if (json_integer_value(version) != CHANNEL_VERSION)
		return "this limpet speaks version 1 of the protocol";
	if (!take_name(message, "pool", hello->pool) || !take_name(message, "slot", hello->slot))
		return "pool and slot are names of 1 to 64 bytes";
	if (!capabilities_are_valid(json_object_get(message, "capabilities")))
		return "capabilities are at most 16 strings of at most 32 bytes";
	if (!take_protocol(message, hello))
		return "there is no such protocol or flavour";
	if (ready && !json_is_boolean(ready))
		return "ready is true or false";
	hello->ready = json_is_true(ready);
	return NULL;
}

int hello_parse(struct hello *hello, const char *bytes, size_t length, const char **why)
{
	json_t *message = length <= HELLO_MAX ? json_loadb(bytes, length, JSON_ALLOW_NUL, NULL) : NULL;

	memset(hello, 0, sizeof(*hello));
	*why = json_is_object(message) ? take(message, hello) : "the first message must be a hello, one JSON object";
	json_decref(message);
	return *why ? -EPROTO : 0;
}
