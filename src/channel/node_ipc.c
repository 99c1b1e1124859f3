/* Protocol node-ipc: workers written for a sticky-session module, whose primary sends each socket with a
 * message of its own. Unmodified, they take the socket from here.
 *
 * Owns which message that is and what the workers send back. The formats are those of the packages
 * sticky-session 1.1.2, sticky-cluster 0.3.4, socketio-sticky-session 0.4.1 (and everything made from the
 * same recipe), @socket.io/sticky 1.0 to 2.0, and sticky-listen 3.3.
 *
 * The flavour limpet:connection is limpet's own, for modules and programs that are written for it:
 *
 *   front -> worker  {"type":"limpet:connection","listener":"web","client":"203.0.113.9:51123","key":"cookie"} + socket
 *                    {"type":"limpet:drain"}
 *                    {"type":"limpet:ping","id":4000000000} with a handle, to be left alone
 *   worker -> front  {"type":"limpet:pong","id":4000000000}: no connection comes before the first one is answered
 *                    {"type":"limpet:bye"}, {"type":"limpet:closed","count":3}, {"type":"limpet:stats","values":{"rooms":12}}
 *
 * which mean what those of protocol limpet do (native.c).
 *
 * Nothing was read from the socket, so the messages that carry the first bytes carry none. The workers are
 * cluster workers (cluster.isWorker decides what they do): environment as for node-cluster. Some listen, on a
 * port that nobody connects to; they are told that they do, and nothing is opened.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "channel/node.h"
#include "channel/node_listen.h"

/* What a worker that asks for any port is told. Any will do. */
#define PLAUSIBLE_PORT 49152

static const struct flavour_row {
	const char *message;
	bool listens; /* it is ready when it listens, else as soon as its event loop runs */
} flavours[] = {
    [FLAVOUR_NONE] = {"\"sticky:balance\"", false},
    [FLAVOUR_STICKY_SESSION] = {"\"sticky:balance\"", false},
    [FLAVOUR_STICKY_CLUSTER] = {"\"sticky-cluster:connection\"", true},
    [FLAVOUR_STICKY_SESSION_CONNECTION] = {"\"sticky-session:connection\"", true},
    [FLAVOUR_SOCKET_IO] = {"{\"type\":\"sticky:connection\",\"data\":\"\"}", false},
    [FLAVOUR_STICKY_LISTEN] = {"{\"msg\":\"sticky:balance\",\"payload\":null}", false},
    [FLAVOUR_LIMPET_CONNECTION] = {NULL, false},
};

static void on_query_server(struct channel *channel, const json_t *message)
{
	struct node_listen query;
	char line[2048 + CHANNEL_DATA_MAX];
	struct json_text text = JSON_TEXT(line);
	int error = node_listen_parse(&query, message);

	if (error == -EBADMSG) {
		channel->skipped++;
		return;
	}
	if (!error && query.listen.socket_type != SOCK_STREAM)
		error = -ENOTSUP;
	if (error) {
		node_post_listen_error(channel, query.seq, -error);
		return;
	}
	json_text_add(&text,
	    "{\"cmd\":\"NODE_CLUSTER\",\"errno\":null,\"key\":\"%llu\",\"ack\":%llu,\"data\":%s",
	    (unsigned long long)query.seq, (unsigned long long)query.seq,
	    query.listen.data ? query.listen.data : "null");
	if (address_family(&query.listen.address) != AF_UNIX) {
		if (!address_port(&query.listen.address))
			address_set_port(&query.listen.address, PLAUSIBLE_PORT);
		json_text_add(&text, ",\"sockname\":");
		node_listen_sockname(&text, &query.listen.address);
	}
	json_text_add(&text, "}\n");
	node_post(channel, &text, -1, NODE_PLAIN, 0);
}

static void on_message(struct channel *channel, const json_t *message)
{
	const char *act = json_string_value(json_object_get(message, "act"));
	uint64_t seq;

	if (!act) {
		channel->skipped++;
	} else if (strcmp(act, "queryServer") == 0) {
		on_query_server(channel, message);
	} else if (strcmp(act, "listening") == 0) {
		if (flavours[channel->flavour].listens)
			channel_is_ready(channel);
	} else if (strcmp(act, "exitedAfterDisconnect") == 0 && node_seq(message, &seq)) {
		node_post_ack(channel, seq);
		channel_is_leaving(channel);
	} else if (strcmp(act, "online") != 0 && strcmp(act, "close") != 0) {
		channel->skipped++;
	}
}

static void on_application(struct channel *channel, const char *line, size_t length)
{
	json_t *message = json_loadb(line, length, 0, NULL);
	const char *type = json_string_value(json_object_get(message, "type"));

	/* sticky-session: its server closes, open connections go on. */
	if (type && channel->flavour == FLAVOUR_STICKY_SESSION && strcmp(type, "close") == 0)
		channel_is_leaving(channel);
	else if (type && channel->flavour == FLAVOUR_SOCKET_IO && strcmp(type, "sticky:disconnection") == 0)
		channel->events->connections_closed(channel->owner, 1);
	else if (!type || channel->flavour != FLAVOUR_SOCKET_IO || strcmp(type, "sticky:connection") != 0)
		channel->skipped++;
	json_decref(message);
}

static void on_limpet_message(struct channel *channel, const char *line, size_t length)
{
	json_t *message = json_loadb(line, length, 0, NULL);
	const char *type = json_string_value(json_object_get(message, "type"));
	const json_t *count = json_object_get(message, "count");
	bool good = type != NULL;
	int64_t id;

	if (type && strcmp(type, "limpet:pong") == 0 && node_integer(message, "id", 0, UINT32_MAX, &id))
		node_numbered_answer(channel, (uint64_t)id, false);
	else if (type && strcmp(type, "limpet:bye") == 0)
		channel_is_leaving(channel);
	else if (type && strcmp(type, "limpet:stats") == 0)
		good = channel_take_stats(channel, json_object_get(message, "values"));
	else if (type && strcmp(type, "limpet:closed") == 0 && json_is_integer(count) &&
	         json_integer_value(count) > 0 && json_integer_value(count) <= UINT32_MAX)
		channel->events->connections_closed(channel->owner, (unsigned)json_integer_value(count));
	else
		good = false;
	if (!good)
		channel->skipped++;
	json_decref(message);
}

/* The event loop runs: the main script has, and its message listener is there. */
static void on_in_step(struct channel *channel)
{
	if (!flavours[channel->flavour].listens)
		channel_is_ready(channel);
}

static void add_metadata(struct json_text *text, const struct channel_connection *connection)
{
	char client[ADDRESS_TEXT_MAX] = "";

	if (connection->client)
		address_format(connection->client, client, sizeof(client));
	json_text_literal(text, "{\"type\":\"limpet:connection\",\"listener\":");
	json_text_string(text, connection->listener);
	json_text_literal(text, ",\"client\":");
	json_text_string(text, client);
	json_text_literal(text, ",\"key\":");
	json_text_string(text, connection->key_source);
	json_text_literal(text, "}");
}

static int send_connection(struct channel *channel, const struct channel_connection *connection)
{
	const char *message = flavours[channel->flavour].message;
	char line[1024];
	struct json_text text = JSON_TEXT(line);
	int on = 1;

	json_text_literal(&text, "{\"cmd\":\"NODE_HANDLE\",\"type\":\"net.Socket\",\"msg\":");
	if (message)
		json_text_raw(&text, message, strlen(message));
	else
		add_metadata(&text, connection);
	json_text_literal(&text, "}\n");
	/* What a server sets on the connections that it accepts nobody sets on these. Not for Unix sockets:
	 * they refuse. */
	setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return node_send_handle(channel, &text, connection->id, connection->fd);
}

static const struct node_dialect *dialect_of(enum flavour flavour)
{
	static const struct node_dialect with_application = {.message = on_message,
	    .application = on_application,
	    .in_step = on_in_step,
	    .ack_is_enough = true};
	static const struct node_dialect plain = {
	    .message = on_message, .in_step = on_in_step, .ack_is_enough = true};
	static const struct node_dialect own = {.message = on_message,
	    .application = on_limpet_message,
	    .in_step = on_in_step,
	    .ack_is_enough = true,
	    .asks_application = true};
	bool talks = flavour == FLAVOUR_STICKY_SESSION || flavour == FLAVOUR_SOCKET_IO;

	if (flavour == FLAVOUR_LIMPET_CONNECTION)
		return &own;
	return talks ? &with_application : &plain;
}

static int drain(struct channel *channel)
{
	static const char line[] = "{\"type\":\"limpet:drain\"}\n";

	/* A process that has no cluster worker in it heeds only this one. */
	if (channel->flavour == FLAVOUR_LIMPET_CONNECTION)
		channel_post(channel, line, sizeof(line) - 1, -1, NODE_PLAIN, 0);
	return node_drain(channel);
}

static int start(struct channel *channel, unsigned window)
{
	return node_start(channel, window, dialect_of(channel->flavour), sizeof(struct node));
}

static void restore(struct channel *channel, unsigned window, struct image_reader *image)
{
	node_restore(channel, window, dialect_of(channel->flavour), sizeof(struct node), image);
}

const struct channel_protocol node_ipc_protocol = {
    .start = start,
    .stop = node_stop,
    .save = node_save,
    .restore = restore,
    .image_code = 2,
    .readable = node_readable,
    .can_send = node_can_send,
    .send_connection = send_connection,
    .drain = drain,
    .probe = node_probe,
    .may_write = node_may_write,
    .written = node_written,
};
