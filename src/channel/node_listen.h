/* What a Node worker's queryServer message asks for. Pure: no sockets, no channel.
 *
 * The message is that of Node's lib/internal/cluster/child.js with the options of lib/net.js and
 * lib/dgram.js: {act, index, data, address, port, addressType: 4|6|-1|"udp4"|"udp6", fd, flags, backlog,
 * seq}.
 */
#ifndef LIMPET_CHANNEL_NODE_LISTEN_H
#define LIMPET_CHANNEL_NODE_LISTEN_H

#include <jansson.h>
#include <stdint.h>

#include "channel/channel.h"
#include "channel/json_text.h"

struct node_listen {
	struct channel_listen listen; /* key and data point into this struct; request is not set */
	uint64_t seq;
	char key[CHANNEL_KEY_MAX + 1];
	char data[CHANNEL_DATA_MAX + 1];
};

/* 0; -EBADMSG if the message has no usable seq, and so cannot be answered; else a negative errno to answer
 * with. */
int node_listen_parse(struct node_listen *listen, const json_t *message);

/* The key of the server that a queryServer, listening or close message is about: Node's own of the versions
 * that have the index in it always, address:port:addressType:fd:index. port: that of the message, or another
 * in its place. False if a member is missing or too long. */
bool node_listen_key(const json_t *message, int64_t port, char *key, size_t size);

/* {"address":..., "family":..., "port":...} of an IP address. */
void node_listen_sockname(struct json_text *text, const struct address *address);

#endif
