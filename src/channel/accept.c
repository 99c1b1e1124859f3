/* Protocol accept: unmodified programs, whose own listening sockets are the channel. accept_message.h has the
 * messages.
 *
 * Owns the conversation; the front's ends of the data sockets, one for each listening socket of the program,
 * are in accept_servers.c, with the epoll set that holds them and the control socket, so that the owner polls
 * one fd. Which sockets are bound and listen is the owner's.
 *
 * Nothing is queued here: a worker that does not take an answer within its socket's buffer ends the channel,
 * a data socket without room for a connection is waited for.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd_passing.h"
#include "channel/accept_message.h"
#include "channel/accept_private.h"

#define EVENTS_BATCH 32

/* What a datagram costs beside its bytes: many small ones are a flood too. */
#define DATAGRAM_COST 512

static void skip(struct channel *channel)
{
	channel->skipped++;
}

/* ---- what sockets are ---- */

static bool is_tcp_socket(int fd)
{
	int domain = accept_socket_option(fd, SO_DOMAIN);

	return (domain == AF_INET || domain == AF_INET6) &&
	       accept_socket_option(fd, SO_TYPE) == SOCK_STREAM &&
	       accept_socket_option(fd, SO_PROTOCOL) == IPPROTO_TCP;
}

static bool read_address(struct address *address, const struct accept_message *message)
{
	socklen_t length = message->address_length;
	int family = message->address.sa.sa_family;

	if ((family != AF_INET || length < sizeof(address->in)) &&
	    (family != AF_INET6 || length < sizeof(address->in6)))
		return false;
	memset(address, 0, sizeof(*address));
	address->length = family == AF_INET ? sizeof(address->in) : sizeof(address->in6);
	memcpy(&address->sa, &message->address, address->length);
	return true;
}

void accept_write_address(struct accept_message *message, const struct address *address)
{
	if (!address || address->length > sizeof(message->address) || address_family(address) == AF_UNIX)
		return;
	message->address_length = address->length;
	memcpy(&message->address, &address->sa, address->length);
}

/* ---- answers ---- */

static void answer(struct channel *channel, struct accept_server *server, int error)
{
	struct accept_message message = {.type = ACCEPT_ANSWER, .value = error};
	ssize_t sent;

	if (!error)
		accept_write_address(&message, &server->address);
	sent = fd_send(server->fd, &message, sizeof(message), -1);
	/* Gone, then: its end will be read. */
	if (sent == -EAGAIN)
		channel_break(channel, -ENOBUFS);
}

static int accept_answer_listen(struct channel *channel, uint64_t request, int error,
    const struct address *sockname, int fd, const char *data)
{
	struct acceptor *acceptor = channel->acceptor;
	struct accept_server *server = accept_find(acceptor, request);

	if (!server || (server->state != SERVER_BINDING && server->state != SERVER_ASKING))
		return -ENOENT;
	if (server->state == SERVER_BINDING) {
		server->state = error ? SERVER_OPEN : SERVER_BOUND;
		server->asking = 1;
		if (!error && sockname)
			server->address = *sockname;
	} else {
		server->state = error ? SERVER_BOUND : SERVER_GRANTED;
	}
	for (; server->asking; server->asking--)
		answer(channel, server, error);
	return 0;
}

/* ---- what the program asks ---- */

static void name_server(struct acceptor *acceptor, struct accept_server *server, bool bound)
{
	size_t length;

	address_format(&server->address, server->key, sizeof(server->key));
	length = strlen(server->key);
	if (server->ipv6_only)
		length += (size_t)snprintf(server->key + length, sizeof(server->key) - length, " only");
	if (bound)
		snprintf(server->key + length, sizeof(server->key) - length, " #%u", acceptor->any_ports++);
}

static void ask(struct channel *channel, struct accept_server *server, int backlog, int fd)
{
	struct channel_listen listen = {.request = server->id,
	    .socket_type = SOCK_STREAM,
	    .address = server->address,
	    .ipv6_only = server->ipv6_only,
	    .backlog = backlog > 0 ? backlog : 0,
	    .key = server->key,
	    .fd = fd,
	    .bind_only = server->state == SERVER_BINDING};

	channel->events->listen(channel->owner, &listen);
}

static void on_bind(
    struct channel *channel, struct accept_server *server, const struct accept_message *message, int fd)
{
	bool bound = message->flags & ACCEPT_BOUND;

	if (server->state != SERVER_OPEN) {
		skip(channel);
		return;
	}
	if (fd < 0 || !is_tcp_socket(fd) || !read_address(&server->address, message) ||
	    address_family(&server->address) != accept_socket_option(fd, SO_DOMAIN)) {
		skip(channel);
		answer(channel, server, EINVAL);
		return;
	}
	server->ipv6_only =
	    address_family(&server->address) == AF_INET6 && (message->flags & ACCEPT_IPV6_ONLY);
	if (bound)
		address_set_port(&server->address, 0);
	name_server(channel->acceptor, server, bound);
	server->state = SERVER_BINDING;
	ask(channel, server, 0, fd);
}

static void on_listen(
    struct channel *channel, struct accept_server *server, const struct accept_message *message)
{
	switch (server->state) {
	case SERVER_BOUND:
		server->state = SERVER_ASKING;
		server->asking = 1;
		ask(channel, server, message->value, -1);
		break;
	case SERVER_ASKING:
		if (server->asking < UINT16_MAX)
			server->asking++;
		break;
	case SERVER_GRANTED:
	case SERVER_LISTENING:
		answer(channel, server, 0);
		break;
	default:
		skip(channel);
	}
}

static void on_listening(struct channel *channel, struct accept_server *server)
{
	bool known = accept_find_listening(channel->acceptor, server->key) != NULL;

	if (server->state != SERVER_GRANTED) {
		if (server->state != SERVER_LISTENING)
			skip(channel);
		return;
	}
	server->state = SERVER_LISTENING;
	if (!server->key[0])
		return;
	if (channel->events->kept)
		channel->events->kept(channel->owner, server->key, server->id, server->fd);
	if (!known)
		channel->events->listening(channel->owner, server->key);
	channel_is_ready(channel);
}

static void on_option(
    struct channel *channel, struct accept_server *server, const struct accept_message *message)
{
	size_t length = message->address_length;

	if (server->state < SERVER_BOUND || !length || length > CHANNEL_OPTION_MAX || message->number > INT_MAX ||
	    message->flags > INT_MAX)
		skip(channel);
	else if (channel->events->option)
		channel->events->option(channel->owner, server->key, (int)message->number, (int)message->flags,
		    &message->address, length);
}

/* The program may have put another listening socket in the place of the one that it waited at. */
static bool forget_sent(struct acceptor *acceptor, struct accept_server *server, uint32_t number)
{
	if (accept_forget_sent(server, number))
		return true;
	TAILQ_FOREACH(server, &acceptor->servers, entry)
	if (accept_forget_sent(server, number))
		return true;
	return false;
}

static void on_answered(
    struct channel *channel, struct accept_server *server, const struct accept_message *message)
{
	bool known = pending_find(&channel->pending, message->number, NULL);

	/* It was noted, and seen, just when the quiet ended. */
	if (!known && message->type == ACCEPT_TAKEN && server->cells && cells_noted(server->cells, message->number))
		return;
	/* Numbers of a router that crashed are in no list, and skipped. */
	if (!known || !forget_sent(channel->acceptor, server, message->number) ||
	    !channel_answered(channel, message->number, message->type == ACCEPT_TAKEN))
		skip(channel);
}

static void take_message(
    struct channel *channel, struct accept_server *server, const struct accept_message *message, int fd)
{
	switch (message->type) {
	case ACCEPT_BIND:
		on_bind(channel, server, message, fd);
		break;
	case ACCEPT_LISTEN:
		on_listen(channel, server, message);
		break;
	case ACCEPT_LISTENING:
		on_listening(channel, server);
		break;
	case ACCEPT_OPTION:
		on_option(channel, server, message);
		break;
	case ACCEPT_TAKEN:
	case ACCEPT_REFUSED:
		on_answered(channel, server, message);
		break;
	default:
		skip(channel);
	}
}

/* ---- reading ---- */

/* Only while the worker's other socket lives is it known to live: else its hand-offs wait for the word that
 * it died. */
static bool control_lives(const struct channel *channel)
{
	char byte;

	if (((const struct acceptor *)channel->acceptor)->control_ended)
		return false;
	return recv(channel->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) != 0;
}

static void fail_if_over(struct channel *channel)
{
	struct acceptor *acceptor = channel->acceptor;

	const struct accept_server *server;

	if (!acceptor->control_ended)
		return;
	TAILQ_FOREACH(server, &acceptor->servers, entry)
	if (!server->ended)
		return;
	channel_read_ended(channel, 0);
}

static void server_ended(struct channel *channel, struct accept_server *server);

void accept_closed(struct channel *channel, const char *key)
{
	struct accept_server *server, *next;

	for (server = TAILQ_FIRST(&channel->acceptor->servers); server; server = next) {
		next = TAILQ_NEXT(server, entry);
		if (strcmp(server->key, key) != 0)
			continue;
		server->key[0] = '\0';
		if (server->ended)
			server_ended(channel, server);
	}
}

void accept_control_ended(struct channel *channel)
{
	struct acceptor *acceptor = channel->acceptor;

	acceptor->control_ended = true;
	accept_watch(acceptor, EPOLL_CTL_DEL, channel->fd, 0, 0);
	fail_if_over(channel);
}

/* No process of the worker has the listening socket any more. What was in it is gone, unread. */
static void server_ended(struct channel *channel, struct accept_server *server)
{
	struct acceptor *acceptor = channel->acceptor;
	bool lives = control_lives(channel), listened = server->state == SERVER_LISTENING;
	uint32_t *sent, count;
	uint64_t id = server->id;
	char key[sizeof(server->key)];

	if (server->cells)
		accept_look(channel);
	/* A dying process closes this one first: what is in it waits for its end, or for the word that it was closed. */
	if (!acceptor->only && server->key[0]) {
		server->ended = true;
		server->state = SERVER_BOUND;
		accept_watch(acceptor, EPOLL_CTL_DEL, server->fd, 0, 0);
		if (listened && channel->events->dropped)
			channel->events->dropped(channel->owner, id);
		fail_if_over(channel);
		return;
	}
	memcpy(key, server->key, sizeof(key));
	sent = server->sent;
	count = server->sent_count;
	server->sent = NULL;
	accept_server_free(acceptor, server);
	if (listened && channel->events->dropped)
		channel->events->dropped(channel->owner, id);
	if (acceptor->only && key[0] && !accept_has_key(acceptor, key))
		channel->events->closed_server(channel->owner, key);
	for (uint32_t i = 0; lives && i < count; i++)
		channel_answered(channel, sent[i], false);
	free(sent);
	fail_if_over(channel);
}

static void read_server(struct channel *channel, struct accept_server *server, size_t *budget)
{
	uint64_t id = server->id;

	while (*budget && !channel->over && accept_find(channel->acceptor, id)) {
		struct accept_message message = {0};
		int fd = -1, truncated = 0;
		ssize_t length = fd_receive(server->fd, &message, sizeof(message), &fd, &truncated);

		if (length == -EAGAIN)
			return;
		*budget -= DATAGRAM_COST < *budget ? DATAGRAM_COST : *budget;
		/* Told once, before what the worker had sent: that comes next, then the end. */
		if (length == -ECONNRESET)
			continue;
		if (length <= 0) {
			server_ended(channel, server);
			return;
		}
		if (length != sizeof(message) || truncated)
			skip(channel);
		else
			take_message(channel, server, &message, fd);
		if (fd >= 0)
			close(fd);
	}
}

static void take_open(struct channel *channel, const struct accept_message *message, int fd)
{
	struct acceptor *acceptor = channel->acceptor;

	if (message->type != ACCEPT_OPEN || message->number != ACCEPT_VERSION || fd < 0 ||
	    !accept_is_data_socket(fd)) {
		skip(channel);
		if (fd >= 0)
			close(fd);
		return;
	}
	if (accept_server_new(acceptor, ++acceptor->last_id, fd, NULL) < 0)
		skip(channel);
}

static void read_control(struct channel *channel, size_t *budget)
{
	while (*budget && !channel->over) {
		struct accept_message message = {0};
		int fd = -1, truncated = 0;
		ssize_t length = fd_receive(channel->fd, &message, sizeof(message), &fd, &truncated);

		if (length == -EAGAIN)
			return;
		*budget -= DATAGRAM_COST < *budget ? DATAGRAM_COST : *budget;
		if (length == -ECONNRESET)
			continue;
		if (length <= 0) {
			/* The program closed what it does not know. What listens already goes on. */
			accept_control_ended(channel);
			return;
		}
		if (length == sizeof(message) && !truncated) {
			take_open(channel, &message, fd);
			continue;
		}
		skip(channel);
		if (fd >= 0)
			close(fd);
	}
}

uint32_t accept_read_servers(struct channel *channel)
{
	struct acceptor *acceptor = channel->acceptor;
	struct epoll_event events[EVENTS_BATCH];
	size_t budget = READ_BUDGET;
	int count = epoll_wait(acceptor->epoll, events, EVENTS_BATCH, 0);
	uint32_t control_events = 0;

	for (int i = 0; i < count && budget && !channel->over; i++) {
		struct accept_server *server =
		    events[i].data.u64 ? accept_find(acceptor, events[i].data.u64) : NULL;

		if (events[i].data.u64 == 0)
			control_events = events[i].events;
		if (!server)
			continue;
		if (server->full && (events[i].events & EPOLLOUT)) {
			server->full = false;
			accept_watch(acceptor, EPOLL_CTL_MOD, server->fd, EPOLLIN, server->id);
		}
		if (events[i].events & ~(uint32_t)EPOLLOUT)
			read_server(channel, server, &budget);
	}
	return control_events;
}

void accept_watch_output(const struct channel *channel, bool wanted)
{
	struct acceptor *acceptor = channel->acceptor;

	if (acceptor->control_ended || acceptor->output_watched == wanted)
		return;
	acceptor->output_watched = wanted;
	accept_watch(acceptor, EPOLL_CTL_MOD, channel->fd, EPOLLIN | (wanted ? EPOLLOUT : 0), 0);
}

static void accept_readable(struct channel *channel)
{
	size_t budget = READ_BUDGET;

	if (channel->broken)
		channel_read_ended(channel, 0);
	else if (accept_read_servers(channel) && !channel->over)
		read_control(channel, &budget);
}

/* ---- hand-offs ---- */

int accept_send(struct channel *channel, const struct channel_connection *connection)
{
	struct acceptor *acceptor = channel->acceptor;
	struct accept_server *server =
	    connection->server_key ? accept_find_listening(acceptor, connection->server_key) : NULL;
	struct accept_message message = {
	    .type = ACCEPT_CONNECTION, .number = pending_next_seq(&channel->pending)};
	ssize_t sent;

	if (!server)
		return -EINVAL;
	if (server->full)
		return -EAGAIN;
	if (accept_note_sent(server, message.number) < 0)
		return -ENOMEM;
	accept_write_address(&message, connection->client);
	if (connection->client_is_peer && message.address_length)
		message.flags = ACCEPT_CLIENT_IS_PEER;
	accept_use_cells(acceptor, server, &message);
	sent = fd_send(server->fd, &message, sizeof(message), connection->fd);
	if (sent >= 0) {
		pending_add(&channel->pending, connection->id);
		return 0;
	}
	accept_forget_sent(server, message.number);
	if (sent == -EAGAIN) {
		server->full = true;
		accept_watch(acceptor, EPOLL_CTL_MOD, server->fd, EPOLLIN | EPOLLOUT, server->id);
	}
	/* Closed: which is about to be read, and concerns this server only. */
	return sent == -EPIPE || sent == -ECONNRESET ? -EINVAL : (int)sent;
}

/* The program is told by a signal, once it has taken what was sent: that is its supervisor's. */
static int accept_drain(struct channel *channel)
{
	return 0;
}

/* A program that accepts nothing cannot be asked anything. */
static int accept_probe(struct channel *channel)
{
	return 0;
}

const struct channel_protocol accept_protocol = {
    .start = accept_start,
    .stop = accept_stop,
    .save = accept_save,
    .restore = accept_restore,
    .image_code = 4,
    .readable = accept_readable,
    .send_connection = accept_send,
    .answer_listen = accept_answer_listen,
    .keep = accept_keep,
    .drain = accept_drain,
    .probe = accept_probe,
};
