/* Who the client is: the peer, or, if a trusted proxy says so, somebody behind it.
 *
 * Pure. Whether a peer may send a PROXY header at all is for the caller to check.
 */
#ifndef LIMPET_ROUTE_CLIENT_ADDRESS_H
#define LIMPET_ROUTE_CLIENT_ADDRESS_H

#include <stddef.h>

#include "base/address.h"
#include "route/proxy_header.h"
#include "route/request_head.h"

/* So many entries are looked at, from the right; a longer chain ends there. */
#define CLIENT_ADDRESS_ENTRIES_MAX 512

/* Sets *client, never IPv4-mapped. peer: the socket's peer. proxy, head: NULL if there is none. trusted: may
 * be NULL if the count is 0.
 *
 * 1. A PROXY header that is not local replaces the peer by its source.
 * 2. If the address found is trusted, X-Forwarded-For is walked from its right end, past further trusted
 * addresses; the first one that is not trusted is the client, or the leftmost one if all are. If there is no
 * X-Forwarded-For entry at all, Forwarded (RFC 7239) is walked in its place; the two are never mixed. Several
 * fields of a name are one list.
 * 3. An entry that is not an address ("unknown", "_hidden", garbage; in Forwarded also an element without
 * for=, or malformed anywhere) ends the walk: what is left of it is hearsay. The address to its right counts.
 *
 * Entries may have a port ("192.0.2.1:80", "[2001:db8::1]:80"), which becomes the client's port; else that is
 * 0. */
void client_address_find(struct address *client, const struct address *peer, const struct proxy_header *proxy,
    const struct request_head *head, const struct address_prefix *trusted, size_t trusted_count);

#endif
