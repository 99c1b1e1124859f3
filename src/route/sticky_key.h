/* The sticky key of a connection: the value that decides, hashed, which worker the client belongs to.
 *
 * Finds the bytes; src/route/pick.h hashes them. Only the value counts, not where it was found: the same
 * session id in a cookie and in the query gives the same key.
 */
#ifndef LIMPET_ROUTE_STICKY_KEY_H
#define LIMPET_ROUTE_STICKY_KEY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/address.h"
#include "config/sticky.h"
#include "route/request_head.h"

/* Room for what is not in the request head as it is: decoded parameters, masked addresses. Large: keep one
 * for the router's life. */
struct sticky_scratch {
	struct address address;
	char bytes[REQUEST_HEAD_MAX];
};

struct sticky_key {
	const char *bytes; /* into the head or the scratch, or static; good as long as these are */
	size_t length;     /* at least 1 */
	enum sticky_type type;
	unsigned source; /* index in the list of sources; the count of sources if the implied ip had to do */
};

/* Does some source before the first ip need the request head? (ip always has a value, so that nothing behind
 * it counts.) */
bool sticky_needs_head(const struct sticky_source *sources, size_t count);

/* Finds the key: that of the first source with a non-empty value, else the client address (prefixes 32 and
 * 64). Never fails. head NULL: sources that need one have no value. sources may be NULL if count is 0.
 *
 * cookie: the first cookie of this name (exact, case counts) in all Cookie fields, without blanks around;
 * quotes around it are part of it. If its value is empty, the source has no value. header: the first field of
 * this name (case does not count) whose value is not empty. query: the first parameter of this name in the
 * target's query, name and value decoded (%XX, and + is a space; a bad escape stays as sent). path: the N-th
 * segment of the target's path, from 1, as sent (not decoded, parameters after ; included). "//a" has an
 * empty first segment. Targets of the authority and the asterisk form have no segments. ip: the address
 * behind the prefixes, 4 or 16 bytes; IPv4-mapped IPv6 is IPv4. Unix peers share the constant "unix". */
void sticky_key_find(struct sticky_key *key, const struct sticky_source *sources, size_t count,
    const struct request_head *head, const struct address *client, struct sticky_scratch *scratch);

#endif
