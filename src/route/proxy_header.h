/* The PROXY protocol header, versions 1 and 2, that a load balancer writes in front of a connection.
 *
 * A pure parser: bytes in, addresses out. It does not read them off the socket, and does not decide whether
 * the peer may send such a header. Source of the format: HAProxy's doc/proxy-protocol.txt ("The PROXY
 * protocol, versions 1 & 2").
 */
#ifndef LIMPET_ROUTE_PROXY_HEADER_H
#define LIMPET_ROUTE_PROXY_HEADER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/address.h"

/* The longest header that is accepted, in bytes. Version 1 has at most 107; version 2 could announce 65,551,
 * but real ones carry two addresses (216 bytes at most) and a few TLVs, of which a TLS client certificate's
 * name is the longest. Longer: invalid. */
#define PROXY_HEADER_MAX 4096

enum proxy_result {
	PROXY_DONE,
	PROXY_NEED_MORE, /* a valid beginning */
	PROXY_INVALID,   /* not a PROXY header, or a malformed one: close the connection */
};

struct proxy_header {
	size_t length;         /* bytes of the header, exactly: read off so many and no more */
	bool local;            /* LOCAL, UNKNOWN or UNSPEC: the addresses are empty and the peer's count */
	struct address source; /* the client; IPv4, IPv6 or Unix (an unnamed one has no bytes) */
	struct address destination; /* where the client connected to */
};

/* Parses the header at the beginning of length bytes; what follows it is not looked at. *header is set only
 * for PROXY_DONE. For PROXY_NEED_MORE, *need becomes a number of bytes greater than length that the header
 * has at least, so that waiting for so many cannot wait for ever. need may be NULL.
 *
 * Stateless: called again from byte 0 with more bytes. The result never depends on where the bytes were
 * split, except that a wrong beginning is PROXY_INVALID as soon as it shows. Strict: single spaces, CRLF, no
 * leading zeros, the addresses of the announced family. The TLVs of version 2 are skipped unread. */
enum proxy_result proxy_header_parse(
    struct proxy_header *header, const void *bytes, size_t length, size_t *need);

#endif
