#include "base/address.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/decimal.h"

static int fail(const char **why, const char *text)
{
	if (why)
		*why = text;
	return -EINVAL;
}

static int parse_port(const char *text, uint16_t *port)
{
	unsigned value = 0;

	if (!*text || strlen(text) > 5)
		return -EINVAL;
	for (; *text; text++) {
		if (!isdigit((unsigned char)*text))
			return -EINVAL;
		value = value * 10 + (unsigned)(*text - '0');
	}
	if (value > 65535)
		return -EINVAL;
	*port = (uint16_t)value;
	return 0;
}

static int parse_unix(struct address *address, const char *name, const char **why)
{
	size_t length = strlen(name);

	if (length == 0 || (name[0] == '@' && length == 1))
		return fail(why, "a path is missing after \"unix:\"");
	if (length >= sizeof(address->un.sun_path))
		return fail(why, "the path of a Unix socket has at most 107 bytes");
	memset(address, 0, sizeof(*address));
	address->un.sun_family = AF_UNIX;
	memcpy(address->un.sun_path, name, length);
	address->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
	if (name[0] == '@')
		address->un.sun_path[0] = '\0'; /* abstract: the length counts, not a NUL at the end */
	else
		address->length++;
	return 0;
}

int address_parse_ip(struct address *address, const char *text, size_t length)
{
	char copy[INET6_ADDRSTRLEN];

	if (length == 0 || length >= sizeof(copy) || memchr(text, '\0', length))
		return -EINVAL;
	memcpy(copy, text, length);
	copy[length] = '\0';
	memset(address, 0, sizeof(*address));
	if (inet_pton(AF_INET, copy, &address->in.sin_addr) == 1) {
		address->in.sin_family = AF_INET;
		address->length = sizeof(address->in);
		return 0;
	}
	if (inet_pton(AF_INET6, copy, &address->in6.sin6_addr) == 1) {
		address->in6.sin6_family = AF_INET6;
		address->length = sizeof(address->in6);
		return 0;
	}
	return -EINVAL;
}

int address_parse(struct address *address, const char *text, const char **why)
{
	const char *colon, *host = text;
	size_t host_length;
	uint16_t port;

	if (strncmp(text, "unix:", 5) == 0)
		return parse_unix(address, text + 5, why);
	if (text[0] == '/' || text[0] == '@')
		return parse_unix(address, text, why);

	colon = strrchr(text, ':');
	if (!colon) {
		if (parse_port(text, &port) < 0)
			return fail(why, "not an address; write HOST:PORT, [IPV6]:PORT, PORT or unix:/PATH");
		host_length = 0;
	} else {
		if (parse_port(colon + 1, &port) < 0)
			return fail(why, "a port is a number from 0 to 65535");
		host_length = (size_t)(colon - text);
	}
	if (host_length == 0 || (host_length == 1 && *host == '*')) {
		address_parse_ip(address, "::", 2);
	} else if (host[0] == '[') {
		if (host[host_length - 1] != ']' || host_length < 3)
			return fail(why, "an IPv6 address ends with ]");
		if (address_parse_ip(address, host + 1, host_length - 2) < 0 ||
		    address_family(address) != AF_INET6)
			return fail(why, "not an IPv6 address between [ and ]");
	} else if (memchr(host, ':', host_length)) {
		return fail(why, "an IPv6 address is written in brackets: [::1]:80");
	} else if (address_parse_ip(address, host, host_length) < 0) {
		return fail(why, "not a numeric IP address; names are not resolved");
	}
	address_set_port(address, port);
	return 0;
}

static void format_unix(const struct address *address, char *buffer, size_t size)
{
	size_t head = offsetof(struct sockaddr_un, sun_path), length, at;
	const char *path = address->un.sun_path;

	length = address->length > head ? address->length - head : 0;
	if (length > sizeof(address->un.sun_path))
		length = sizeof(address->un.sun_path);
	if (length && path[0] != '\0')
		length = strnlen(path, length);
	snprintf(buffer, size, "unix:");
	at = strlen(buffer);
	for (size_t i = 0; i < length && at + 1 < size; i++) {
		unsigned char c = (unsigned char)path[i];

		if (i == 0 && c == '\0')
			c = '@';
		buffer[at++] = isprint(c) ? (char)c : '?';
	}
	if (size)
		buffer[at] = '\0';
}

const char *address_format_ip(const struct address *address, char *buffer, size_t size)
{
	switch (address_family(address)) {
	case AF_INET:
		if (!inet_ntop(AF_INET, &address->in.sin_addr, buffer, (socklen_t)size) && size)
			buffer[0] = '\0';
		break;
	case AF_INET6:
		if (!inet_ntop(AF_INET6, &address->in6.sin6_addr, buffer, (socklen_t)size) && size)
			buffer[0] = '\0';
		break;
	case AF_UNIX:
		format_unix(address, buffer, size);
		break;
	default:
		snprintf(buffer, size, "none");
	}
	return buffer;
}

/* Once a connection, mostly: without inet_ntop() and snprintf(). */
static void format_ipv4(const struct sockaddr_in *in, char *text)
{
	const unsigned char *bytes = (const unsigned char *)&in->sin_addr;
	size_t length = 0;

	for (int i = 0; i < 4; i++) {
		length += decimal_write(text + length, bytes[i]);
		text[length++] = i < 3 ? '.' : ':';
	}
	length += decimal_write(text + length, ntohs(in->sin_port));
	text[length] = '\0';
}

const char *address_format(const struct address *address, char *buffer, size_t size)
{
	char ip[ADDRESS_TEXT_MAX];

	if (address_family(address) == AF_INET && size >= sizeof("255.255.255.255:65535")) {
		format_ipv4(&address->in, buffer);
		return buffer;
	}

	address_format_ip(address, ip, sizeof(ip));
	switch (address_family(address)) {
	case AF_INET:
		snprintf(buffer, size, "%s:%u", ip, address_port(address));
		break;
	case AF_INET6:
		snprintf(buffer, size, "[%s]:%u", ip, address_port(address));
		break;
	default:
		snprintf(buffer, size, "%s", ip);
	}
	return buffer;
}

int address_family(const struct address *address)
{
	return address->length >= sizeof(sa_family_t) ? address->sa.sa_family : AF_UNSPEC;
}

uint16_t address_port(const struct address *address)
{
	switch (address_family(address)) {
	case AF_INET:
		return ntohs(address->in.sin_port);
	case AF_INET6:
		return ntohs(address->in6.sin6_port);
	default:
		return 0;
	}
}

void address_set_port(struct address *address, uint16_t port)
{
	switch (address_family(address)) {
	case AF_INET:
		address->in.sin_port = htons(port);
		break;
	case AF_INET6:
		address->in6.sin6_port = htons(port);
		break;
	}
}

void address_unmap(struct address *address)
{
	struct sockaddr_in in = {.sin_family = AF_INET};

	if (address_family(address) != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&address->in6.sin6_addr))
		return;
	in.sin_port = address->in6.sin6_port;
	memcpy(&in.sin_addr, address->in6.sin6_addr.s6_addr + 12, 4);
	memset(address, 0, sizeof(*address));
	address->in = in;
	address->length = sizeof(in);
}

static void clear_behind(unsigned char *bytes, size_t length, unsigned prefix)
{
	for (size_t i = 0; i < length; i++) {
		unsigned before = (unsigned)(i * 8);

		if (prefix <= before)
			bytes[i] = 0;
		else if (prefix < before + 8)
			bytes[i] &= (unsigned char)(0xff << (before + 8 - prefix));
	}
}

void address_mask(struct address *address, unsigned v4_prefix, unsigned v6_prefix)
{
	address_unmap(address);
	address_set_port(address, 0);
	switch (address_family(address)) {
	case AF_INET:
		clear_behind((unsigned char *)&address->in.sin_addr, 4, v4_prefix);
		break;
	case AF_INET6:
		clear_behind(address->in6.sin6_addr.s6_addr, 16, v6_prefix);
		break;
	}
}

const void *address_bytes(const struct address *address, size_t *length)
{
	size_t head = offsetof(struct sockaddr_un, sun_path);

	switch (address_family(address)) {
	case AF_INET:
		*length = 4;
		return &address->in.sin_addr;
	case AF_INET6:
		*length = 16;
		return &address->in6.sin6_addr;
	case AF_UNIX:
		if (address->length > head) {
			*length = address->length - head;
			return address->un.sun_path;
		}
	}
	*length = 0;
	return NULL;
}

bool address_equal(const struct address *a, const struct address *b)
{
	const void *bytes_a, *bytes_b;
	size_t length_a, length_b;

	if (address_family(a) != address_family(b) || address_port(a) != address_port(b))
		return false;
	if (address_family(a) == AF_INET6 && a->in6.sin6_scope_id != b->in6.sin6_scope_id)
		return false;
	bytes_a = address_bytes(a, &length_a);
	bytes_b = address_bytes(b, &length_b);
	return length_a == length_b && (length_a == 0 || memcmp(bytes_a, bytes_b, length_a) == 0);
}

int address_prefix_parse(struct address_prefix *prefix, const char *text, const char **why)
{
	const char *slash = strchr(text, '/');
	struct address address, masked;
	unsigned bits, max;
	uint16_t number;

	memset(prefix, 0, sizeof(*prefix));
	if (strcmp(text, "unix") == 0) {
		prefix->family = AF_UNIX;
		return 0;
	}
	if (address_parse_ip(&address, text, slash ? (size_t)(slash - text) : strlen(text)) < 0)
		return fail(why, "not a network; write ADDRESS or ADDRESS/PREFIX, such as 10.0.0.0/8 or fd00::/8");
	max = address_family(&address) == AF_INET ? 32 : 128;
	bits = max;
	if (slash) {
		if (parse_port(slash + 1, &number) < 0 || number > max)
			return fail(why, max == 32 ? "an IPv4 prefix is a number from 0 to 32"
						   : "an IPv6 prefix is a number from 0 to 128");
		bits = number;
	}
	if (max == 128 && IN6_IS_ADDR_V4MAPPED(&address.in6.sin6_addr))
		return fail(why, "write an IPv4 network without ::ffff:");
	masked = address;
	address_mask(&masked, bits, bits);
	if (!address_equal(&masked, &address))
		return fail(why, "the address has bits behind the prefix");
	prefix->family = address_family(&address);
	prefix->bits = bits;
	memcpy(prefix->bytes, address_bytes(&address, &(size_t){0}), max / 8);
	return 0;
}

bool address_prefix_contains(const struct address_prefix *prefix, const struct address *address)
{
	struct address masked = *address;
	const void *bytes;
	size_t length;

	address_mask(&masked, prefix->bits, prefix->bits);
	if (address_family(&masked) != prefix->family)
		return false;
	if (prefix->family == AF_UNIX)
		return true;
	bytes = address_bytes(&masked, &length);
	return memcmp(bytes, prefix->bytes, length) == 0;
}
