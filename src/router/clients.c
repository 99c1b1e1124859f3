#include "router/clients.h"

#include <stdlib.h>
#include <string.h>

#include "route/pick.h"

static const struct pick_secret *table_secret;

#define HASH_FUNCTION(bytes, length, result) ((result) = (unsigned)pick_hash(table_secret, (bytes), (length)))
#define HASH_NONFATAL_OOM 1
#define uthash_nonfatal_oom(item) ((item)->count = 0)
#include <uthash.h>

struct prefix {
	int family;
	unsigned char bytes[16];
};

struct client_count {
	struct prefix prefix;
	unsigned count;
	UT_hash_handle hh;
};

void clients_init(const struct pick_secret *secret)
{
	table_secret = secret;
}

unsigned clients_enter(struct client_count **clients, const struct address *peer, struct client_count **count)
{
	struct address masked = *peer;
	struct prefix prefix;
	struct client_count *found;
	const void *bytes;
	size_t length;

	address_mask(&masked, 32, 64);
	memset(&prefix, 0, sizeof(prefix));
	prefix.family = address_family(&masked);
	bytes = address_bytes(&masked, &length);
	if (bytes && length <= sizeof(prefix.bytes))
		memcpy(prefix.bytes, bytes, length);
	HASH_FIND(hh, *clients, &prefix, sizeof(prefix), found);
	if (!found) {
		found = calloc(1, sizeof(*found));
		if (!found)
			return 0;
		found->prefix = prefix;
		found->count = 1;
		HASH_ADD(hh, *clients, prefix, sizeof(prefix), found);
		if (!found->count) {
			free(found);
			return 0;
		}
	} else {
		found->count++;
	}
	*count = found;
	return found->count;
}

void clients_leave(struct client_count **clients, struct client_count *count)
{
	if (!count || --count->count)
		return;
	HASH_DEL(*clients, count);
	free(count);
}
