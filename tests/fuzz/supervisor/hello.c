/* What a process says that wants to join a pool: it is understood, with all names within their bounds, or refused with a reason. */
#include <string.h>

#include "fuzz.h"
#include "supervisor/hello.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hello hello;
	const char *why;
	int result = hello_parse(&hello, (const char *)data, size, &why);

	REQUIRE(memchr(hello.pool, '\0', sizeof(hello.pool)) && memchr(hello.slot, '\0', sizeof(hello.slot)));
	if (result < 0) {
		REQUIRE(why && *why);
		return 0;
	}
	REQUIRE(!why && size <= HELLO_MAX);
	REQUIRE(hello.protocol >= PROTOCOL_NODE_CLUSTER && hello.protocol <= PROTOCOL_ACCEPT);
	REQUIRE((hello.protocol == PROTOCOL_NODE_IPC) == (hello.flavour != FLAVOUR_NONE));
	return 0;
}
