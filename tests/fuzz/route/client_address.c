/* X-Forwarded-For and Forwarded. The first byte says which of the two; each line of the rest is a field of
 * that name. */
#include <string.h>

#include "fuzz.h"
#include "route/client_address.h"

static struct request_head head;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct span names[] = {{"X-Forwarded-For", 15}, {"Forwarded", 9}};
	struct address_prefix trusted[2];
	struct address client, peer;
	const char *at, *end, *line_end;

	if (size < 1)
		return 0;
	REQUIRE(address_prefix_parse(&trusted[0], "10.0.0.0/8", NULL) == 0);
	REQUIRE(address_prefix_parse(&trusted[1], "fd00::/8", NULL) == 0);
	REQUIRE(address_parse(&peer, "10.0.0.1:80", NULL) == 0);

	at = (const char *)data + 1;
	end = (const char *)data + size;
	head.fields_count = 0;
	while (at < end && head.fields_count < REQUEST_HEAD_FIELDS_MAX) {
		line_end = memchr(at, '\n', (size_t)(end - at));
		if (!line_end)
			line_end = end;
		head.fields[head.fields_count++] = (struct request_field){
		    names[data[0] & 1], span_trim((struct span){at, (size_t)(line_end - at)})};
		at = line_end + (line_end < end);
	}
	client_address_find(&client, &peer, NULL, &head, trusted, 2);
	REQUIRE(address_family(&client) == AF_INET || address_family(&client) == AF_INET6);
	REQUIRE(address_family(&client) == AF_INET || !IN6_IS_ADDR_V4MAPPED(&client.in6.sin6_addr));

	/* An untrusted peer is the client, whatever it writes. */
	client_address_find(&client, &peer, NULL, &head, NULL, 0);
	REQUIRE(address_equal(&client, &peer));
	return 0;
}
