/* The servers of one worker of protocol accept: the data sockets and what each was sent, made, kept over a
 * crash of the router, and handed over. What is said over them is accept.c's. */
#include "channel/accept_private.h"

#include <errno.h>
#include <linux/sock_diag.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd_passing.h"
#include "channel/accept_message.h"

/* Listening sockets of one worker, each an fd of ours. */
#define SERVERS_MAX 256

/* ---- servers ---- */

struct accept_server *accept_find(const struct acceptor *acceptor, uint64_t id)
{
	struct accept_server *server;

	TAILQ_FOREACH(server, &acceptor->servers, entry)
	if (server->id == id)
		return server;
	return NULL;
}

struct accept_server *accept_find_listening(const struct acceptor *acceptor, const char *key)
{
	struct accept_server *server, *best = NULL;

	TAILQ_FOREACH(server, &acceptor->servers, entry)
	if (server->state == SERVER_LISTENING && strcmp(server->key, key) == 0 &&
	    (!best || server->sent_count < best->sent_count))
		best = server;
	return best;
}

bool accept_has_key(const struct acceptor *acceptor, const char *key)
{
	struct accept_server *server;

	TAILQ_FOREACH(server, &acceptor->servers, entry)
	if (strcmp(server->key, key) == 0)
		return true;
	return false;
}

bool accept_has_sent(const struct acceptor *acceptor)
{
	struct accept_server *server;

	TAILQ_FOREACH(server, &acceptor->servers, entry)
	if (server->sent_count && !server->ended)
		return true;
	return false;
}

/* What the worker has not taken is counted as the sender's. */
static bool is_empty(const struct accept_server *server)
{
	uint32_t values[SK_MEMINFO_VARS] = {0};
	socklen_t length = sizeof(values);

	return getsockopt(server->fd, SOL_SOCKET, SO_MEMINFO, values, &length) == 0 &&
	       values[SK_MEMINFO_WMEM_ALLOC] == 0;
}

size_t accept_look(struct channel *channel)
{
	struct accept_server *server;
	size_t count = 0;

	TAILQ_FOREACH(server, &channel->acceptor->servers, entry)
	{
		if (!server->cells || !cells_in_use(server->cells))
			continue;
		/* What a callback sends anew comes behind them. */
		for (uint32_t i = 0; i < server->sent_count;) {
			uint32_t number = server->sent[i];

			if (!cells_noted(server->cells, number)) {
				i++;
				continue;
			}
			accept_forget_sent(server, number);
			count += channel_answered(channel, number, true);
		}
	}
	return count;
}

void accept_set_quiet(struct acceptor *acceptor, bool quiet)
{
	struct accept_server *server;

	acceptor->quiet = quiet;
	TAILQ_FOREACH(server, &acceptor->servers, entry)
	if (server->cells)
		cells_set_quiet(server->cells, quiet);
}

/* Before the first connection that is to be noted there. */
static void send_memory(struct accept_server *server)
{
	struct accept_message message = {.type = ACCEPT_MEMORY};
	int fd;

	server->cells = cells_new(&fd);
	if (!server->cells) {
		server->no_cells = true;
		return;
	}
	message.process = cells_name(server->cells);
	if (fd_send(server->fd, &message, sizeof(message), fd) < 0) {
		/* Full, or too many are under way: the next time. */
		cells_free(server->cells);
		server->cells = NULL;
	} else {
		cells_set_quiet(server->cells, true);
	}
	close(fd);
}

void accept_use_cells(const struct acceptor *acceptor, struct accept_server *server, struct accept_message *connection)
{
	if (!acceptor->quiet || server->no_cells)
		return;
	if (!server->cells)
		send_memory(server);
	if (server->cells && cells_take(server->cells, connection->number, &connection->value))
		connection->process = cells_name(server->cells);
}

size_t accept_settle(struct channel *channel)
{
	struct accept_server *server;
	size_t count = 0;

	accept_look(channel);
	TAILQ_FOREACH(server, &channel->acceptor->servers, entry)
	{
		if (!server->sent_count || server->ended || !is_empty(server))
			continue;
		/* What a callback sends anew comes behind them. */
		for (uint32_t left = server->sent_count; left && server->sent_count; left--) {
			uint32_t number = server->sent[0];

			accept_forget_sent(server, number);
			count += channel_answered(channel, number, true);
		}
	}
	return count;
}

int accept_watch(const struct acceptor *acceptor, int operation, int fd, uint32_t events, uint64_t id)
{
	struct epoll_event event = {.events = events, .data.u64 = id};

	return epoll_ctl(acceptor->epoll, operation, fd, &event) < 0 ? -errno : 0;
}

void accept_server_free(struct acceptor *acceptor, struct accept_server *server)
{
	TAILQ_REMOVE(&acceptor->servers, server, entry);
	acceptor->servers_count--;
	accept_watch(acceptor, EPOLL_CTL_DEL, server->fd, 0, 0);
	close(server->fd);
	cells_free(server->cells);
	free(server->sent);
	free(server);
}

int accept_server_new(struct acceptor *acceptor, uint64_t id, int fd, struct accept_server **result)
{
	struct accept_server *server =
	    acceptor->servers_count < SERVERS_MAX ? calloc(1, sizeof(*server)) : NULL;
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
	error = accept_watch(acceptor, EPOLL_CTL_ADD, fd, EPOLLIN, id);
	if (error)
		accept_server_free(acceptor, server);
	else if (result)
		*result = server;
	return error;
}

int accept_note_sent(struct accept_server *server, uint32_t number)
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
bool accept_forget_sent(struct accept_server *server, uint32_t number)
{
	for (uint32_t i = 0; i < server->sent_count; i++) {
		if (server->sent[i] != number)
			continue;
		if (server->cells)
			cells_release(server->cells, number);
		memmove(server->sent + i, server->sent + i + 1, (--server->sent_count - i) * sizeof(number));
		return true;
	}
	return false;
}

int accept_socket_option(int fd, int name)
{
	int value = -1;
	socklen_t length = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, name, &value, &length) < 0 ? -1 : value;
}

bool accept_is_data_socket(int fd)
{
	return accept_socket_option(fd, SO_DOMAIN) == AF_UNIX &&
	       accept_socket_option(fd, SO_TYPE) == SOCK_SEQPACKET;
}

/* ---- sockets that the front makes ---- */

/* The worker's end has its first message in it, and the mark by which the library knows it. */
static int make_given(const struct address *address, int ends[2])
{
	struct accept_message message = {.type = ACCEPT_GIVEN, .number = ACCEPT_VERSION};
	int mark = ACCEPT_MARK_GIVEN;
	ssize_t sent;

	/* Node.js takes an open file as it is. */
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	accept_write_address(&message, address);
	sent = fd_send(ends[0], &message, sizeof(message), ends[0]);
	if (sent >= 0 && setsockopt(ends[1], SOL_SOCKET, SO_PRIORITY, &mark, sizeof(mark)) < 0)
		sent = -errno;
	if (sent >= 0)
		return 0;
	close(ends[0]);
	close(ends[1]);
	return (int)sent;
}

int accept_give(struct channel *channel, const char *key, const struct address *address)
{
	struct acceptor *acceptor = channel->acceptor;
	struct accept_server *server;
	int ends[2], error;

	if (strlen(key) >= sizeof(server->key))
		return -EINVAL;
	error = make_given(address, ends);
	if (error)
		return error;
	error = accept_server_new(acceptor, ++acceptor->last_id, ends[0], &server);
	if (error) {
		close(ends[1]);
		return error;
	}
	strcpy(server->key, key);
	server->state = SERVER_GRANTED;
	if (address_family(address) != AF_UNIX)
		server->address = *address;
	return ends[1];
}

/* ---- life ---- */

int accept_start(struct channel *channel, unsigned window)
{
	int error = accept_attach(channel);

	channel->state = channel->acceptor;
	if (!error)
		channel->acceptor->only = true;
	return error;
}

int accept_attach(struct channel *channel)
{
	struct acceptor *acceptor;

	if (channel->acceptor)
		return 0;
	acceptor = calloc(1, sizeof(*acceptor));
	if (!acceptor)
		return -ENOMEM;
	acceptor->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (acceptor->epoll < 0 || accept_watch(acceptor, EPOLL_CTL_ADD, channel->fd, EPOLLIN, 0) < 0) {
		int error = -errno;

		if (acceptor->epoll >= 0)
			close(acceptor->epoll);
		free(acceptor);
		return error;
	}
	TAILQ_INIT(&acceptor->servers);
	channel->acceptor = acceptor;
	channel->poll_fd = acceptor->epoll;
	return 0;
}

void accept_stop(struct channel *channel)
{
	struct acceptor *acceptor = channel->acceptor;

	if (!acceptor)
		return;
	while (!TAILQ_EMPTY(&acceptor->servers))
		accept_server_free(acceptor, TAILQ_FIRST(&acceptor->servers));
	close(acceptor->epoll);
	free(acceptor);
	channel->acceptor = NULL;
}

int accept_keep(struct channel *channel, const char *key, uint64_t number, int fd)
{
	struct acceptor *acceptor = channel->acceptor;
	struct accept_server *server;
	int error;

	if (accept_find(acceptor, number)) {
		close(fd);
		return 0;
	}
	if (!number || strlen(key) >= sizeof(server->key) || !accept_is_data_socket(fd)) {
		close(fd);
		return -EINVAL;
	}
	error = accept_server_new(acceptor, number, fd, &server);
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

void accept_save(const struct channel *channel, struct image_writer *image)
{
	const struct acceptor *acceptor = channel->acceptor;
	const struct accept_server *server;

	image_put(image, 8, acceptor->last_id);
	image_put(image, 4, acceptor->any_ports);
	image_put(image, 4, acceptor->servers_count);
	TAILQ_FOREACH(server, &acceptor->servers, entry)
	{
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
	struct acceptor *acceptor = channel->acceptor;
	uint64_t id = image_get(image, 8, acceptor->last_id);
	enum server_state state = (enum server_state)image_get(image, 1, SERVER_STATES - 1);
	bool ipv6_only = image_get(image, 1, 1);
	uint32_t asking = (uint32_t)image_get(image, 4, UINT16_MAX), count;
	size_t key_length, address_length;
	const char *key = image_get_block(image, sizeof(((struct accept_server *)0)->key) - 1, &key_length);
	const void *address = image_get_block(image, sizeof(union accept_address), &address_length);
	struct accept_server *server;
	int fd, error;

	count = image_get_count(image, 4);
	if (image->error || !id || accept_find(acceptor, id)) {
		image_reject(image);
		return;
	}
	/* The numbers come first, then the fd, which can be taken before them. */
	fd = image_get_fd(image);
	if (image->error)
		return;
	error = accept_server_new(acceptor, id, fd, &server);
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
		else if (accept_note_sent(server, number) < 0)
			image->error = -ENOMEM;
	}
}

void accept_restore_servers(struct channel *channel, struct image_reader *image)
{
	struct acceptor *acceptor;
	uint32_t count;

	if (accept_attach(channel) < 0) {
		image->error = -ENOMEM;
		return;
	}
	acceptor = channel->acceptor;
	acceptor->last_id = image_get(image, 8, UINT64_MAX);
	acceptor->any_ports = (uint32_t)image_get(image, 4, UINT32_MAX);
	count = image_get_count(image, 26);
	while (count-- && !image->error)
		restore_server(channel, image);
}

void accept_restore(struct channel *channel, unsigned window, struct image_reader *image)
{
	if (channel->output.first) {
		image_reject(image); /* nothing is ever queued */
		return;
	}
	accept_restore_servers(channel, image);
	channel->state = channel->acceptor;
	if (channel->acceptor)
		channel->acceptor->only = true;
}
