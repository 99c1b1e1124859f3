/* Socket addresses: IPv4, IPv6, Unix paths and abstract Unix names, in one value type.
 *
 * Owns nothing: every struct here is a plain value that may be copied.
 * Does not resolve names: only numeric addresses are understood.
 */
#ifndef LIMPET_BASE_ADDRESS_H
#define LIMPET_BASE_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

struct address {
	socklen_t length; /* 0: no address */
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_un un;
	};
};

/* Enough for the longest text that address_format() writes, its NUL included. */
#define ADDRESS_TEXT_MAX 128

/* Parses "127.0.0.1:80", "[::1]:80", "*:80", ":80" or "80" (these three mean [::]:80, both families),
 * "unix:/path", "/path" and "unix:@name" or "@name" (abstract). Ports are 0 to 65535.
 * Returns 0, or -EINVAL with *why (if not NULL) set to a static text that says what is wrong. */
int address_parse(struct address *address, const char *text, const char **why);

/* Parses a bare numeric IPv4 or IPv6 address (no port, no brackets); sets port 0.
 * text need not be NUL-terminated. Returns 0 or -EINVAL. */
int address_parse_ip(struct address *address, const char *text, size_t length);

/* Writes the text form that address_parse() reads ("203.0.113.9:51123", "[2001:db8::1]:80", "unix:/run/x",
 * "unix:@name", "unix:" for an unnamed one), always NUL-terminated, cut if size is too small.
 * Bytes of a Unix name outside printable ASCII are written as '?'. Returns buffer. */
const char *address_format(const struct address *address, char *buffer, size_t size);

/* The same without port or brackets: "203.0.113.9". */
const char *address_format_ip(const struct address *address, char *buffer, size_t size);

/* AF_INET, AF_INET6, AF_UNIX, or AF_UNSPEC for an empty one. */
int address_family(const struct address *address);

/* The port in host order; 0 for a family without ports. */
uint16_t address_port(const struct address *address);
void address_set_port(struct address *address, uint16_t port);

/* An IPv4-mapped IPv6 address (::ffff:a.b.c.d) becomes the IPv4 address; others stay as they are. */
void address_unmap(struct address *address);

/* Clears the port and all bits behind the prefix. v4_prefix: 0 to 32, v6_prefix: 0 to 128. Mapped addresses are
 * unmapped first. Families without prefixes stay as they are. */
void address_mask(struct address *address, unsigned v4_prefix, unsigned v6_prefix);

/* The bytes of the IP address (4 or 16), or of the Unix name; NULL and *length 0 if there are none.
 * The pointer is into *address. */
const void *address_bytes(const struct address *address, size_t *length);

bool address_equal(const struct address *a, const struct address *b);

/* A network: "10.0.0.0/8", "fd00::/8", or a single address. "unix" stands for every Unix peer. */
struct address_prefix {
	int family;
	unsigned bits;
	unsigned char bytes[16];
};

/* Returns 0, or -EINVAL with *why set (bits past the prefix must be zero, so that a typing error shows). */
int address_prefix_parse(struct address_prefix *prefix, const char *text, const char **why);

/* Does the network hold the address? IPv4-mapped addresses count as IPv4. */
bool address_prefix_contains(const struct address_prefix *prefix, const struct address *address);

#endif
