/* PROXY protocol headers, versions 1 and 2. */
#include "fuzz.h"
#include "route/proxy_header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct proxy_header header, part;
	char text[ADDRESS_TEXT_MAX];
	size_t need = 0;

	switch (proxy_header_parse(&header, data, size, &need)) {
	case PROXY_NEED_MORE:
		REQUIRE(need > size && need <= PROXY_HEADER_MAX);
		if (size > 0)
			REQUIRE(proxy_header_parse(&part, data, size - 1, &need) == PROXY_NEED_MORE);
		break;
	case PROXY_DONE:
		REQUIRE(header.length > 0 && header.length <= size && header.length <= PROXY_HEADER_MAX);
		REQUIRE((header.source.length == 0) == header.local);
		REQUIRE(address_family(&header.source) == address_family(&header.destination));
		address_format(&header.source, text, sizeof(text));
		address_format(&header.destination, text, sizeof(text));
		for (size_t length = 0; length < header.length; length++) {
			REQUIRE(proxy_header_parse(&part, data, length, &need) == PROXY_NEED_MORE);
			REQUIRE(need > length && need <= header.length);
		}
		REQUIRE(proxy_header_parse(&part, data, header.length, NULL) == PROXY_DONE);
		REQUIRE(part.length == header.length && address_equal(&part.source, &header.source));
		break;
	case PROXY_INVALID:
		break;
	}
	return 0;
}
