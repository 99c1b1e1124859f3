#include "channel/node_listen.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "channel/node.h"

/* UV_TCP_IPV6ONLY and UV_UDP_IPV6ONLY in uv.h. */
#define FLAG_IPV6_ONLY 1

enum address_type { TYPE_IPV4, TYPE_IPV6, TYPE_PATH, TYPE_UDP4, TYPE_UDP6, TYPE_UNKNOWN };

static enum address_type address_type(const json_t *message)
{
	const json_t *member = json_object_get(message, "addressType");

	if (json_is_string(member)) {
		if (strcmp(json_string_value(member), "udp4") == 0)
			return TYPE_UDP4;
		if (strcmp(json_string_value(member), "udp6") == 0)
			return TYPE_UDP6;
	} else if (json_is_integer(member)) {
		switch (json_integer_value(member)) {
		case 4:
			return TYPE_IPV4;
		case 6:
			return TYPE_IPV6;
		case -1:
			return TYPE_PATH;
		}
	}
	return TYPE_UNKNOWN;
}

bool node_listen_key(const json_t *message, int64_t port, char *key, size_t size)
{
	static const char *const types[] = {"4", "6", "-1", "udp4", "udp6"};
	const json_t *address = json_object_get(message, "address");
	const json_t *fd = json_object_get(message, "fd");
	enum address_type type = address_type(message);
	char fd_text[24] = "undefined";
	int64_t index;
	int length;

	if (type == TYPE_UNKNOWN || !node_integer(message, "index", 0, UINT32_MAX, &index))
		return false;
	if (address && !json_is_null(address) && !json_is_string(address))
		return false;
	/* A NUL would end the key early, and make two servers one. */
	if (json_is_string(address) && strlen(json_string_value(address)) != json_string_length(address))
		return false;
	if (json_is_integer(fd))
		snprintf(fd_text, sizeof(fd_text), "%lld", (long long)json_integer_value(fd));
	length = snprintf(key, size, "%s:%lld:%s:%s:%lld",
	    json_is_string(address) ? json_string_value(address) : "null", (long long)port, types[type],
	    fd_text, (long long)index);
	return length > 0 && (size_t)length < size;
}

static int parse_path(struct address *address, const char *path)
{
	size_t length = strlen(path);

	/* Node makes paths absolute, since the worker's directory is not ours. */
	if (path[0] != '/' || length >= sizeof(address->un.sun_path))
		return path[0] != '/' ? -EINVAL : -ENAMETOOLONG;
	memset(address, 0, sizeof(*address));
	address->un.sun_family = AF_UNIX;
	memcpy(address->un.sun_path, path, length + 1);
	address->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + 1);
	return 0;
}

/* An IP address, link-local ones with "%eth0" or "%2" behind. */
static int parse_ip(struct address *address, const char *text, int family)
{
	const char *zone = strchr(text, '%');
	int error = address_parse_ip(address, text, zone ? (size_t)(zone - text) : strlen(text));

	if (error)
		return error;
	if (address_family(address) != family || (zone && family != AF_INET6))
		return -EINVAL;
	if (zone) {
		char *end;
		unsigned long number = strtoul(zone + 1, &end, 10);

		if (!zone[1] || *end || number > UINT32_MAX)
			number = if_nametoindex(zone + 1);
		address->in6.sin6_scope_id = (uint32_t)number;
	}
	return !zone || address->in6.sin6_scope_id ? 0 : -EINVAL;
}

static int parse_address(struct channel_listen *listen, const json_t *message, enum address_type type)
{
	const char *text = json_string_value(json_object_get(message, "address"));
	int family = type == TYPE_IPV6 || type == TYPE_UDP6 ? AF_INET6 : AF_INET;
	int64_t port = 0, number;
	int error;

	listen->socket_type = type == TYPE_UDP4 || type == TYPE_UDP6 ? SOCK_DGRAM : SOCK_STREAM;
	if (type == TYPE_PATH)
		return text ? parse_path(&listen->address, text) : -EINVAL;
	/* bind() of a UDP socket may leave the port out. */
	if (!node_integer(message, "port", 0, UINT16_MAX, &port) &&
	    (listen->socket_type == SOCK_STREAM || json_is_integer(json_object_get(message, "port"))))
		return -EINVAL;
	if (!text || !*text) {
		/* net: both families, whatever addressType says. dgram names one itself. */
		listen->any_address = listen->socket_type == SOCK_STREAM;
		if (listen->any_address)
			family = AF_INET6;
		text = family == AF_INET6 ? "::" : "0.0.0.0";
	}
	error = parse_ip(&listen->address, text, family);
	if (error)
		return error;
	address_set_port(&listen->address, (uint16_t)port);
	if (node_integer(message, "flags", 0, INT32_MAX, &number))
		listen->ipv6_only = family == AF_INET6 && (number & FLAG_IPV6_ONLY);
	return 0;
}

/* false, a string, or nothing: net.js passes on what the application gave. */
static int parse_backlog(const json_t *message)
{
	int64_t backlog;

	return node_integer(message, "backlog", 1, INT32_MAX, &backlog) ? (int)backlog : 0;
}

static int parse_data(struct node_listen *listen, const json_t *message)
{
	const json_t *data = json_object_get(message, "data");
	size_t length;

	if (!data || json_is_null(data))
		return 0;
	length = json_dumpb(data, listen->data, CHANNEL_DATA_MAX, JSON_COMPACT | JSON_ENCODE_ANY);
	if (!length || length > CHANNEL_DATA_MAX)
		return -EMSGSIZE;
	listen->data[length] = '\0';
	listen->listen.data = listen->data;
	return 0;
}

int node_listen_parse(struct node_listen *listen, const json_t *message)
{
	const json_t *fd = json_object_get(message, "fd");
	enum address_type type = address_type(message);
	int64_t number;
	int error;

	memset(&listen->listen, 0, sizeof(listen->listen));
	listen->listen.fd = -1;
	if (!node_seq(message, &listen->seq))
		return -EBADMSG;
	/* An inherited fd is the worker's alone: its number means nothing here. */
	if (json_is_integer(fd) && json_integer_value(fd) >= 0)
		return -ENOTSUP;
	if (type == TYPE_UNKNOWN)
		return -ENOTSUP;
	if (!node_integer(message, "port", -1, UINT16_MAX, &number))
		number = 0;
	if (!node_listen_key(message, number, listen->key, sizeof(listen->key)))
		return -EINVAL;
	listen->listen.key = listen->key;
	node_integer(message, "index", 0, UINT32_MAX, &number);
	listen->listen.index = (unsigned)number;
	listen->listen.backlog = parse_backlog(message);
	error = parse_address(&listen->listen, message, type);
	return error ? error : parse_data(listen, message);
}

void node_listen_sockname(struct json_text *text, const struct address *address)
{
	char ip[ADDRESS_TEXT_MAX];

	json_text_add(text, "{\"address\":");
	json_text_string(text, address_format_ip(address, ip, sizeof(ip)));
	json_text_add(text, ",\"family\":\"%s\",\"port\":%u}",
	    address_family(address) == AF_INET6 ? "IPv6" : "IPv4", address_port(address));
}
