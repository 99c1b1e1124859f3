/* Protocol accept: unmodified programs, whose own listening sockets are the channel. accept_message.h has the messages.
 *
 * Owns the front's ends of the data sockets, one for each listening socket of the program, and an epoll set that holds them and
 * the control socket, so that the owner polls one fd. Which sockets are bound and listen is the owner's.
 *
 * Nothing is queued here: a worker that does not take an answer within its socket's buffer ends the channel, a data socket
 * without room for a connection is waited for.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd_passing.h"
#include "channel/accept_message.h"
#include "channel/channel_private.h"

/* Listening sockets of one worker, each an fd of ours. */
#define SERVERS_MAX 256

#define EVENTS_BATCH 32

/* What a datagram costs beside its bytes: many small ones are a flood too. */
#define DATAGRAM_COST 512

enum server_state {
	SERVER_OPEN,      /* nothing asked yet */
	SERVER_BINDING,   /* the owner was asked */
	SERVER_BOUND,
	SERVER_ASKING,    /* the owner was asked whether it may listen */
	SERVER_GRANTED,   /* it may; the program does not know yet */
	SERVER_LISTENING,
	SERVER_STATES,
};

struct server {
	TAILQ_ENTRY(server) entry;
	uint64_t id;
	int fd;
	enum server_state state;
	uint32_t asking; /* answers owed while SERVER_ASKING: processes that share the socket ask together */
	bool full;       /* took no more when last tried */
	struct address address;
	bool ipv6_only;
	uint32_t *sent; /* hand-offs not answered, oldest first */
	uint32_t sent_count, sent_room;
	char key[ADDRESS_TEXT_MAX];
};

struct acceptor {
	int epoll;
	TAILQ_HEAD(, server) servers;
	unsigned servers_count;
	uint64_t last_id;
	uint32_t any_ports; /* binds to port 0 so far: the n-th of every worker is the same server */
	bool control_ended;
};

static void skip(struct channel *channel)
{
	channel->skipped++;
}

/* ---- servers ---- */

static struct server *find(const struct acceptor *acceptor, uint64_t id)
{
	struct server *server;

	TAILQ_FOREACH (server, &acceptor->servers, entry)
		if (server->id == id)
			return server;
	return NULL;
}

/* One that takes connections; the one with the fewest under way, as processes may have a socket each for one address. */
static struct server *find_listening(const struct acceptor *acceptor, const char *key)
{
	struct server *server, *best = NULL;

	TAILQ_FOREACH (server, &acceptor->servers, entry)
		if (server->state == SERVER_LISTENING && strcmp(server->key, key) == 0 &&
		    (!best || server->sent_count < best->sent_count))
			best = server;
	return best;
}

static bool has_key(const struct acceptor *acceptor, const char *key)
{
	struct server *server;

	TAILQ_FOREACH (server, &acceptor->servers, entry)
		if (strcmp(server->key, key) == 0)
			return true;
	return false;
}

static int watch(const struct acceptor *acceptor, int operation, int fd, uint32_t events, uint64_t id)
{
	struct epoll_event event = {.events = events, .data.u64 = id};

	return epoll_ctl(acceptor->epoll, operation, fd, &event) < 0 ? -errno : 0;
}

static void server_free(struct acceptor *acceptor, struct server *server)
{
	TAILQ_REMOVE(&acceptor->servers, server, entry);
	acceptor->servers_count--;
	watch(acceptor, EPOLL_CTL_DEL, server->fd, 0, 0);
	close(server->fd);
	free(server->sent);
	free(server);
}

/* fd: consumed, also on failure. */
static int server_new(struct acceptor *acceptor, uint64_t id, int fd, struct server **result)
{
	struct server *server = acceptor->servers_count < SERVERS_MAX ? calloc(1, sizeof(*server)) : NULL;
	int error;

	if (!server) {
		error = acceptor->servers_count < SERVERS_MAX ? -ENOMEM : -EINVAL;
		close(fd);
		return error;
	}
	server->id = id;
	server->fd = fd;
	TAILQ_INSERT_TAIL(&acceptor->servers, server, entry);
	acceptor->servers_count++;
	error = watch(acceptor, EPOLL_CTL_ADD, fd, EPOLLIN, id);
	if (error)
		server_free(acceptor, server);
	else if (result)
		*result = server;
	return error;
}

static int note_sent(struct server *server, uint32_t number)
{
	if (server->sent_count == server->sent_room) {
		uint32_t room = server->sent_room ? 2 * server->sent_room : 16;
		uint32_t *sent = reallocarray(server->sent, room, sizeof(*sent));

		if (!sent)
			return -ENOMEM;
		server->sent = sent;
		server->sent_room = room;
	}
	server->sent[server->sent_count++] = number;
	return 0;
}

/* Almost always it is the first. */
static bool forget_sent(struct server *server, uint32_t number)
{
	for (uint32_t i = 0; i < server->sent_count; i++) {
		if (server->sent[i] != number)
			continue;
		memmove(server->sent + i, server->sent + i + 1, (--server->sent_count - i) * sizeof(number));
		return true;
	}
	return false;
}

/* ---- what sockets are ---- */

static int option_of(int fd, int name)
{
	int value = -1;
	socklen_t length = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, name, &value, &length) < 0 ? -1 : value;
}

static bool is_data_socket(int fd)
{
	return option_of(fd, SO_DOMAIN) == AF_UNIX && option_of(fd, SO_TYPE) == SOCK_SEQPACKET;
}

static bool is_tcp_socket(int fd)
{
	int domain = option_of(fd, SO_DOMAIN);

	return (domain == AF_INET || domain == AF_INET6) && option_of(fd, SO_TYPE) == SOCK_STREAM &&
	       option_of(fd, SO_PROTOCOL) == IPPROTO_TCP;
}

static bool read_address(struct address *address, const struct accept_message *message)
{
	socklen_t length = message->address_length;
	int family = message->address.sa.sa_family;

	if ((family != AF_INET || length < sizeof(address->in)) && (family != AF_INET6 || length < sizeof(address->in6)))
		return false;
	memset(address, 0, sizeof(*address));
	address->length = family == AF_INET ? sizeof(address->in) : sizeof(address->in6);
	memcpy(&address->sa, &message->address, address->length);
	return true;
}

static void write_address(struct accept_message *message, const struct address *address)
{
	if (!address || address->length > sizeof(message->address) || address_family(address) == AF_UNIX)
		return;
	message->address_length = address->length;
	memcpy(&message->address, &address->sa, address->length);
}

/* ---- answers ---- */

static void answer(struct channel *channel, struct server *server, int error)
{
	struct accept_message message = {.type = ACCEPT_ANSWER, .value = error};
	ssize_t sent;

	if (!error)
		write_address(&message, &server->address);
	sent = fd_send(server->fd, &message, sizeof(message), -1);
	/* Gone, then: its end will be read. */
	if (sent == -EAGAIN)
		channel_break(channel, -ENOBUFS);
}

static int accept_answer_listen(struct channel *channel, uint64_t request, int error, const struct address *sockname, int fd,
    const char *data)
{
	struct acceptor *acceptor = channel->state;
	struct server *server = find(acceptor, request);

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

static void name_server(struct acceptor *acceptor, struct server *server, bool bound)
{
	size_t length;

	address_format(&server->address, server->key, sizeof(server->key));
	length = strlen(server->key);
	if (server->ipv6_only)
		length += (size_t)snprintf(server->key + length, sizeof(server->key) - length, " only");
	if (bound)
		snprintf(server->key + length, sizeof(server->key) - length, " #%u", acceptor->any_ports++);
}

static void ask(struct channel *channel, struct server *server, int backlog, int fd)
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

static void on_bind(struct channel *channel, struct server *server, const struct accept_message *message, int fd)
{
	bool bound = message->flags & ACCEPT_BOUND;

	if (server->state != SERVER_OPEN) {
		skip(channel);
		return;
	}
	if (fd < 0 || !is_tcp_socket(fd) || !read_address(&server->address, message) ||
	    address_family(&server->address) != option_of(fd, SO_DOMAIN)) {
		skip(channel);
		answer(channel, server, EINVAL);
		return;
	}
	server->ipv6_only = address_family(&server->address) == AF_INET6 && (message->flags & ACCEPT_IPV6_ONLY);
	if (bound)
		address_set_port(&server->address, 0);
	name_server(channel->state, server, bound);
	server->state = SERVER_BINDING;
	ask(channel, server, 0, fd);
}

static void on_listen(struct channel *channel, struct server *server, const struct accept_message *message)
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

static void on_listening(struct channel *channel, struct server *server)
{
	bool known = find_listening(channel->state, server->key) != NULL;

	if (server->state != SERVER_GRANTED) {
		if (server->state != SERVER_LISTENING)
			skip(channel);
		return;
	}
	server->state = SERVER_LISTENING;
	if (channel->events->kept)
		channel->events->kept(channel->owner, server->key, server->id, server->fd);
	if (!known)
		channel->events->listening(channel->owner, server->key);
	channel_is_ready(channel);
}

static void on_answered(struct channel *channel, struct server *server, const struct accept_message *message)
{
	/* Numbers of a router that crashed are in no list, and skipped. */
	if (!forget_sent(server, message->number) ||
	    !channel_answered(channel, message->number, message->type == ACCEPT_TAKEN))
		skip(channel);
}

static void take_message(struct channel *channel, struct server *server, const struct accept_message *message, int fd)
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
	case ACCEPT_TAKEN:
	case ACCEPT_REFUSED:
		on_answered(channel, server, message);
		break;
	default:
		skip(channel);
	}
}

/* ---- reading ---- */

/* Only while the control socket lives is the worker known to live: else its hand-offs wait for the word that it died. */
static bool control_lives(const struct channel *channel)
{
	char byte;

	if (((const struct acceptor *)channel->state)->control_ended)
		return false;
	return recv(channel->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) != 0;
}

static void fail_if_over(struct channel *channel)
{
	struct acceptor *acceptor = channel->state;

	if (acceptor->control_ended && TAILQ_EMPTY(&acceptor->servers))
		channel_read_ended(channel, 0);
}

/* No process of the worker has the listening socket any more. What was in it is gone, unread. */
static void server_ended(struct channel *channel, struct server *server)
{
	struct acceptor *acceptor = channel->state;
	bool lives = control_lives(channel), listened = server->state == SERVER_LISTENING;
	uint32_t *sent = server->sent, count = server->sent_count;
	uint64_t id = server->id;
	char key[sizeof(server->key)];

	memcpy(key, server->key, sizeof(key));
	server->sent = NULL;
	server_free(acceptor, server);
	if (listened && channel->events->dropped)
		channel->events->dropped(channel->owner, id);
	if (key[0] && !has_key(acceptor, key))
		channel->events->closed_server(channel->owner, key);
	for (uint32_t i = 0; lives && i < count; i++)
		channel_answered(channel, sent[i], false);
	free(sent);
	fail_if_over(channel);
}

static void read_server(struct channel *channel, struct server *server, size_t *budget)
{
	uint64_t id = server->id;

	while (*budget && !channel->over && find(channel->state, id)) {
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
	struct acceptor *acceptor = channel->state;

	if (message->type != ACCEPT_OPEN || message->number != ACCEPT_VERSION || fd < 0 || !is_data_socket(fd)) {
		skip(channel);
		if (fd >= 0)
			close(fd);
		return;
	}
	if (server_new(acceptor, ++acceptor->last_id, fd, NULL) < 0)
		skip(channel);
}

static void read_control(struct channel *channel, size_t *budget)
{
	struct acceptor *acceptor = channel->state;

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
			acceptor->control_ended = true;
			watch(acceptor, EPOLL_CTL_DEL, channel->fd, 0, 0);
			fail_if_over(channel);
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

static void accept_readable(struct channel *channel)
{
	struct acceptor *acceptor = channel->state;
	struct epoll_event events[EVENTS_BATCH];
	size_t budget = READ_BUDGET;
	int count = epoll_wait(acceptor->epoll, events, EVENTS_BATCH, 0);

	if (channel->broken) {
		channel_read_ended(channel, 0);
		return;
	}
	for (int i = 0; i < count && budget && !channel->over; i++) {
		struct server *server = events[i].data.u64 ? find(acceptor, events[i].data.u64) : NULL;

		if (events[i].data.u64 == 0)
			read_control(channel, &budget);
		if (!server)
			continue;
		if (server->full && (events[i].events & EPOLLOUT)) {
			server->full = false;
			watch(acceptor, EPOLL_CTL_MOD, server->fd, EPOLLIN, server->id);
		}
		if (events[i].events & ~(uint32_t)EPOLLOUT)
			read_server(channel, server, &budget);
	}
}

/* ---- hand-offs ---- */

static int accept_send(struct channel *channel, const struct channel_connection *connection)
{
	struct acceptor *acceptor = channel->state;
	struct server *server = connection->server_key ? find_listening(acceptor, connection->server_key) : NULL;
	struct accept_message message = {.type = ACCEPT_CONNECTION, .number = pending_next_seq(&channel->pending)};
	ssize_t sent;

	if (!server)
		return -EINVAL;
	if (server->full)
		return -EAGAIN;
	if (note_sent(server, message.number) < 0)
		return -ENOMEM;
	write_address(&message, connection->client);
	sent = fd_send(server->fd, &message, sizeof(message), connection->fd);
	if (sent >= 0) {
		pending_add(&channel->pending, connection->id);
		return 0;
	}
	server->sent_count--;
	if (sent == -EAGAIN) {
		server->full = true;
		watch(acceptor, EPOLL_CTL_MOD, server->fd, EPOLLIN | EPOLLOUT, server->id);
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

/* ---- life ---- */

static int accept_start(struct channel *channel, unsigned window)
{
	struct acceptor *acceptor = calloc(1, sizeof(*acceptor));

	if (!acceptor)
		return -ENOMEM;
	acceptor->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (acceptor->epoll < 0 || watch(acceptor, EPOLL_CTL_ADD, channel->fd, EPOLLIN, 0) < 0) {
		int error = -errno;

		if (acceptor->epoll >= 0)
			close(acceptor->epoll);
		free(acceptor);
		return error;
	}
	TAILQ_INIT(&acceptor->servers);
	channel->state = acceptor;
	channel->poll_fd = acceptor->epoll;
	return 0;
}

static void accept_stop(struct channel *channel)
{
	struct acceptor *acceptor = channel->state;

	while (!TAILQ_EMPTY(&acceptor->servers))
		server_free(acceptor, TAILQ_FIRST(&acceptor->servers));
	close(acceptor->epoll);
	free(acceptor);
}

static int accept_keep(struct channel *channel, const char *key, uint64_t number, int fd)
{
	struct acceptor *acceptor = channel->state;
	struct server *server;
	int error;

	if (find(acceptor, number)) {
		close(fd);
		return 0;
	}
	if (!number || strlen(key) >= sizeof(server->key) || !is_data_socket(fd)) {
		close(fd);
		return -EINVAL;
	}
	error = server_new(acceptor, number, fd, &server);
	if (error)
		return error;
	strcpy(server->key, key);
	server->state = SERVER_LISTENING;
	if (number > acceptor->last_id)
		acceptor->last_id = number;
	if (strchr(key, '#'))
		acceptor->any_ports++;
	return 0;
}

static void accept_save(const struct channel *channel, struct image_writer *image)
{
	const struct acceptor *acceptor = channel->state;
	const struct server *server;

	image_put(image, 8, acceptor->last_id);
	image_put(image, 4, acceptor->any_ports);
	image_put(image, 4, acceptor->servers_count);
	TAILQ_FOREACH (server, &acceptor->servers, entry) {
		image_put(image, 8, server->id);
		image_put(image, 1, server->state);
		image_put(image, 1, server->ipv6_only);
		image_put(image, 4, server->asking);
		image_put_block(image, server->key, strlen(server->key));
		image_put_block(image, &server->address.sa, server->address.length);
		image_put(image, 4, server->sent_count);
		for (uint32_t i = 0; i < server->sent_count; i++)
			image_put(image, 4, server->sent[i]);
		image_put_fd(image, server->fd);
	}
}

static void restore_server(struct channel *channel, struct image_reader *image)
{
	struct acceptor *acceptor = channel->state;
	uint64_t id = image_get(image, 8, acceptor->last_id);
	enum server_state state = (enum server_state)image_get(image, 1, SERVER_STATES - 1);
	bool ipv6_only = image_get(image, 1, 1);
	uint32_t asking = (uint32_t)image_get(image, 4, UINT16_MAX), count;
	size_t key_length, address_length;
	const char *key = image_get_block(image, sizeof(((struct server *)0)->key) - 1, &key_length);
	const void *address = image_get_block(image, sizeof(union accept_address), &address_length);
	struct server *server;
	int fd, error;

	count = image_get_count(image, 4);
	if (image->error || !id || find(acceptor, id)) {
		image_reject(image);
		return;
	}
	/* The numbers come first, then the fd, which can be taken before them. */
	fd = image_get_fd(image);
	if (image->error)
		return;
	error = server_new(acceptor, id, fd, &server);
	if (error) {
		image->error = error == -ENOMEM ? error : -EPROTO;
		return;
	}
	server->state = state;
	server->ipv6_only = ipv6_only;
	server->asking = asking;
	memcpy(server->key, key, key_length);
	memcpy(&server->address.sa, address, address_length);
	server->address.length = (socklen_t)address_length;
	while (count-- && !image->error) {
		uint32_t number = (uint32_t)image_get(image, 4, UINT32_MAX);

		if (!pending_find(&channel->pending, number, NULL))
			image_reject(image);
		else if (note_sent(server, number) < 0)
			image->error = -ENOMEM;
	}
}

static void accept_restore(struct channel *channel, unsigned window, struct image_reader *image)
{
	struct acceptor *acceptor;
	uint32_t count;

	if (channel->output.first) {
		image_reject(image); /* nothing is ever queued */
		return;
	}
	if (accept_start(channel, window) < 0) {
		image->error = -ENOMEM;
		return;
	}
	acceptor = channel->state;
	acceptor->last_id = image_get(image, 8, UINT64_MAX);
	acceptor->any_ports = (uint32_t)image_get(image, 4, UINT32_MAX);
	count = image_get_count(image, 26);
	while (count-- && !image->error)
		restore_server(channel, image);
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
