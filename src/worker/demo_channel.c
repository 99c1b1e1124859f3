/* The demo worker's channel. */
#include "worker/demo_channel.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd_passing.h"

#define MESSAGE_MAX (64 * 1024)
/* Messages read in one turn of the loop. */
#define TURN_MAX 64

static void channel_fail(struct demo_channel *channel, int error)
{
	void *owner = channel->owner;
	const struct demo_channel_events *events = channel->events;

	demo_channel_close(channel);
	events->ended(owner, error);
}

static void channel_poll(struct demo_channel *channel)
{
	int interest = channel->pending_length ? EV_WRITE : EV_READ;

	if (ev_is_active(&channel->io) && (channel->io.events & (EV_READ | EV_WRITE)) == interest)
		return;
	ev_io_stop(channel->loop, &channel->io);
	ev_io_set(&channel->io, channel->fd, interest);
	ev_io_start(channel->loop, &channel->io);
}

/* connection: started() is called for it when the message is out; may be NULL. Only with nothing pending.
 * 0, also if the message has to wait, or a negative errno. */
static int channel_send(struct demo_channel *channel, const char *message, void *connection)
{
	size_t length = strlen(message);
	ssize_t sent = fd_send(channel->fd, message, length, -1);

	if (sent == -EAGAIN) {
		if (length > sizeof(channel->pending))
			return -EMSGSIZE;
		memcpy(channel->pending, message, length);
		channel->pending_length = length;
		channel->pending_connection = connection;
		return 0;
	}
	if (sent < 0)
		return (int)sent;
	if (connection)
		channel->events->started(channel->owner, connection);
	return 0;
}

static int channel_send_number(
    struct demo_channel *channel, const char *type, const char *name, unsigned long number, void *connection)
{
	char message[sizeof(channel->pending)];

	snprintf(message, sizeof(message), "{\"type\":\"%s\",\"%s\":%lu}", type, name, number);
	return channel_send(channel, message, connection);
}

static int channel_send_hello(struct demo_channel *channel, const char *pool, const char *slot)
{
	json_t *json =
	    json_pack("{s:s, s:i, s:s, s:s}", "type", "hello", "version", 1, "pool", pool, "slot", slot);
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	int error = text ? channel_send(channel, text, NULL) : -ENOMEM;

	free(text);
	json_decref(json);
	return error;
}

static const char *string_of(json_t *object, const char *name, const char *otherwise)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : otherwise;
}

static int handle_connection(struct demo_channel *channel, json_t *message, unsigned long id, int *fd)
{
	void *connection = NULL;

	/* Without an fd it was lost on the way (this process has too many open): another worker may have
	 * room. */
	if (*fd >= 0) {
		connection = channel->events->connection(
		    channel->owner, *fd, string_of(message, "client", ""), string_of(message, "key", ""));
		*fd = -1;
	}
	return channel_send_number(channel, connection ? "ack" : "refuse", "id", id, connection);
}

static int channel_handle(struct demo_channel *channel, const char *bytes, size_t length, int *fd)
{
	json_t *message = json_loadb(bytes, length, JSON_REJECT_DUPLICATES, NULL);
	json_t *id = json_object_get(message, "id");
	const char *type = string_of(message, "type", "");
	bool numbered = json_is_integer(id) && json_integer_value(id) >= 0;
	int error = 0;

	if (!strcmp(type, "connection") && numbered)
		error = handle_connection(channel, message, (unsigned long)json_integer_value(id), fd);
	else if (!strcmp(type, "ping"))
		error = channel_send_number(
		    channel, "pong", "id", numbered ? (unsigned long)json_integer_value(id) : 0, NULL);
	else if (!strcmp(type, "drain"))
		channel->events->drain(channel->owner);
	json_decref(message);
	return error;
}

static void channel_read(struct demo_channel *channel)
{
	static char bytes[MESSAGE_MAX];

	for (int turn = 0; turn < TURN_MAX && !channel->pending_length; turn++) {
		int fd = -1, truncated = 0, error;
		ssize_t got = fd_receive(channel->fd, bytes, sizeof(bytes), &fd, &truncated);

		if (got == -EAGAIN || got == -EINTR)
			break;
		if (got <= 0) {
			if (fd >= 0)
				close(fd);
			channel_fail(channel, (int)got);
			return;
		}
		error = channel_handle(channel, bytes, (size_t)got, &fd);
		if (fd >= 0)
			close(fd);
		if (error) {
			channel_fail(channel, error);
			return;
		}
	}
	channel_poll(channel);
}

static void channel_write(struct demo_channel *channel)
{
	ssize_t sent = fd_send(channel->fd, channel->pending, channel->pending_length, -1);
	void *connection = channel->pending_connection;

	if (sent == -EAGAIN || sent == -EINTR)
		return;
	if (sent < 0) {
		channel_fail(channel, (int)sent);
		return;
	}
	channel->pending_length = 0;
	channel->pending_connection = NULL;
	channel_poll(channel);
	if (connection)
		channel->events->started(channel->owner, connection);
}

static void on_io(struct ev_loop *loop, ev_io *w, int events)
{
	struct demo_channel *channel = w->data;

	if (channel->pending_length)
		channel_write(channel);
	else
		channel_read(channel);
}

static void on_prepare(struct ev_loop *loop, ev_prepare *w, int events)
{
	struct demo_channel *channel = w->data;
	unsigned closed = channel->closed;
	int error;

	if (!closed || channel->pending_length)
		return;
	channel->closed = 0;
	error = channel_send_number(channel, "closed", "count", closed, NULL);
	if (error)
		channel_fail(channel, error);
	else
		channel_poll(channel);
}

int demo_channel_open(struct demo_channel *channel, struct ev_loop *loop, int fd, const char *pool,
    const char *slot, const struct demo_channel_events *events, void *owner)
{
	int error;

	*channel = (struct demo_channel){.loop = loop, .events = events, .owner = owner, .fd = fd};
	ev_init(&channel->io, on_io);
	channel->io.data = channel;
	ev_prepare_init(&channel->prepare, on_prepare);
	channel->prepare.data = channel;
	error = channel_send_hello(channel, pool, slot);
	if (!error && channel->pending_length)
		error = -EAGAIN; /* a fresh channel has room for two messages */
	if (!error)
		error = channel_send(channel, "{\"type\":\"ready\"}", NULL);
	if (error) {
		demo_channel_close(channel);
		return error;
	}
	ev_prepare_start(loop, &channel->prepare);
	channel_poll(channel);
	return 0;
}

void demo_channel_close(struct demo_channel *channel)
{
	if (channel->fd < 0)
		return;
	ev_io_stop(channel->loop, &channel->io);
	ev_prepare_stop(channel->loop, &channel->prepare);
	close(channel->fd);
	channel->fd = -1;
	channel->pending_length = 0;
}

void demo_channel_count_closed(struct demo_channel *channel)
{
	if (channel->fd >= 0)
		channel->closed++;
}
