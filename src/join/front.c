#include "join/front.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/address.h"
#include "base/fd_passing.h"
#include "channel/channel.h"
#include "channel/json_text.h"
#include "config/load.h"

#define MESSAGE_MAX 8192

int front_connect(const char *socket_name)
{
	struct address address;
	int fd, error;

	if (address_parse(&address, socket_name, NULL) < 0 || address_family(&address) != AF_UNIX)
		return -EINVAL;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, &address.sa, address.length) == 0)
		return fd;
	error = errno;
	close(fd);
	return -error;
}

static void add_name(struct json_text *text, const char *key, const char *value)
{
	if (!value)
		return;
	json_text_add(text, ",\"%s\":", key);
	json_text_string(text, value);
}

int front_say_hello(int front, const struct front_hello *hello, int channel)
{
	char bytes[1024];
	struct json_text text = JSON_TEXT(bytes);
	ssize_t sent;

	json_text_add(&text, "{\"type\":\"hello\",\"version\":%d", CHANNEL_VERSION);
	add_name(&text, "pool", hello->pool);
	add_name(&text, "slot", hello->slot);
	add_name(&text, "protocol", protocol_name(hello->protocol));
	if (hello->protocol == PROTOCOL_NODE_IPC)
		add_name(&text, "flavour", flavour_name(hello->flavour));
	json_text_add(&text, ",\"ready\":%s}", hello->ready ? "true" : "false");
	if (text.full)
		return -ENAMETOOLONG;
	sent = fd_send(front, bytes, text.length, channel);
	return sent < 0 ? (int)sent : 0;
}

static bool copy_name(const json_t *message, const char *key, char name[FRONT_NAME_MAX + 1])
{
	const char *text = json_string_value(json_object_get(message, key));

	if (!text || !*text || strlen(text) > FRONT_NAME_MAX)
		return false;
	strcpy(name, text);
	return true;
}

static enum front_message take_welcome(const json_t *message, struct front_answer *answer)
{
	const json_t *version = json_object_get(message, "version");

	if (!json_is_integer(version) || json_integer_value(version) != CHANNEL_VERSION ||
	    !copy_name(message, "pool", answer->pool) || !copy_name(message, "slot", answer->slot))
		return FRONT_NOTHING;
	answer->generation = (uint32_t)json_integer_value(json_object_get(message, "generation"));
	answer->worker = (uint32_t)json_integer_value(json_object_get(message, "worker"));
	return FRONT_WELCOME;
}

static enum front_message take_bye(const json_t *message, struct front_answer *answer)
{
	const char *reason = json_string_value(json_object_get(message, "reason"));
	const json_t *again = json_object_get(message, "again");

	strncpy(answer->reason, reason ? reason : "", FRONT_REASON_MAX - 1);
	answer->again = !again || json_is_true(again);
	return FRONT_BYE;
}

enum front_message front_parse(const char *bytes, size_t length, struct front_answer *answer)
{
	json_t *message = json_loadb(bytes, length, 0, NULL);
	const char *type = json_string_value(json_object_get(message, "type"));
	enum front_message result = FRONT_NOTHING;

	memset(answer, 0, sizeof(*answer));
	if (type && strcmp(type, "welcome") == 0)
		result = take_welcome(message, answer);
	else if (type && strcmp(type, "bye") == 0)
		result = take_bye(message, answer);
	else if (type && strcmp(type, "ready") == 0)
		result = FRONT_READY;
	else if (type && strcmp(type, "drain") == 0)
		result = FRONT_DRAIN;
	json_decref(message);
	return result;
}

enum front_message front_receive(int front, struct front_answer *answer)
{
	char bytes[MESSAGE_MAX];
	int truncated;
	ssize_t length = fd_receive(front, bytes, sizeof(bytes), NULL, &truncated);

	memset(answer, 0, sizeof(*answer));
	/* Told once, before what the other end had said. */
	if (length == -ECONNRESET)
		length = fd_receive(front, bytes, sizeof(bytes), NULL, &truncated);
	if (length == -EAGAIN)
		return FRONT_NOTHING;
	if (length <= 0)
		return FRONT_END;
	return truncated ? FRONT_NOTHING : front_parse(bytes, (size_t)length, answer);
}
