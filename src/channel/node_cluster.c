/* Protocol node-cluster: the primary's side of node:cluster, for any Node.js server that calls listen().
 *
 * Owns what a worker asks to listen on and where that stands. Opens no socket: the owner does, and answers.
 * The messages are those of Node's lib/internal/cluster/{primary,child,round_robin_handle,shared_handle}.js,
 * the same in Node 18 to 26. Each line has "cmd":"NODE_CLUSTER"; W is the worker, P this side:
 *
 *   W {act: "online", seq}                      before the main script runs
 *   W {act: "queryServer", seq, ...}            listen(): answered by channel_answer_listen()
 *   P {errno, key, ack, data, sockname}         sockname not for Unix paths; for UDP with the socket instead
 *   W {act: "listening", ..., port, seq}        port is the real one
 *   P {act: "newconn", key, seq} with a socket
 *   W {ack, accepted, seq}
 *   W {act: "close", key, seq}
 *   W {act: "exitedAfterDisconnect", seq}
 *   P {ack}: the worker ends by itself
 *   P {act: "disconnect"}                       the worker shall end
 *
 * Or, to spare the worker the newconn messages: where it has the library of accept_message.h, its listen is
 * answered as for a socket that workers share, with a data socket; Node.js listens there itself, and connections
 * come through accept(). Whether it has is known with the first probe's answer, which answers wait for. All else
 * stays as it is: the server's data, "close", "disconnect". The channel is then both sockets, and over when both
 * are: what is in a data socket the worker may still take after it has closed the other.
 *
 * Environment of the worker, set by whoever starts it: NODE_CHANNEL_FD is the number of its end of the socket
 * pair (a SOCK_STREAM, not close-on-exec), NODE_CHANNEL_SERIALIZATION_MODE=json, NODE_UNIQUE_ID a number
 * unlike that of any other worker. Node removes them from what its own children see.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "channel/accept_private.h"
#include "channel/node.h"
#include "channel/node_listen.h"

/* Servers that a worker may have, those that wait for an answer included. */
#define SERVERS_MAX 256

struct server {
	struct server *next;
	uint64_t request; /* 0 once answered */
	uint64_t seq;
	int socket_type;
	uint16_t port; /* where it is, once answered */
	bool waits;    /* answered, but the worker is not told yet */
	struct address sockname; /* while it waits */
	char *data; /* of the answer while it waits; before that the worker's own; NULL: none */
	char key[];
};

struct cluster {
	struct node node; /* first: node.c works on it */
	struct server *servers; /* in the order in which they were asked for */
	unsigned servers_count;
	unsigned unknown_closed;
	uint64_t last_request;
	bool accept_offered;
};

static struct cluster *cluster_of(const struct channel *channel)
{
	return channel->state;
}

static struct server **find_key(struct cluster *cluster, const char *key)
{
	struct server **at = &cluster->servers;

	while (*at && strcmp((*at)->key, key) != 0)
		at = &(*at)->next;
	return at;
}

static void remove_server(struct cluster *cluster, struct server **at)
{
	struct server *server = *at;

	*at = server->next;
	cluster->servers_count--;
	free(server->data);
	free(server);
}

static int add_server(struct cluster *cluster, struct node_listen *query)
{
	size_t size = strlen(query->key) + 1;
	struct server **end = find_key(cluster, query->key), *server;

	if (cluster->servers_count == SERVERS_MAX)
		return -ENOBUFS;
	if (*end)
		return -EADDRINUSE;
	server = malloc(sizeof(*server) + size);
	if (!server)
		return -ENOMEM;
	*server = (struct server){.request = ++cluster->last_request,
	    .seq = query->seq,
	    .socket_type = query->listen.socket_type};
	memcpy(server->key, query->key, size);
	if (query->listen.data) {
		server->data = strdup(query->listen.data);
		if (!server->data) {
			free(server);
			return -ENOMEM;
		}
	}
	*end = server;
	cluster->servers_count++;
	query->listen.request = server->request;
	return 0;
}

static void on_query_server(struct channel *channel, const json_t *message)
{
	struct node_listen query;
	int error;

	if (channel->ending)
		return;
	error = node_listen_parse(&query, message);
	if (error == -EBADMSG) {
		channel->skipped++;
		return;
	}
	if (!error)
		error = add_server(cluster_of(channel), &query);
	if (error)
		node_post_listen_error(channel, query.seq, -error);
	else
		channel->events->listen(channel->owner, &query.listen);
}

static void on_listening(struct channel *channel, const json_t *message)
{
	struct cluster *cluster = cluster_of(channel);
	char key[CHANNEL_KEY_MAX + 1];
	struct server *server = NULL;
	int64_t port = 0;

	node_integer(message, "port", -1, UINT16_MAX, &port);
	/* A server that asked for any port is told here with the one that it got. */
	if (node_listen_key(message, 0, key, sizeof(key)))
		server = *find_key(cluster, key);
	if (!server || server->port != port) {
		if (!node_listen_key(message, port, key, sizeof(key))) {
			channel->skipped++;
			return;
		}
		server = *find_key(cluster, key);
	}
	if (server && (server->request || server->waits)) {
		channel->skipped++;
		return;
	}
	/* Its data socket says that, in step with what comes over it. */
	if (channel->acceptor && accept_has_key(channel->acceptor, key))
		return;
	/* A server unknown here may have been answered by a predecessor. */
	channel->events->listening(channel->owner, key);
	if (!server || server->socket_type == SOCK_STREAM)
		channel_is_ready(channel);
}

static void on_close(struct channel *channel, const json_t *message)
{
	const char *text = json_string_value(json_object_get(message, "key"));
	struct server **at;
	char key[CHANNEL_KEY_MAX + 1];

	if (!text || strlen(text) > CHANNEL_KEY_MAX) {
		channel->skipped++;
		return;
	}
	strcpy(key, text);
	at = find_key(cluster_of(channel), key);
	if (*at)
		remove_server(cluster_of(channel), at);
	else if (++cluster_of(channel)->unknown_closed > SERVERS_MAX) {
		/* No predecessor can have answered for so many. */
		channel->skipped++;
		return;
	}
	if (channel->acceptor)
		accept_closed(channel, key);
	channel->events->closed_server(channel->owner, key);
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
		on_listening(channel, message);
	} else if (strcmp(act, "close") == 0) {
		on_close(channel, message);
	} else if (strcmp(act, "exitedAfterDisconnect") == 0 && node_seq(message, &seq)) {
		node_post_ack(channel, seq);
		channel_is_leaving(channel);
	} else if (strcmp(act, "online") != 0) {
		channel->skipped++;
	}
}

static int send_connection(struct channel *channel, const struct channel_connection *connection)
{
	char line[NODE_HANDLE_MAX];
	struct json_text text = JSON_TEXT(line);

	/* Whether the worker still has the server is its own to say: it declines what it has closed. */
	if (!connection->server_key || !connection->server_key[0] ||
	    strlen(connection->server_key) > CHANNEL_KEY_MAX)
		return -EINVAL;
	if (channel->acceptor && accept_has_key(channel->acceptor, connection->server_key))
		return accept_send(channel, connection);
	json_text_add(&text, "{\"cmd\":\"NODE_HANDLE\",\"type\":\"net.Native\",\"msg\":"
	                     "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"newconn\",\"key\":");
	json_text_string(&text, connection->server_key);
	json_text_add(&text, ",\"seq\":%u}}\n", pending_next_seq(&channel->pending));
	return node_send_handle(channel, &text, connection->id, connection->fd);
}

/* The answer to a listen request that succeeded; around it what carries a socket that the worker listens on itself. */
static void write_answer(struct json_text *text, const struct server *server, const struct address *sockname,
    bool shared, const char *data)
{
	if (shared)
		json_text_add(text, "{\"cmd\":\"NODE_HANDLE\",\"type\":\"%s.Native\",\"msg\":",
		    server->socket_type == SOCK_DGRAM ? "dgram" : "net");
	json_text_add(text, "{\"cmd\":\"NODE_CLUSTER\",\"errno\":%s,\"key\":", shared ? "0" : "null");
	json_text_string(text, server->key);
	json_text_add(text, ",\"ack\":%llu,\"data\":", (unsigned long long)server->seq);
	json_text_raw(text, data ? data : "null", data ? strlen(data) : 4);
	if (!shared && sockname &&
	    (address_family(sockname) == AF_INET || address_family(sockname) == AF_INET6)) {
		json_text_add(text, ",\"sockname\":");
		node_listen_sockname(text, sockname);
	}
	json_text_add(text, shared ? "}}\n" : "}\n");
}

/* fd: consumed; -1: none. */
static int tell_answer(
    struct channel *channel, struct server *server, const struct address *sockname, int fd, const char *data)
{
	char line[NODE_MESSAGE_MAX];
	struct json_text text = JSON_TEXT(line);

	write_answer(&text, server, sockname, fd >= 0, data);
	return node_post(channel, &text, fd, fd >= 0 ? NODE_SHARED : NODE_PLAIN, server->seq);
}

static void keep_data(struct server *server, char *data)
{
	if (data != server->data)
		free(server->data);
	server->data = data;
}

/* A stream server's answer. Without files or memory for a data socket its connections come as messages. */
static int tell_stream_answer(
    struct channel *channel, struct server *server, const struct address *sockname, const char *data)
{
	struct cluster *cluster = cluster_of(channel);
	int fd = -1;

	if (cluster->accept_offered && cluster->node.library && channel->acceptor && sockname)
		fd = accept_give(channel, server->key, sockname);
	return tell_answer(channel, server, sockname, fd < 0 ? -1 : fd, data);
}

static bool is_known_whether_library(const struct cluster *cluster)
{
	return !cluster->accept_offered || cluster->node.in_step || cluster->node.probe_lost;
}

/* Until it is known whether the worker has the library. */
static int answer_later(struct server *server, const struct address *sockname, const char *data)
{
	if (data && data != server->data) {
		char *copy = strdup(data);

		if (!copy)
			return -ENOMEM;
		keep_data(server, copy);
	}
	server->waits = true;
	server->sockname = *sockname;
	return 0;
}

static void tell_waiting_answers(struct channel *channel)
{
	for (struct server *server = cluster_of(channel)->servers; server; server = server->next) {
		if (!server->waits)
			continue;
		server->waits = false;
		tell_stream_answer(channel, server, &server->sockname, server->data);
		keep_data(server, NULL);
	}
}

static int answer_error(struct channel *channel, struct server **at, int error)
{
	int result = node_post_listen_error(channel, (*at)->seq, error);

	remove_server(cluster_of(channel), at);
	return result;
}

static int answer_listen(struct channel *channel, uint64_t request, int error, const struct address *sockname,
    int fd, const char *data)
{
	struct cluster *cluster = cluster_of(channel);
	struct server **at = &cluster->servers;
	int result, copy = -1;
	bool shared;

	while (*at && (*at)->request != request)
		at = &(*at)->next;
	if (!request || !*at)
		return -ENOENT;
	shared = (*at)->socket_type == SOCK_DGRAM;
	if (!error && shared) {
		copy = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
		if (copy < 0)
			error = fd < 0 ? EINVAL : errno;
	}
	if (error)
		return answer_error(channel, at, error);
	if (!data || strlen(data) > CHANNEL_DATA_MAX || strchr(data, '\n'))
		data = (*at)->data;
	(*at)->request = 0;
	(*at)->port = sockname ? address_port(sockname) : 0;
	if (!shared && sockname && !is_known_whether_library(cluster))
		return answer_later(*at, sockname, data);
	if (shared)
		result = tell_answer(channel, *at, sockname, copy, data);
	else
		result = tell_stream_answer(channel, *at, sockname, data);
	keep_data(*at, NULL);
	return result;
}

/* The worker had no free fd for what was to be its listening socket. */
static void on_shared_lost(struct channel *channel, uint64_t seq)
{
	struct server **at = &cluster_of(channel)->servers;

	while (*at && ((*at)->request || (*at)->waits || (*at)->seq != seq))
		at = &(*at)->next;
	if (!*at) {
		node_post_listen_error(channel, seq, EMFILE);
		return;
	}
	if (channel->acceptor)
		accept_closed(channel, (*at)->key);
	answer_error(channel, at, EMFILE);
}

/* What is in data sockets the worker may still take; only its death, or its closing them, ends that. */
static void on_ended(struct channel *channel, int error)
{
	struct acceptor *acceptor = channel->acceptor;
	bool ending;

	if (error || !acceptor || (channel->reason && channel->error)) {
		channel_read_ended(channel, error);
		return;
	}
	ending = channel->ending;
	channel->ending = true;
	accept_control_ended(channel);
	if (!channel->over)
		accept_read_servers(channel);
	if (!channel->over && !ending && channel->events->unreachable)
		channel->events->unreachable(channel->owner);
}

static const struct node_dialect dialect = {.message = on_message,
    .in_step = tell_waiting_answers,
    .probe_lost = tell_waiting_answers,
    .shared_lost = on_shared_lost,
    .ended = on_ended,
    .looks_for_library = true};

static void offer_accept(struct channel *channel)
{
	/* Without memory or files for it, messages do. */
	cluster_of(channel)->accept_offered = accept_attach(channel) == 0;
}

static int keep(struct channel *channel, const char *key, uint64_t number, int fd)
{
	int error = accept_attach(channel);

	if (!error)
		return accept_keep(channel, key, number, fd);
	close(fd);
	return error;
}

static void readable(struct channel *channel)
{
	uint32_t events = EPOLLIN;

	if (channel->acceptor)
		events = accept_read_servers(channel);
	if (!channel->over && (events & EPOLLOUT))
		channel_writable(channel);
	if (!channel->over && (events & ~(uint32_t)EPOLLOUT))
		node_readable(channel);
}

static int start(struct channel *channel, unsigned window)
{
	return node_start(channel, window, &dialect, sizeof(struct cluster));
}

static void stop(struct channel *channel)
{
	struct cluster *cluster = cluster_of(channel);

	while (cluster->servers)
		remove_server(cluster, &cluster->servers);
	accept_stop(channel);
	node_stop(channel);
}

/* Bytes of a server in an image, less its key, data and address. */
#define IMAGE_SERVER 31

enum { IMAGE_UDP = 1, IMAGE_WAITS = 2 };

static void save(const struct channel *channel, struct image_writer *image)
{
	const struct cluster *cluster = cluster_of(channel);

	node_save(channel, image);
	image_put(image, 8, cluster->last_request);
	image_put(image, 4, cluster->servers_count);
	for (const struct server *server = cluster->servers; server; server = server->next) {
		image_put(image, 8, server->request);
		image_put(image, 8, server->seq);
		image_put(image, 1,
		    (server->socket_type == SOCK_DGRAM ? IMAGE_UDP : 0) | (server->waits ? IMAGE_WAITS : 0));
		image_put(image, 2, server->port);
		image_put_block(image, server->key, strlen(server->key));
		image_put_block(image, server->data, server->data ? strlen(server->data) : 0);
		image_put_block(image, &server->sockname.sa, server->waits ? server->sockname.length : 0);
	}
	image_put(image, 1, channel->acceptor != NULL);
	if (channel->acceptor)
		accept_save(channel, image);
}

static bool is_known(struct cluster *cluster, uint64_t request, const char *key)
{
	for (const struct server *server = cluster->servers; server; server = server->next)
		if (request && server->request == request)
			return true;
	return *find_key(cluster, key);
}

/* JSON text on one line, as a worker's data is. */
static bool is_data(const char *data, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if ((unsigned char)data[i] < ' ')
			return false;
	return true;
}

/* Puts it behind the others. */
static void restore_server(struct cluster *cluster, struct image_reader *image, struct server **end)
{
	uint64_t request = image_get(image, 8, cluster->last_request);
	uint64_t seq = image_get(image, 8, NODE_INTEGER_MAX);
	unsigned flags = (unsigned)image_get(image, 1, IMAGE_UDP | IMAGE_WAITS);
	bool waits = flags & IMAGE_WAITS;
	uint16_t port = (uint16_t)image_get(image, 2, UINT16_MAX);
	size_t key_length, data_length, address_length;
	const char *key = image_get_block(image, CHANNEL_KEY_MAX, &key_length);
	const char *data = image_get_block(image, CHANNEL_DATA_MAX, &data_length);
	const void *address = image_get_block(image, sizeof(struct sockaddr_un), &address_length);
	struct server *server;

	if (image->error || memchr(key, '\0', key_length) || !is_data(data, data_length) ||
	    (data_length && !request && !waits) || (waits && (request || flags & IMAGE_UDP)) ||
	    waits != (address_length >= sizeof(sa_family_t))) {
		image_reject(image);
		return;
	}
	server = calloc(1, sizeof(*server) + key_length + 1);
	if (!server) {
		image->error = -ENOMEM;
		return;
	}
	*server = (struct server){.request = request,
	    .seq = seq,
	    .socket_type = flags & IMAGE_UDP ? SOCK_DGRAM : SOCK_STREAM,
	    .port = port,
	    .waits = waits};
	memcpy(&server->sockname.sa, address, address_length);
	server->sockname.length = (socklen_t)address_length;
	memcpy(server->key, key, key_length);
	if (is_known(cluster, request, server->key))
		image_reject(image);
	if (data_length) {
		server->data = calloc(1, data_length + 1);
		if (server->data)
			memcpy(server->data, data, data_length);
		else
			image->error = -ENOMEM;
	}
	*end = server;
	cluster->servers_count++;
}

static void restore(struct channel *channel, unsigned window, struct image_reader *image)
{
	struct cluster *cluster;
	struct server **end;
	uint32_t count;

	if (node_restore(channel, window, &dialect, sizeof(*cluster), image))
		return;
	cluster = cluster_of(channel);
	cluster->last_request = image_get(image, 8, NODE_INTEGER_MAX);
	count = image_get_count(image, IMAGE_SERVER);
	if (count > SERVERS_MAX)
		image_reject(image);
	for (end = &cluster->servers; count && !image->error; count--) {
		restore_server(cluster, image, end);
		if (*end)
			end = &(*end)->next;
	}
	if (image_get(image, 1, 1) && !image->error)
		accept_restore_servers(channel, image);
}

const struct channel_protocol node_cluster_protocol = {
    .start = start,
    .stop = stop,
    .save = save,
    .restore = restore,
    .image_code = 1,
    .readable = readable,
    .can_send = node_can_send,
    .send_connection = send_connection,
    .answer_listen = answer_listen,
    .keep = keep,
    .offer_accept = offer_accept,
    .drain = node_drain,
    .probe = node_probe,
    .may_write = node_may_write,
    .written = node_written,
};
