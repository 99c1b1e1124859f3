#include "router/server.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "router/connection.h"
#include "router/listener.h"
#include "router/pool.h"

/* A data socket of protocol accept from a former router. */
struct kept {
	TAILQ_ENTRY(kept) entry;
	uint64_t number;
	int fd;
	char key[];
};

struct server *server_find(const struct worker *worker, const char *key)
{
	struct server *server;

	TAILQ_FOREACH(server, &worker->servers, entry)
	if (strcmp(server->key, key) == 0)
		return server;
	return NULL;
}

void server_remove(struct worker *worker, struct server *server)
{
	TAILQ_REMOVE(&worker->servers, server, entry);
	free(server);
}

struct server *server_add(struct worker *worker, const struct link_message *message)
{
	size_t length = strlen(message->key) + 1;
	struct server *server = server_find(worker, message->key);

	if (!server) {
		server = calloc(1, sizeof(*server) + length);
		if (!server)
			return NULL;
		memcpy(server->key, message->key, length);
		TAILQ_INSERT_TAIL(&worker->servers, server, entry);
	}
	server->listener = listener_find(worker->router, message->listener);
	server->port = address_port(&message->address);
	return server;
}

bool worker_names_servers(const struct worker *worker)
{
	return worker->protocol == PROTOCOL_NODE_CLUSTER || worker->protocol == PROTOCOL_ACCEPT;
}

const struct server *server_for(const struct worker *worker, const struct connection *connection)
{
	const struct server *server, *first = NULL;

	TAILQ_FOREACH(server, &worker->servers, entry)
	{
		if (!server->listening)
			continue;
		if (!worker->slot->pool->config->has_listeners) {
			if (server->listener && server->listener == connection->listener)
				return server;
			continue;
		}
		if (server->port == connection->port)
			return server;
		if (!first)
			first = server;
	}
	return first;
}

bool worker_serves(const struct worker *worker, const struct connection *connection)
{
	if (worker->drained || worker->lost)
		return false;
	return !worker_names_servers(worker) || server_for(worker, connection);
}

void workers_forget_listener(struct router *router, const struct listener *listener)
{
	struct server *server;
	struct worker *worker;

	TAILQ_FOREACH(worker, &router->workers, entry)
	TAILQ_FOREACH(server, &worker->servers, entry)
	if (server->listener == listener)
		server->listener = NULL;
}

/* ---- kept data sockets ---- */

void worker_use_kept(struct worker *worker)
{
	struct kept *kept;

	while ((kept = TAILQ_FIRST(&worker->kept))) {
		TAILQ_REMOVE(&worker->kept, kept, entry);
		if (!worker->channel)
			close(kept->fd);
		else if (channel_keep(worker->channel, kept->key, kept->number, kept->fd) < 0)
			log_error("%s: out of memory: one of its listening sockets gets no connections",
			    worker->name);
		free(kept);
	}
}

void worker_restore_kept(struct worker *worker, const struct link_message *message, int fd)
{
	size_t length = strlen(message->key) + 1;
	struct kept *kept;
	int copy = fd < 0 || worker->channel ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);

	if (copy < 0)
		return;
	kept = malloc(sizeof(*kept) + length);
	if (!kept) {
		close(copy);
		return;
	}
	kept->number = message->request;
	kept->fd = copy;
	memcpy(kept->key, message->key, length);
	TAILQ_INSERT_TAIL(&worker->kept, kept, entry);
}
