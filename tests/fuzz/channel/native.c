/* Datagrams of a worker with protocol limpet. */
#include "channel_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	channel_fuzz(PROTOCOL_LIMPET, FLAVOUR_NONE, true, data, size);
	return 0;
}
