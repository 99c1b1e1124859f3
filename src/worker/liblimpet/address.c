#include "address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/un.h>

static bool read_port(const char *text, in_port_t *port)
{
	size_t length = strspn(text, "0123456789");
	unsigned value = 0;

	if (length < 1 || length > 5 || text[length])
		return false;
	for (; *text; text++)
		value = value * 10 + (unsigned)(*text - '0');
	*port = htons((in_port_t)value);
	return value <= 65535;
}

static bool read_unix(const char *name, struct sockaddr_un *address, socklen_t *length)
{
	size_t bytes = strlen(name);

	if (bytes >= sizeof(address->sun_path))
		return false;
	address->sun_family = AF_UNIX;
	memcpy(address->sun_path, name, bytes);
	*length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + bytes);
	if (name[0] == '@')
		address->sun_path[0] = '\0'; /* abstract: the length counts */
	else if (bytes)
		++*length;
	return true;
}

static bool read_ip(const char *text, const char *colon, struct sockaddr_storage *address, socklen_t *length)
{
	struct sockaddr_in *in = (struct sockaddr_in *)address;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)address;
	size_t bytes = (size_t)(colon - text);
	char host[INET6_ADDRSTRLEN];
	bool bracketed = text[0] == '[' && bytes > 2 && colon[-1] == ']';

	if (bracketed) {
		text++;
		bytes -= 2;
	}
	if (bytes >= sizeof(host))
		return false;
	memcpy(host, text, bytes);
	host[bytes] = '\0';
	if (bracketed) {
		in6->sin6_family = AF_INET6;
		*length = sizeof(*in6);
		return read_port(colon + 1, &in6->sin6_port) &&
		       inet_pton(AF_INET6, host, &in6->sin6_addr) == 1;
	}
	in->sin_family = AF_INET;
	*length = sizeof(*in);
	return read_port(colon + 1, &in->sin_port) && inet_pton(AF_INET, host, &in->sin_addr) == 1;
}

bool limpet_address_read(const char *text, struct sockaddr_storage *address, socklen_t *length)
{
	const char *colon = strrchr(text, ':');
	bool is_one;

	memset(address, 0, sizeof(*address));
	if (strncmp(text, "unix:", 5) == 0)
		is_one = read_unix(text + 5, (struct sockaddr_un *)address, length);
	else
		is_one = colon && read_ip(text, colon, address, length);
	if (!is_one)
		*length = 0;
	return is_one;
}
