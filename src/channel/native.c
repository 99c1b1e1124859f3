/* Protocol limpet: one JSON object a SEQPACKET datagram, the client's socket attached. For workers in any
 * language.
 *
 *   front -> worker {"type":"connection","id":7,"listener":"web","client":"203.0.113.9:51123","key":"cookie"}
 * + socket
 *                    {"type":"drain"}            take no more, end when the last connection has ended
 *                    {"type":"bye","reason":"limpet is stopping"} the front goes, the worker may stay
 *                    {"type":"ping","id":1}      to be answered by pong
 *                    {"type":"pong","id":1}      answers the worker's ping
 *   worker -> front  {"type":"hello","version":1,...}
 *                    {"type":"ready"}
 *                    {"type":"ack","id":7}       the connection is taken
 *                    {"type":"ack","through":7}  so are all sent before it, and it
 *                    {"type":"refuse","id":7}    not a byte was read: another worker may have it
 *                    {"type":"closed","count":3} so many connections have ended
 *                    {"type":"ping","id":1}, {"type":"pong","id":1}
 *                    {"type":"stats","values":{"rooms":12}} for status: numbers by name
 *                    {"type":"bye","reason":"..."} takes no more, and ends by itself
 *
 * Ids are numbers below 2^31. Unknown types and members are ignored. A datagram that is longer than
 * DATAGRAM_MAX, no JSON object, or has a member of the wrong type is skipped and counted, as is an answer to
 * what was not sent; fds that a worker sends are closed. A hello with another version ends the channel.
 * limpet-worker(7) is the specification.
 */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "base/fd_passing.h"
#include "channel/ack_text.h"
#include "channel/channel_private.h"
#include "channel/json_text.h"

#define DATAGRAM_MAX 8192
#define ID_MAX INT32_MAX

struct native {
	uint32_t ping; /* id of the latest */
	bool pinging;
};

static bool member_number(const json_t *message, const char *name, int64_t maximum, uint32_t *value)
{
	const json_t *member = json_object_get(message, name);
	json_int_t number;

	if (!json_is_integer(member))
		return false;
	number = json_integer_value(member);
	if (number < 0 || number > maximum)
		return false;
	*value = (uint32_t)number;
	return true;
}

static void skip(struct channel *channel)
{
	channel->skipped++;
}

/* Is it the id of a hand-off that this channel has sent, not before the oldest that is under way? */
static bool was_sent(const struct channel *channel, uint32_t id, uint32_t oldest)
{
	return ((id - oldest) & ID_MAX) < ((channel->pending.next_seq - oldest) & ID_MAX);
}

/* The last one itself may have been answered before. */
static void acknowledge_through(struct channel *channel, uint32_t last)
{
	uint32_t oldest, seq;

	if (!pending_oldest(&channel->pending, &oldest) || !was_sent(channel, last, oldest)) {
		skip(channel);
		return;
	}
	/* What a callback sends anew comes behind `last`. */
	for (seq = oldest; ((seq - oldest) & ID_MAX) <= ((last - oldest) & ID_MAX);) {
		channel_answered(channel, seq, true);
		if (!pending_oldest(&channel->pending, &seq))
			return;
	}
}

static void take_ack(struct channel *channel, const json_t *message)
{
	bool single = json_object_get(message, "id"), through = json_object_get(message, "through");
	uint32_t number;

	if (single == through || !member_number(message, single ? "id" : "through", ID_MAX, &number))
		skip(channel);
	else if (through)
		acknowledge_through(channel, number);
	else if (!channel_answered(channel, number, true))
		skip(channel);
}

/* A worker that asks and does not read its answers gets no more of them. */
static void answer_ping(struct channel *channel, uint32_t id)
{
	char bytes[64];
	struct json_text text = JSON_TEXT(bytes);

	if (channel->output.first) {
		skip(channel);
		return;
	}
	json_text_add(&text, "{\"type\":\"pong\",\"id\":%u}", id);
	channel_post(channel, bytes, text.length, -1, 0, 0);
}

static void take_pong(struct channel *channel, const json_t *message)
{
	struct native *native = channel->state;
	uint32_t number;

	if (!native->pinging || !member_number(message, "id", ID_MAX, &number) || number != native->ping) {
		skip(channel);
		return;
	}
	native->pinging = false;
	channel->events->alive(channel->owner);
}

static void take_message(struct channel *channel, json_t *message)
{
	const char *type = json_string_value(json_object_get(message, "type"));
	uint32_t number;

	if (!type) {
		skip(channel);
	} else if (strcmp(type, "ack") == 0) {
		take_ack(channel, message);
	} else if (strcmp(type, "refuse") == 0) {
		if (!member_number(message, "id", ID_MAX, &number) ||
		    !channel_answered(channel, number, false))
			skip(channel);
	} else if (strcmp(type, "closed") == 0) {
		if (member_number(message, "count", UINT32_MAX, &number) && number)
			channel->events->connections_closed(channel->owner, number);
		else
			skip(channel);
	} else if (strcmp(type, "ping") == 0) {
		if (member_number(message, "id", ID_MAX, &number))
			answer_ping(channel, number);
		else
			skip(channel);
	} else if (strcmp(type, "pong") == 0) {
		take_pong(channel, message);
	} else if (strcmp(type, "stats") == 0) {
		if (!channel_take_stats(channel, json_object_get(message, "values")))
			skip(channel);
	} else if (strcmp(type, "ready") == 0) {
		channel_is_ready(channel);
	} else if (strcmp(type, "bye") == 0) {
		channel_is_leaving(channel);
	} else if (strcmp(type, "hello") == 0) {
		if (!member_number(message, "version", ID_MAX, &number))
			skip(channel);
		else if (number != CHANNEL_VERSION)
			channel_fail(channel, -EPROTO, "the worker speaks another version of the protocol");
	} else {
		skip(channel);
	}
}

/* An acknowledgement comes for every connection: those written in the usual ways are read without a parser. */
static bool take_plain_ack(struct channel *channel, const char *bytes, size_t length)
{
	uint32_t number;

	switch (ack_text_parse(bytes, length, &number)) {
	case ACK_TEXT_ID:
		if (!channel_answered(channel, number, true))
			skip(channel);
		return true;
	case ACK_TEXT_THROUGH:
		acknowledge_through(channel, number);
		return true;
	default:
		return false;
	}
}

static void take_datagram(struct channel *channel, const char *bytes, size_t length)
{
	json_t *message;

	if (take_plain_ack(channel, bytes, length))
		return;
	message = json_loadb(bytes, length, JSON_ALLOW_NUL, NULL);
	if (json_is_object(message))
		take_message(channel, message);
	else
		skip(channel);
	json_decref(message);
}

static void native_readable(struct channel *channel)
{
	size_t budget = READ_BUDGET;
	char bytes[DATAGRAM_MAX];

	while (budget && !channel->over) {
		int truncated = 0;
		ssize_t length = fd_receive(channel->fd, bytes, sizeof(bytes), NULL, &truncated);
		/* A datagram costs more than its bytes: many small ones are a flood too. */
		size_t cost = length > 0 ? (size_t)length + 256 : 256;

		if (length == -EAGAIN)
			return;
		/* Told once, before what the worker had sent: that comes next, then the end. */
		if (length == -ECONNRESET) {
			budget -= cost < budget ? cost : budget;
			continue;
		}
		if (length <= 0) {
			channel_read_ended(channel, (int)length);
			return;
		}
		budget -= cost < budget ? cost : budget;
		if (truncated)
			skip(channel);
		else
			take_datagram(channel, bytes, (size_t)length);
	}
}

static int native_send(struct channel *channel, const struct channel_connection *connection)
{
	char bytes[DATAGRAM_MAX], client[ADDRESS_TEXT_MAX] = "";
	struct json_text text = JSON_TEXT(bytes);
	int error;

	if (connection->client)
		address_format(connection->client, client, sizeof(client));
	json_text_literal(&text, "{\"type\":\"connection\",\"id\":");
	json_text_number(&text, pending_next_seq(&channel->pending));
	json_text_literal(&text, ",\"listener\":");
	json_text_string(&text, connection->listener);
	json_text_literal(&text, ",\"client\":");
	json_text_string(&text, client);
	json_text_literal(&text, ",\"key\":");
	json_text_string(&text, connection->key_source);
	json_text_literal(&text, "}");
	if (text.full)
		return -EINVAL;
	error = channel_send_now(channel, bytes, text.length, connection->fd);
	if (!error)
		pending_add(&channel->pending, connection->id);
	return error;
}

static int native_drain(struct channel *channel)
{
	static const char message[] = "{\"type\":\"drain\"}";

	return channel_post(channel, message, sizeof(message) - 1, -1, 0, 0);
}

static int native_leave(struct channel *channel, const char *reason)
{
	char bytes[256];
	struct json_text text = JSON_TEXT(bytes);

	json_text_add(&text, "{\"type\":\"bye\",\"reason\":");
	json_text_string(&text, reason);
	json_text_add(&text, "}");
	return text.full ? -EINVAL : channel_post(channel, bytes, text.length, -1, 0, 0);
}

static int native_probe(struct channel *channel)
{
	struct native *native = channel->state;
	char bytes[64];
	struct json_text text = JSON_TEXT(bytes);

	if (native->pinging)
		return 0;
	native->pinging = true;
	native->ping = (native->ping + 1) & ID_MAX;
	json_text_add(&text, "{\"type\":\"ping\",\"id\":%u}", native->ping);
	return channel_post(channel, bytes, text.length, -1, 0, 0);
}

static int native_start(struct channel *channel, unsigned window)
{
	struct native *native = calloc(1, sizeof(*native));

	if (!native)
		return -ENOMEM;
	native->ping = channel_random();
	channel->state = native;
	return 0;
}

static void native_save(const struct channel *channel, struct image_writer *image)
{
	const struct native *native = channel->state;

	image_put(image, 4, native->ping);
	image_put(image, 1, native->pinging);
}

static void native_restore(struct channel *channel, unsigned window, struct image_reader *image)
{
	struct native *native;

	/* What is queued goes out as it is: datagrams that are sent whole, without an fd. */
	for (const struct output_message *queued = channel->output.first; queued; queued = queued->next)
		if (queued->kind || queued->fd >= 0 || queued->sent || queued->length > DATAGRAM_MAX)
			image_reject(image);
	if (image->error)
		return;
	if (native_start(channel, window) < 0) {
		image->error = -ENOMEM;
		return;
	}
	native = channel->state;
	native->ping = (uint32_t)image_get(image, 4, ID_MAX);
	native->pinging = image_get(image, 1, 1);
}

static void native_stop(struct channel *channel)
{
	free(channel->state);
}

const struct channel_protocol native_protocol = {
    .start = native_start,
    .stop = native_stop,
    .save = native_save,
    .restore = native_restore,
    .image_code = 3,
    .readable = native_readable,
    .send_connection = native_send,
    .drain = native_drain,
    .leave = native_leave,
    .probe = native_probe,
};
