/* Request heads, and the cookie, header, query and path keys in them. */
#include <string.h>

#include "fuzz.h"
#include "route/request_head.h"
#include "route/sticky_key.h"

static struct request_head head, part;
static struct sticky_scratch scratch;

static void require_inside(struct span span, const uint8_t *data, size_t size)
{
	if (span.length == 0)
		return;
	REQUIRE(span.at >= (const char *)data);
	REQUIRE(span.at + span.length <= (const char *)data + size);
}

static void find_keys(const uint8_t *data)
{
	static const struct sticky_source sources[] = {
	    {.type = STICKY_COOKIE, .name = (char *)"sid"},
	    {.type = STICKY_HEADER, .name = (char *)"x"},
	    {.type = STICKY_QUERY, .name = (char *)"sid"},
	    {.type = STICKY_PATH, .segment = 1},
	    {.type = STICKY_PATH, .segment = 3},
	};
	struct address client = {0};
	struct sticky_key key;

	for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
		sticky_key_find(&key, &sources[i], 1, &head, &client, &scratch);
		REQUIRE(key.length > 0);
		REQUIRE(key.source <= 1);
		if (key.source == 1)
			REQUIRE(memcmp(key.bytes, "unix", 4) == 0);
		else if (sources[i].type == STICKY_QUERY)
			REQUIRE(key.bytes == scratch.bytes && key.length <= head.target.length);
		else
			require_inside((struct span){key.bytes, key.length}, data, head.length);
	}
}

/* Every prefix of a head that was found wants more, and bytes behind the head change nothing. */
static void check_splits(const uint8_t *data, size_t size)
{
	const char *bytes = (const char *)data;

	REQUIRE(head.length <= size);
	for (size_t length = 0; length < head.length; length += 1 + head.length / 64)
		REQUIRE(request_head_parse(&part, bytes, length) == HEAD_NEED_MORE);
	REQUIRE(request_head_parse(&part, bytes, head.length - 1) == HEAD_NEED_MORE);
	REQUIRE(request_head_worth_parsing(bytes, head.length - 1, head.length));
	REQUIRE(request_head_worth_parsing(bytes, head.length / 2, size));
	REQUIRE(request_head_parse(&part, bytes, head.length) == HEAD_DONE);
	REQUIRE(part.length == head.length && part.fields_count == head.fields_count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum head_result result = request_head_parse(&head, (const char *)data, size);

	if (result != HEAD_DONE) {
		/* What is wrong stays wrong when more comes; checked from the other side. */
		if (result == HEAD_NEED_MORE && size > 0)
			REQUIRE(request_head_parse(&part, (const char *)data, size - 1) == HEAD_NEED_MORE);
		return 0;
	}
	require_inside(head.method, data, head.length);
	require_inside(head.target, data, head.length);
	REQUIRE(head.method.length > 0 && head.target.length > 0);
	REQUIRE(head.fields_count <= REQUEST_HEAD_FIELDS_MAX);
	REQUIRE(data[head.length - 1] == '\n');
	REQUIRE(!memchr(data, '\0', head.length));
	for (size_t i = 0; i < head.fields_count; i++) {
		REQUIRE(head.fields[i].name.length > 0);
		require_inside(head.fields[i].name, data, head.length);
		require_inside(head.fields[i].value, data, head.length);
	}
	find_keys(data);
	check_splits(data, size);
	return 0;
}
