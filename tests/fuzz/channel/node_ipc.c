/* What a Node worker says. The first byte chooses the protocol and flavour: '0' is node-cluster, 'L' limpet's own. */
#include "channel_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned flavour;

	if (!size)
		return 0;
	flavour = data[0] == 'L' ? FLAVOUR_LIMPET_CONNECTION : data[0] % (FLAVOUR_STICKY_LISTEN + 1);
	channel_fuzz(flavour ? PROTOCOL_NODE_IPC : PROTOCOL_NODE_CLUSTER, (enum flavour)flavour, false,
	    data + 1, size - 1);
	return 0;
}
