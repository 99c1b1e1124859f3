#include "router/succession.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/fd_passing.h"
#include "base/log.h"
#include "router/connection.h"
#include "router/listener.h"
#include "router/pool.h"
#include "router/worker.h"

#define EXPORT_SECONDS 3

/* Longer than the supervisor lets a former router live: two routers never read the same channel, so a successor that has not got
 * everything goes on only when its predecessor has ended or given up. */
#define IMPORT_SECONDS 30

#define BYTES_MAX (32 * 1024)

enum type {
	TYPE_WORKER = 1, /* worker, ready, drained, lost; id: no connection's has a greater generation */
	TYPE_SERVER,     /* worker, listener, port, bytes: key */
	TYPE_IMAGE,      /* worker, image_length and image_fds: of the whole, bytes: a part */
	TYPE_IMAGE_FD,   /* worker, fd */
	TYPE_SENT,       /* connection: handed off to worker, not acknowledged; fd */
	TYPE_OPEN,       /* connection: not handed off; fd */
	TYPE_END,
};

struct message {
	uint32_t version;
	uint32_t type;
	uint32_t worker;
	uint32_t listener;
	uint32_t id;
	uint32_t port;
	uint32_t key_type;
	uint32_t length;
	uint32_t image_length;
	uint32_t image_fds;
	uint64_t hash;
	uint64_t proxy_length;
	double deadline;
	uint8_t ready; /* these four: 0 or 1; a bool must not come from outside */
	uint8_t drained;
	uint8_t lost;   /* at the end of its stream: what it has not answered it never will */
	uint8_t routed; /* the PROXY header is read off: what was found out cannot be found out again */
	struct address peer;
	struct address client;
	char pool[72];
	char bytes[BYTES_MAX];
};

struct exporter {
	int fd;
	struct timespec end;
	struct message message;
};

static int milliseconds_until(const struct timespec *end)
{
	struct timespec now;
	long long left;

	clock_gettime(CLOCK_MONOTONIC, &now);
	left = (long long)(end->tv_sec - now.tv_sec) * 1000 + (end->tv_nsec - now.tv_nsec) / 1000000;
	return left > 0 ? (int)left : 0;
}

static void set_end(struct timespec *end, int seconds)
{
	clock_gettime(CLOCK_MONOTONIC, end);
	end->tv_sec += seconds;
}

static int wait_for(int fd, short events, const struct timespec *end)
{
	struct pollfd poll_fd = {.fd = fd, .events = events};
	int left = milliseconds_until(end);

	if (left == 0)
		return -ETIMEDOUT;
	return poll(&poll_fd, 1, left) < 0 && errno != EINTR ? -errno : 0;
}

/* ---- sending ---- */

static void begin(struct exporter *exporter, enum type type)
{
	/* The bytes are left as they are: only message.length of them are sent. */
	memset(&exporter->message, 0, offsetof(struct message, bytes));
	exporter->message.version = SUCCESSION_VERSION;
	exporter->message.type = type;
}

static int put(struct exporter *exporter, int fd)
{
	size_t length = offsetof(struct message, bytes) + exporter->message.length;

	for (;;) {
		ssize_t sent = fd_send(exporter->fd, &exporter->message, length, fd);
		int result;

		if (sent >= 0)
			return 0;
		if (sent == -ETOOMANYREFS || sent == -ENOBUFS)
			result = poll(NULL, 0, 1) < 0 ? -errno : wait_for(exporter->fd, POLLOUT, &exporter->end);
		else
			result = sent == -EAGAIN ? wait_for(exporter->fd, POLLOUT, &exporter->end) : (int)sent;
		if (result < 0)
			return result;
	}
}

static int put_image(struct exporter *exporter, struct worker *worker)
{
	struct channel_image image;
	int result = channel_save(worker->channel, &image);

	if (result < 0) {
		log_error("%s: its channel cannot be handed over: %s; the new router begins it anew, as after a crash",
		    worker->name, strerror(-result));
		return 0;
	}
	for (size_t at = 0; result == 0 && at < image.length; at += exporter->message.length) {
		size_t part = image.length - at < BYTES_MAX ? image.length - at : BYTES_MAX;

		begin(exporter, TYPE_IMAGE);
		exporter->message.worker = worker->id;
		exporter->message.image_length = (uint32_t)image.length;
		exporter->message.image_fds = (uint32_t)image.fds_count;
		exporter->message.length = (uint32_t)part;
		memcpy(exporter->message.bytes, image.bytes + at, part);
		result = put(exporter, -1);
	}
	for (size_t i = 0; result == 0 && i < image.fds_count; i++) {
		begin(exporter, TYPE_IMAGE_FD);
		exporter->message.worker = worker->id;
		result = put(exporter, image.fds[i]);
	}
	channel_image_free(&image);
	return result;
}

static int put_worker(struct exporter *exporter, struct worker *worker)
{
	const struct server *server;
	int result;

	begin(exporter, TYPE_WORKER);
	exporter->message.worker = worker->id;
	exporter->message.ready = worker->ready;
	exporter->message.drained = worker->drained;
	exporter->message.lost = worker->lost;
	exporter->message.id = connections_last_id(worker->router);
	result = put(exporter, -1);
	TAILQ_FOREACH (server, &worker->servers, entry) {
		if (result < 0 || !server->listening)
			continue;
		begin(exporter, TYPE_SERVER);
		exporter->message.worker = worker->id;
		exporter->message.listener = server->listener ? server->listener->id : 0;
		exporter->message.port = server->port;
		exporter->message.length = (uint32_t)strlen(server->key) + 1;
		memcpy(exporter->message.bytes, server->key, exporter->message.length);
		result = put(exporter, -1);
	}
	if (result == 0 && !worker->lost && worker->channel)
		result = put_image(exporter, worker);
	return result;
}

static int put_connection(struct exporter *exporter, const struct connection *connection)
{
	struct message *message = &exporter->message;
	bool sent = connection->state == CONNECTION_HANDED_OFF;

	begin(exporter, sent ? TYPE_SENT : TYPE_OPEN);
	message->worker = sent ? connection->worker->id : 0;
	message->listener = connection->listener ? connection->listener->id : 0;
	message->id = connection->id;
	message->port = connection->port;
	message->key_type = connection->key_type;
	message->hash = connection->hash;
	message->proxy_length = connection->proxy_length;
	message->deadline = connection->deadline;
	message->routed = sent || connection->proxy_consumed || !connection->listener;
	message->peer = connection->peer;
	message->client = connection->client;
	strncpy(message->pool, connection->pool->config->name, sizeof(message->pool) - 1);
	return put(exporter, connection->fd);
}

static int put_connections(struct exporter *exporter, struct router *router, bool sent)
{
	int result = 0;

	for (uint32_t i = 0; result == 0 && i < router->chunks_count; i++) {
		for (uint32_t j = 0; result == 0 && j < CONNECTION_CHUNK; j++) {
			const struct connection *connection = &router->chunks[i][j];
			bool open = connection->state == CONNECTION_READING || connection->state == CONNECTION_WAITING;

			if (sent ? connection->state == CONNECTION_HANDED_OFF : open)
				result = put_connection(exporter, connection);
		}
	}
	return result;
}

int succession_export(struct router *router, int fd)
{
	struct exporter *exporter = malloc(sizeof(*exporter));
	struct worker *worker;
	int result = 0;

	if (!exporter) {
		close(fd);
		return -ENOMEM;
	}
	workers_forget_gone(router);
	/* What they take from now on they tell the successor. */
	workers_set_quiet(&router->answers, false);
	exporter->fd = fd;
	set_end(&exporter->end, EXPORT_SECONDS);
	TAILQ_FOREACH (worker, &router->workers, entry)
		if (result == 0)
			result = put_worker(exporter, worker);
	/* Those that were sent keep their ids: they go first, while every id is free. */
	if (result == 0)
		result = put_connections(exporter, router, true);
	if (result == 0)
		result = put_connections(exporter, router, false);
	if (result == 0) {
		begin(exporter, TYPE_END);
		result = put(exporter, -1);
	}
	close(fd);
	free(exporter);
	return result;
}

/* ---- receiving ---- */

struct importer {
	struct router *router;
	struct worker *worker; /* whose image is being received */
	struct channel_image image;
	size_t image_length, image_fds; /* when it is whole */
	struct message message;
};

/* The worker's channel begins: where the image ends, or, without a whole one, anew. */
static void finish_worker(struct importer *importer)
{
	struct worker *worker = importer->worker;
	struct channel_image *image = &importer->image;
	bool whole = image->length && image->length == importer->image_length && image->fds_count == importer->image_fds;

	if (worker)
		worker_open_channel(worker, whole ? image : NULL);
	if (!worker || !whole)
		for (size_t i = 0; i < image->fds_count; i++)
			close(image->fds[i]);
	free(image->bytes);
	free(image->fds);
	memset(image, 0, sizeof(*image));
	importer->worker = NULL;
}

static void take_worker(struct importer *importer)
{
	const struct message *message = &importer->message;

	finish_worker(importer);
	importer->worker = worker_find(importer->router, message->worker);
	if (!importer->worker)
		return;
	importer->worker->drained |= message->drained != 0;
	importer->worker->inherited = message->lost;
	connections_begin_behind(importer->router, message->id);
	if (message->ready)
		worker_restore_ready(importer->worker);
}

static int take_server(struct importer *importer)
{
	struct message *message = &importer->message;
	struct link_message server;

	if (!importer->worker || importer->worker->id != message->worker)
		return 0;
	if (message->length == 0 || message->length > CHANNEL_KEY_MAX + 1 || message->bytes[message->length - 1] != '\0')
		return -EPROTO;
	link_message_init(&server, LINK_SERVER);
	server.worker = message->worker;
	server.listener = message->listener;
	address_parse_ip(&server.address, "0.0.0.0", 7);
	address_set_port(&server.address, (uint16_t)message->port);
	memcpy(server.key, message->bytes, message->length);
	worker_restore_server(importer->worker, &server);
	return 0;
}

static int take_image(struct importer *importer)
{
	struct channel_image *image = &importer->image;
	const struct message *message = &importer->message;
	unsigned char *bytes;

	if (!importer->worker)
		return 0;
	if (message->length == 0 || image->length + message->length > CHANNEL_IMAGE_BYTES_MAX)
		return -EPROTO;
	importer->image_length = message->image_length;
	importer->image_fds = message->image_fds;
	bytes = realloc(image->bytes, image->length + message->length);
	if (!bytes)
		return -ENOMEM;
	memcpy(bytes + image->length, message->bytes, message->length);
	image->bytes = bytes;
	image->length += message->length;
	return 0;
}

static int take_image_fd(struct importer *importer, int fd)
{
	struct channel_image *image = &importer->image;
	int *fds;

	if (!importer->worker || fd < 0 || image->fds_count == CHANNEL_IMAGE_FDS_MAX) {
		if (fd >= 0)
			close(fd);
		return 0;
	}
	fds = realloc(image->fds, (image->fds_count + 1) * sizeof(*fds));
	if (!fds) {
		close(fd);
		return -ENOMEM;
	}
	fds[image->fds_count++] = fd;
	image->fds = fds;
	return 0;
}

/* fd is consumed. */
static int take_connection(struct importer *importer, int fd)
{
	struct router *router = importer->router;
	struct message *message = &importer->message;
	struct connection_past past = {.id = message->id,
	    .fd = fd,
	    .listener = listener_find(router, message->listener),
	    .worker = message->type == TYPE_SENT ? worker_find(router, message->worker) : NULL,
	    .peer = message->peer,
	    .client = message->client,
	    .port = (uint16_t)message->port,
	    .key_type = (enum sticky_type)message->key_type,
	    .hash = message->hash,
	    .proxy_length = message->proxy_length,
	    .deadline = message->deadline,
	    .routed = message->routed};

	message->pool[sizeof(message->pool) - 1] = '\0';
	past.pool = past.listener ? past.listener->pool : router_find_pool(router, message->pool);
	if (fd < 0 || !connection_past_is_sane(&past)) {
		if (fd >= 0)
			close(fd);
		return -EPROTO;
	}
	/* With a channel that began anew no answer to it can be understood: it is the worker's, as after a crash. */
	if (past.worker && !past.worker->inherited) {
		stats_add(router->stats, COUNTER_unanswered, 1);
		close(fd);
		return 0;
	}
	connection_restore(router, &past);
	return 0;
}

static int take_without_fd(struct importer *importer)
{
	switch (importer->message.type) {
	case TYPE_WORKER:
		take_worker(importer);
		return 0;
	case TYPE_SERVER:
		return take_server(importer);
	case TYPE_IMAGE:
		return take_image(importer);
	case TYPE_END:
		return 1;
	default:
		return -EPROTO;
	}
}

/* fd is consumed. 1: the end; 0: go on; or a negative errno. */
static int take(struct importer *importer, int fd)
{
	switch (importer->message.type) {
	case TYPE_IMAGE_FD:
		return take_image_fd(importer, fd);
	case TYPE_SENT:
	case TYPE_OPEN:
		finish_worker(importer);
		return take_connection(importer, fd);
	default:
		if (fd >= 0)
			close(fd);
		return take_without_fd(importer);
	}
}

static int take_next(struct importer *importer, int succession, const struct timespec *end)
{
	struct message *message = &importer->message;
	ssize_t received;
	int fd, truncated;

	received = fd_receive(succession, message, sizeof(*message), &fd, &truncated);
	if (received == -EAGAIN)
		return wait_for(succession, POLLIN, end);
	if (received <= 0)
		return received < 0 ? (int)received : -ECONNRESET;
	if (truncated || (size_t)received < offsetof(struct message, bytes) || message->version != SUCCESSION_VERSION ||
	    message->length != (size_t)received - offsetof(struct message, bytes)) {
		if (fd >= 0)
			close(fd);
		return -EPROTO;
	}
	return take(importer, fd);
}

int succession_import(struct router *router, int fd)
{
	struct importer *importer = calloc(1, sizeof(*importer));
	struct timespec end;
	int result = 0;

	if (!importer) {
		close(fd);
		return -ENOMEM;
	}
	importer->router = router;
	set_end(&end, IMPORT_SECONDS);
	while (result == 0)
		result = take_next(importer, fd, &end);
	finish_worker(importer);
	close(fd);
	free(importer);
	return result < 0 ? result : 0;
}
