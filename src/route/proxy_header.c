/* Parses PROXY protocol headers; see the header file for what this does and does not do. */
#include "route/proxy_header.h"

#include <stdint.h>
#include <string.h>

#include "route/span.h"

#define V1_LENGTH_MIN 15 /* "PROXY UNKNOWN\r\n" */
#define V1_LENGTH_MAX 107
#define V2_LENGTH_MIN 16
#define V2_UNIX_SIZE 108

static const char v1_prefix[] = {'P', 'R', 'O', 'X', 'Y', ' '};
static const char v2_signature[] = {'\r', '\n', '\r', '\n', '\0', '\r', '\n', 'Q', 'U', 'I', 'T', '\n'};

/* Takes the text up to the next space off the front of *line. */
static struct span next_word(struct span *line)
{
	const char *space = line->length ? memchr(line->at, ' ', line->length) : NULL;
	struct span word = *line;

	if (!space) {
		line->at += line->length;
		line->length = 0;
		return word;
	}
	word.length = (size_t)(space - line->at);
	line->at = space + 1;
	line->length -= word.length + 1;
	return word;
}

static bool parse_port(struct span text, uint16_t *port)
{
	unsigned value = 0;

	if (text.length == 0 || text.length > 5 || (text.length > 1 && text.at[0] == '0'))
		return false;
	for (size_t i = 0; i < text.length; i++) {
		if (text.at[i] < '0' || text.at[i] > '9')
			return false;
		value = value * 10 + (unsigned)(text.at[i] - '0');
	}
	*port = (uint16_t)value;
	return value <= 65535;
}

static bool parse_ip(struct address *address, struct span text, int family)
{
	return address_parse_ip(address, text.at, text.length) == 0 && address_family(address) == family;
}

/* line: what is between "PROXY " and CRLF. */
static enum proxy_result parse_v1_line(struct proxy_header *header, struct span line)
{
	struct span protocol, source, destination, source_port;
	uint16_t port;
	int family;

	protocol = next_word(&line);
	if (span_equal(protocol, "UNKNOWN")) {
		header->local = true;
		return PROXY_DONE;
	}
	if (span_equal(protocol, "TCP4"))
		family = AF_INET;
	else if (span_equal(protocol, "TCP6"))
		family = AF_INET6;
	else
		return PROXY_INVALID;

	source = next_word(&line);
	destination = next_word(&line);
	source_port = next_word(&line);
	if (!parse_ip(&header->source, source, family) ||
	    !parse_ip(&header->destination, destination, family))
		return PROXY_INVALID;
	if (!parse_port(source_port, &port))
		return PROXY_INVALID;
	address_set_port(&header->source, port);
	if (!parse_port(line, &port))
		return PROXY_INVALID;
	address_set_port(&header->destination, port);
	return PROXY_DONE;
}

static enum proxy_result parse_v1(struct proxy_header *header, const char *bytes, size_t length, size_t *need)
{
	size_t seen = length < V1_LENGTH_MAX ? length : V1_LENGTH_MAX;
	const char *end = memchr(bytes, '\r', seen);
	struct span line = {bytes + sizeof(v1_prefix), 0};

	if (memchr(bytes, '\n', end ? (size_t)(end - bytes) : seen))
		return PROXY_INVALID;
	if (end && (size_t)(end - bytes) + 1 < seen) {
		if (end[1] != '\n')
			return PROXY_INVALID;
		header->length = (size_t)(end - bytes) + 2;
		line.length = (size_t)(end - line.at);
		return parse_v1_line(header, line);
	}
	/* Not one byte is left for the line end, or only one for CRLF. */
	*need = length + (end ? 1 : 2);
	if (*need > V1_LENGTH_MAX)
		return PROXY_INVALID;
	if (*need < V1_LENGTH_MIN)
		*need = V1_LENGTH_MIN;
	return PROXY_NEED_MORE;
}

static void set_ipv4(struct address *address, const unsigned char *ip, const unsigned char *port)
{
	address->in.sin_family = AF_INET;
	memcpy(&address->in.sin_addr, ip, 4);
	memcpy(&address->in.sin_port, port, 2);
	address->length = sizeof(address->in);
}

static void set_ipv6(struct address *address, const unsigned char *ip, const unsigned char *port)
{
	address->in6.sin6_family = AF_INET6;
	memcpy(&address->in6.sin6_addr, ip, 16);
	memcpy(&address->in6.sin6_port, port, 2);
	address->length = sizeof(address->in6);
}

/* A path ends at its first NUL; an abstract name begins with one and ends before the padding. */
static void set_unix(struct address *address, const unsigned char *name)
{
	size_t length = 0;

	address->un.sun_family = AF_UNIX;
	if (name[0] != '\0') {
		length = strnlen((const char *)name, V2_UNIX_SIZE);
		memcpy(address->un.sun_path, name, length);
		if (length < V2_UNIX_SIZE)
			length++;
	} else {
		for (size_t i = 0; i < V2_UNIX_SIZE; i++)
			if (name[i] != '\0')
				length = i + 1;
		memcpy(address->un.sun_path, name, length);
	}
	address->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
}

/* data: the size bytes behind the fixed 16, as the header announces them. */
static enum proxy_result parse_v2_addresses(
    struct proxy_header *header, unsigned char family, const unsigned char *data, size_t size)
{
	switch (family >> 4) {
	case 1:
		if (size < 12)
			return PROXY_INVALID;
		set_ipv4(&header->source, data, data + 8);
		set_ipv4(&header->destination, data + 4, data + 10);
		return PROXY_DONE;
	case 2:
		if (size < 36)
			return PROXY_INVALID;
		set_ipv6(&header->source, data, data + 32);
		set_ipv6(&header->destination, data + 16, data + 34);
		return PROXY_DONE;
	case 3:
		if (size < 2 * V2_UNIX_SIZE)
			return PROXY_INVALID;
		set_unix(&header->source, data);
		set_unix(&header->destination, data + V2_UNIX_SIZE);
		return PROXY_DONE;
	}
	return PROXY_INVALID;
}

static enum proxy_result parse_v2(
    struct proxy_header *header, const unsigned char *bytes, size_t length, size_t *need)
{
	unsigned char command, family;
	size_t size;

	/* Each byte is judged when it is there, so that a wrong one is answered at once. */
	if (length > 12 && bytes[12] != 0x20 && bytes[12] != 0x21)
		return PROXY_INVALID;
	command = length > 12 ? bytes[12] & 0x0f : 0;
	if (length > 13 && command == 1 && (bytes[13] >> 4 > 3 || (bytes[13] & 0x0f) > 2))
		return PROXY_INVALID;
	if (length < V2_LENGTH_MIN) {
		*need = V2_LENGTH_MIN;
		return PROXY_NEED_MORE;
	}
	family = bytes[13];
	size = (size_t)bytes[14] << 8 | bytes[15];
	header->length = V2_LENGTH_MIN + size;
	if (header->length > PROXY_HEADER_MAX)
		return PROXY_INVALID;
	if (length < header->length) {
		*need = header->length;
		return PROXY_NEED_MORE;
	}
	header->local = command == 0 || family >> 4 == 0 || (family & 0x0f) == 0;
	if (header->local)
		return PROXY_DONE;
	return parse_v2_addresses(header, family, bytes + V2_LENGTH_MIN, size);
}

static bool begins(const void *bytes, size_t length, const char *expected, size_t expected_length)
{
	return memcmp(bytes, expected, length < expected_length ? length : expected_length) == 0;
}

enum proxy_result proxy_header_parse(
    struct proxy_header *header, const void *bytes, size_t length, size_t *need)
{
	struct proxy_header found = {0};
	enum proxy_result result;
	size_t ignored;

	if (!need)
		need = &ignored;
	*need = V1_LENGTH_MIN;
	if (length == 0)
		return PROXY_NEED_MORE;
	if (begins(bytes, length, v1_prefix, sizeof(v1_prefix))) {
		if (length < sizeof(v1_prefix))
			return PROXY_NEED_MORE;
		result = parse_v1(&found, bytes, length, need);
	} else if (begins(bytes, length, v2_signature, sizeof(v2_signature))) {
		result = parse_v2(&found, bytes, length, need);
	} else {
		return PROXY_INVALID;
	}
	if (result == PROXY_DONE)
		*header = found;
	return result;
}
