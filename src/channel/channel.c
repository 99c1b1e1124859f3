#include "channel/accept_private.h"
#include "channel/channel_private.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/fd_passing.h"

uint32_t channel_random(void)
{
	uint32_t number;
	struct timespec now;

	/* Told apart, not kept secret: where the kernel has no entropy yet, the time does. */
	if (getrandom(&number, sizeof(number), GRND_NONBLOCK) != (ssize_t)sizeof(number)) {
		clock_gettime(CLOCK_MONOTONIC, &now);
		number = (uint32_t)now.tv_nsec * 2654435761u + (uint32_t)now.tv_sec;
	}
	return number & 0x7fffffff;
}

static const struct channel_protocol *protocol_of(enum protocol protocol)
{
	switch (protocol) {
	case PROTOCOL_NODE_IPC:
		return &node_ipc_protocol;
	case PROTOCOL_LIMPET:
		return &native_protocol;
	case PROTOCOL_ACCEPT:
		return &accept_protocol;
	default:
		return &node_cluster_protocol;
	}
}

struct channel *channel_make(
    enum protocol protocol, enum flavour flavour, int fd, const struct channel_events *events, void *owner)
{
	struct channel *channel = calloc(1, sizeof(*channel));

	if (!channel) {
		close(fd);
		return NULL;
	}
	channel->protocol = protocol_of(protocol);
	channel->fd = channel->poll_fd = fd;
	channel->flavour = flavour;
	channel->events = events;
	channel->owner = owner;
	output_init(&channel->output);
	return channel;
}

struct channel *channel_new(enum protocol protocol, enum flavour flavour, int fd, unsigned window,
    const struct channel_events *events, void *owner)
{
	struct channel *channel = channel_make(protocol, flavour, fd, events, owner);

	if (!channel)
		return NULL;
	if (pending_init(&channel->pending, window, channel_random()) < 0 ||
	    channel->protocol->start(channel, window) < 0) {
		channel_free(channel);
		return NULL;
	}
	return channel;
}

void channel_free(struct channel *channel)
{
	if (!channel)
		return;
	if (channel->state)
		channel->protocol->stop(channel);
	output_deinit(&channel->output);
	pending_deinit(&channel->pending);
	close(channel->fd);
	free(channel);
}

int channel_fd(const struct channel *channel)
{
	return channel->poll_fd;
}

int channel_keep(struct channel *channel, const char *key, uint64_t number, int fd)
{
	if (channel->protocol->keep)
		return channel->protocol->keep(channel, key, number, fd);
	close(fd);
	return -EINVAL;
}

void channel_fail(struct channel *channel, int error, const char *reason)
{
	if (channel->over)
		return;
	channel->over = true;
	channel->broken = true;
	channel->events->failed(channel->owner, error, reason);
}

const char *channel_break_reason(int error)
{
	switch (error) {
	case 0:
		return "end of file";
	case -ENOBUFS:
		return "the worker does not read its messages";
	case -ENOMEM:
		return "out of memory";
	default:
		return "write failed";
	}
}

void channel_break(struct channel *channel, int error)
{
	if (channel->broken)
		return;
	channel->broken = true;
	channel->error = error;
	channel->reason = channel_break_reason(error);
	/* Wakes the owner's poll, whatever the worker does. What the worker had sent can still be read. */
	shutdown(channel->fd, SHUT_RDWR);
}

void channel_read_ended(struct channel *channel, int error)
{
	if (channel->reason)
		channel_fail(channel, channel->error, channel->reason);
	else if (error)
		channel_fail(channel, error, "read failed");
	else
		channel_fail(channel, 0, "end of file");
}

static void write_failed(struct channel *channel, int error)
{
	/* A worker that is gone is told by the end of the stream, after what it still said. */
	if (error == -EPIPE || error == -ECONNRESET)
		channel_break(channel, 0);
	else
		channel_break(channel, error);
}

/* Writes the rest of the first message. True if it went whole. */
static bool write_first(struct channel *channel, struct output_message *message)
{
	bool first = message->sent == 0;
	ssize_t sent = fd_send(channel->fd, message->bytes + message->sent, message->length - message->sent,
	    first ? message->fd : -1);

	if (sent == -EAGAIN) {
		channel->full = true;
		return false;
	}
	if (sent == -ETOOMANYREFS) {
		/* The kernel tells nobody when it gets better: tried again at the next occasion. */
		channel->held = true;
		return false;
	}
	if (sent < 0) {
		write_failed(channel, (int)sent);
		return false;
	}
	if (first && channel->protocol->written)
		channel->protocol->written(channel, message);
	message->sent += (size_t)sent;
	if (message->sent < message->length) {
		channel->full = true;
		return false;
	}
	return true;
}

void channel_flush(struct channel *channel)
{
	channel->held = false;
	while (!channel->broken && !channel->full && channel->output.first) {
		if (!channel->output.first->sent && channel->protocol->may_write &&
		    !channel->protocol->may_write(channel)) {
			channel->held = true;
			return;
		}
		if (!write_first(channel, channel->output.first))
			return;
		output_drop_first(&channel->output);
	}
}

int channel_post(struct channel *channel, const char *bytes, size_t length, int fd, int kind, uint64_t number)
{
	int error;

	if (channel->broken) {
		if (fd >= 0)
			close(fd);
		return -EPIPE;
	}
	error = output_append(&channel->output, bytes, length, fd, kind, number);
	if (error)
		channel_break(channel, error);
	else
		channel_flush(channel);
	return error;
}

int channel_send_now(struct channel *channel, const char *bytes, size_t length, int fd)
{
	ssize_t sent = fd_send(channel->fd, bytes, length, fd);

	if (sent == -EAGAIN)
		channel->full = true;
	if (sent == -EAGAIN || sent == -ETOOMANYREFS)
		return (int)sent;
	if (sent < 0) {
		write_failed(channel, (int)sent);
		return (int)sent;
	}
	/* Linux takes a small message whole. Should it not, the fd is gone with the first part: the rest must
	 * follow. */
	if ((size_t)sent < length) {
		int error = output_prepend(&channel->output, bytes, length, -1, 0, 0);

		if (error) {
			channel_break(channel, error);
			return error;
		}
		channel->output.first->sent = (size_t)sent;
		channel->full = true;
	}
	return 0;
}

void channel_offer_accept(struct channel *channel)
{
	if (channel->protocol->offer_accept)
		channel->protocol->offer_accept(channel);
}

bool channel_wants_write(const struct channel *channel)
{
	bool wants = !channel->broken && (channel->full || (channel->output.first && !channel->held));

	/* The owner polls the set of all sockets: it is in there that this one is waited for. */
	if (channel->acceptor) {
		accept_watch_output(channel, wants);
		return false;
	}
	return wants;
}

void channel_readable(struct channel *channel)
{
	if (channel->over)
		return;
	channel->protocol->readable(channel);
	/* Answers of the worker may have made room for what was held back. */
	channel_flush(channel);
}

void channel_writable(struct channel *channel)
{
	channel->full = false;
	channel_flush(channel);
}

bool channel_can_send(const struct channel *channel)
{
	return !channel->broken && !channel->full && !channel->ending && !channel->output.first &&
	       !pending_full(&channel->pending) &&
	       (!channel->protocol->can_send || channel->protocol->can_send(channel));
}

int channel_send_connection(struct channel *channel, const struct channel_connection *connection)
{
	if (channel->broken || channel->ending)
		return -EPIPE;
	if (!channel_can_send(channel))
		return -EAGAIN;
	return channel->protocol->send_connection(channel, connection);
}

int channel_answer_listen(struct channel *channel, uint64_t request, int error,
    const struct address *sockname, int fd, const char *data)
{
	if (!channel->protocol->answer_listen)
		return -ENOENT;
	return channel->protocol->answer_listen(channel, request, error, sockname, fd, data);
}

int channel_drain(struct channel *channel)
{
	if (channel->broken)
		return -EPIPE;
	if (channel->drained)
		return 0;
	channel->drained = channel->ending = true;
	return channel->protocol->drain(channel);
}

int channel_leave(struct channel *channel, const char *reason)
{
	if (channel->broken)
		return -EPIPE;
	if (channel->ending)
		return 0;
	channel->ending = true;
	return reason && channel->protocol->leave ? channel->protocol->leave(channel, reason) : 0;
}

int channel_probe(struct channel *channel)
{
	if (channel->broken)
		return -EPIPE;
	return channel->protocol->probe(channel);
}

size_t channel_unacknowledged(const struct channel *channel)
{
	return channel->pending.count;
}

bool channel_has_heirs(const struct channel *channel)
{
	const struct acceptor *acceptor = channel->acceptor;

	if (channel->over || channel->pending.count == 0)
		return false;
	return !acceptor || accept_has_sent(acceptor) || !(acceptor->only || acceptor->control_ended);
}

size_t channel_settle(struct channel *channel)
{
	return channel->acceptor && !channel->over ? accept_settle(channel) : 0;
}

void channel_set_quiet(struct channel *channel, bool quiet)
{
	if (channel->acceptor)
		accept_set_quiet(channel->acceptor, quiet);
}

size_t channel_look(struct channel *channel)
{
	return channel->acceptor && !channel->over ? accept_look(channel) : 0;
}

bool channel_next_unacknowledged(const struct channel *channel, size_t *cursor, uint32_t *id)
{
	return pending_next(&channel->pending, cursor, id);
}

uint64_t channel_skipped(const struct channel *channel)
{
	return channel->skipped;
}

void channel_is_ready(struct channel *channel)
{
	if (channel->ready_told)
		return;
	channel->ready_told = true;
	channel->events->ready(channel->owner);
}

void channel_is_leaving(struct channel *channel)
{
	if (channel->ending)
		return;
	channel->ending = true;
	channel->events->leaving(channel->owner);
}

bool channel_answered(struct channel *channel, uint64_t seq, bool accepted)
{
	uint32_t id;

	if (!pending_remove(&channel->pending, seq, &id))
		return false;
	if (accepted)
		channel->events->acknowledged(channel->owner, id);
	else
		channel->events->refused(channel->owner, id);
	return true;
}
