#include "router/connection_inside.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "router/clients.h"
#include "router/listener.h"
#include "router/parking.h"
#include "router/pool.h"
#include "router/queue.h"
#include "router/worker.h"

/* ---- counting, and leaving the list that the state says ---- */

void connection_stop_waiting(struct connection *connection)
{
	struct router *router = connection->router;

	if (!connection->waits)
		return;
	connection->waits = false;
	router->connections--;
	if (connection->listener)
		connection->listener->waiting--;
	clients_leave(&router->clients, connection->count);
	connection->count = NULL;
}

void connection_unlist(struct connection *connection)
{
	switch (connection->state) {
	case CONNECTION_READING:
		TAILQ_REMOVE(&connection->listener->reading, connection, entry);
		break;
	case CONNECTION_WAITING:
		parking_waits_no_more(connection);
		queue_leave(connection);
		TAILQ_REMOVE(&connection->slot->waiting, connection, entry);
		connection->slot->waiting_count--;
		connection->slot->stats->waiting = connection->slot->waiting_count;
		connection->slot = NULL;
		break;
	case CONNECTION_HANDED_OFF:
		worker_forget(connection->worker, connection);
		connection->worker = NULL;
		connection->router->handed_off--;
		break;
	case CONNECTION_ANSWERING:
	case CONNECTION_LINGERING:
		TAILQ_REMOVE(&connection->router->lingering, connection, entry);
		connection->router->lingering_count--;
		break;
	case CONNECTION_RESTORED:
		TAILQ_REMOVE(&connection->router->restored, connection, entry);
		break;
	case CONNECTION_UNUSED:
		break;
	}
	connection->state = CONNECTION_UNUSED;
}

void connection_destroy(struct connection *connection)
{
	struct router *router = connection->router;

	poller_set(&router->poller, &connection->watch, 0);
	connection_unlist(connection);
	connection_stop_waiting(connection);
	parking_forget(connection);
	close(connection->fd);
	connection->fd = -1;
	/* First in, first out: the longer a place rests, the longer an old id finds nothing. */
	TAILQ_INSERT_TAIL(&router->unused, connection, entry);
	router_check_idle(router);
	router_check_end(router);
}

void connection_set_low_water(struct connection *connection, size_t bytes)
{
	int value = (int)bytes;

	connection->low_water_raised = bytes > 1;
	setsockopt(connection->fd, SOL_SOCKET, SO_RCVLOWAT, &value, sizeof(value));
}

static bool is_about_the_head(enum close_reason reason)
{
	return reason == CLOSE_HEAD_INVALID || reason == CLOSE_HEAD_TIMEOUT || reason == CLOSE_HEAD_TOO_LARGE;
}

void connection_close(struct connection *connection, enum close_reason reason)
{
	struct router *router = connection->router;

	stats_add(router->stats, close_reasons[reason].counter, 1);
	if (log_enabled(LOG_LEVEL_DEBUG)) {
		char client[ADDRESS_TEXT_MAX];

		log_debug("connection %u closed: %s (client=%s)", connection->id, close_reasons[reason].name,
		    address_format(&connection->client, client, sizeof(client)));
	}
	if (!close_reasons[reason].status) {
		connection_destroy(connection);
		return;
	}
	/* One that was answered must not be served by the next router. */
	parking_forget(connection);
	connection->answer = reason;
	if (is_about_the_head(reason))
		connection_answer(connection);
	else
		connection_answer_if_http(connection);
}

static void on_event(struct poller_watch *watch, uint32_t events)
{
	struct connection *connection =
	    (struct connection *)((char *)watch - offsetof(struct connection, watch));

	switch (connection->state) {
	case CONNECTION_READING:
		connection_read_on(connection, true);
		break;
	case CONNECTION_ANSWERING:
		connection_answer_if_http(connection);
		break;
	case CONNECTION_LINGERING:
		if (connection_discard(connection) || (events & (EPOLLHUP | EPOLLERR)))
			connection_destroy(connection);
		break;
	default:
		poller_set(&connection->router->poller, watch, 0);
	}
}

/* ---- a connection's beginning, and its changes of state ---- */

bool connection_count_client(struct connection *connection, const struct address *peer, enum close_reason *reason)
{
	unsigned from_client = clients_enter(&connection->router->clients, peer, &connection->count);

	*reason = from_client ? CLOSE_CLIENT_LIMIT : CLOSE_OUT_OF_MEMORY;
	return from_client != 0 && from_client <= connection->listener->config->max_waiting_per_client;
}

/* May the connection come in? Says why not. */
static bool within_limits(struct connection *connection, enum close_reason *reason)
{
	struct listener *listener = connection->listener;
	const struct listener_config *config = listener->config;
	bool proxy = connection_peer_is_trusted(config, &connection->peer);

	*reason = CLOSE_PROXY_UNTRUSTED;
	if (config->proxy_protocol && !proxy)
		return false;
	/* A proxy's address, or that of a Unix peer, stands for many clients: they count once it is known who they are. */
	if (!proxy && address_family(&connection->peer) != AF_UNIX &&
	    !connection_count_client(connection, &connection->peer, reason))
		return false;
	if (listener->waiting > config->max_waiting) {
		struct connection *oldest = TAILQ_FIRST(&listener->reading);

		*reason = CLOSE_WAITING_LIMIT;
		if (!oldest)
			return false;
		connection_close(oldest, CLOSE_EVICTED);
	}
	return true;
}

void connection_new(struct listener *listener, int fd, const struct address *peer)
{
	struct router *router = listener->router;
	struct connection *connection = connection_allocate(router);
	enum close_reason reason;

	stats_add(router->stats, COUNTER_accepted, 1);
	if (!connection) {
		stats_add(router->stats, COUNTER_out_of_memory, 1);
		close(fd);
		return;
	}
	connection->fd = fd;
	connection->watch.fd = fd;
	connection->watch.callback = on_event;
	connection->listener = listener;
	connection->pool = listener->pool;
	connection->port = address_port(&listener->address);
	connection->peer = *peer;
	connection->client = *peer;
	connection->waits = true;
	router->connections++;
	listener->waiting++;
	if (!within_limits(connection, &reason)) {
		connection_close(connection, reason);
		return;
	}
	connection_start_reading(connection, clock_now() + (double)listener->config->head_timeout / 1000);
}

/* Takes up the connection's place in the count of those that wait, without asking for limits: it was let in before. */
static void wait_again(struct connection *connection)
{
	connection->waits = true;
	connection->router->connections++;
	if (connection->listener)
		connection->listener->waiting++;
}

bool connection_past_is_sane(const struct connection_past *past)
{
	return past->peer.length <= sizeof(struct sockaddr_un) && past->client.length <= sizeof(struct sockaddr_un) &&
	       past->proxy_length <= PEEK_MAX && past->key_type <= STICKY_PATH;
}

struct connection *connection_restore(struct router *router, const struct connection_past *past)
{
	struct connection *connection = past->worker ? connection_allocate_as(router, past->id) : connection_allocate(router);

	if (!connection || !past->pool) {
		stats_add(router->stats, connection ? COUNTER_shut_down : COUNTER_out_of_memory, 1);
		if (connection)
			TAILQ_INSERT_TAIL(&router->unused, connection, entry);
		close(past->fd);
		return NULL;
	}
	connection->fd = past->fd;
	connection->watch.fd = past->fd;
	connection->watch.callback = on_event;
	connection->listener = past->listener;
	connection->pool = past->pool;
	connection->peer = past->peer;
	connection->client = past->client;
	connection->port = past->port;
	connection->key_type = past->key_type;
	connection->hash = past->hash;
	connection->proxy_length = past->proxy_length;
	connection->proxy_consumed = past->routed && !past->proxy_length;
	connection->routed = past->routed;
	connection->deadline = past->deadline;
	connection->low_water_raised = true; /* perhaps: it costs little to put it back */
	if (past->worker) {
		worker_restore_sent(past->worker, connection);
		return connection;
	}
	wait_again(connection);
	connection->state = CONNECTION_RESTORED;
	TAILQ_INSERT_TAIL(&router->restored, connection, entry);
	return connection;
}

void connections_forget_open(struct router *router)
{
	for (uint32_t i = 0; i < router->chunks_count; i++) {
		for (uint32_t j = 0; j < CONNECTION_CHUNK; j++) {
			struct connection *connection = &router->chunks[i][j];

			if (connection->fd >= 0 && connection->state != CONNECTION_LINGERING &&
			    connection->state != CONNECTION_ANSWERING)
				connection_destroy(connection);
		}
	}
}

void connections_resume(struct router *router)
{
	double now = clock_now();
	struct connection *connection;

	while ((connection = TAILQ_FIRST(&router->restored))) {
		connection_unlist(connection);
		if (connection->routed)
			pool_dispatch(connection->pool, connection);
		else if (connection->listener)
			connection_start_reading(connection, connection->deadline > now ? connection->deadline : now);
		else
			connection_close(connection, CLOSE_SHUT_DOWN);
	}
}

int connection_make_ready(struct connection *connection)
{
	struct router *router = connection->router;

	while (connection->proxy_length > 0) {
		ssize_t received = recv(connection->fd, router->buffer, connection->proxy_length, MSG_DONTWAIT);

		if (received <= 0)
			return -ECONNRESET;
		connection->proxy_length -= (size_t)received;
		connection->proxy_consumed = true;
	}
	if (connection->low_water_raised)
		connection_set_low_water(connection, 1);
	return 0;
}

void connection_waits(struct connection *connection, struct slot *slot)
{
	connection->state = CONNECTION_WAITING;
	connection->slot = slot;
	TAILQ_INSERT_TAIL(&slot->waiting, connection, entry);
	slot->stats->waiting = ++slot->waiting_count;
	parking_waits(connection);
}

void connection_waits_first(struct connection *connection, struct slot *slot)
{
	connection->state = CONNECTION_WAITING;
	connection->slot = slot;
	TAILQ_INSERT_HEAD(&slot->waiting, connection, entry);
	slot->stats->waiting = ++slot->waiting_count;
	parking_waits(connection);
}

void connection_leaves_queue(struct connection *connection)
{
	connection_unlist(connection);
}

void connection_handed_off(struct connection *connection, struct worker *worker)
{
	connection_stop_waiting(connection);
	connection->state = CONNECTION_HANDED_OFF;
	connection->worker = worker;
	connection->router->handed_off++;
}

void connection_taken_back(struct connection *connection)
{
	connection_unlist(connection);
	wait_again(connection);
}
