/* What a worker says over its channel, and what follows from it. */
#include "router/worker_inside.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "router/connection.h"
#include "router/listener.h"
#include "router/pool.h"
#include "router/server.h"

/* fd: borrowed; -1: none. */
static void tell_supervisor_with(struct worker *worker, const struct link_message *message, int fd)
{
	if (!worker->gone)
		router_tell_with(worker->router, message, fd);
}

static void tell_supervisor(struct worker *worker, const struct link_message *message)
{
	tell_supervisor_with(worker, message, -1);
}

void worker_tell(struct worker *worker, enum link_type type)
{
	struct link_message message;

	link_message_init(&message, type);
	message.worker = worker->id;
	tell_supervisor(worker, &message);
}

static void on_listen(void *owner, const struct channel_listen *listen)
{
	struct worker *worker = owner;
	struct link_message message;

	link_message_init(&message, LINK_LISTEN);
	message.worker = worker->id;
	message.request = listen->request;
	message.socket_type = listen->socket_type;
	message.address = listen->address;
	message.any_address = listen->any_address;
	message.ipv6_only = listen->ipv6_only;
	message.index = listen->index;
	message.bind_only = listen->bind_only;
	message.backlog = listen->backlog;
	memcpy(message.key, listen->key, strlen(listen->key));
	if (listen->data) {
		message.has_data = true;
		memcpy(message.data, listen->data, strlen(listen->data));
	}
	tell_supervisor_with(worker, &message, listen->fd);
}

static void on_kept(void *owner, const char *key, uint64_t number, int fd)
{
	struct worker *worker = owner;
	struct link_message message;

	link_message_init(&message, LINK_KEEP);
	message.worker = worker->id;
	message.request = number;
	memcpy(message.key, key, strlen(key));
	tell_supervisor_with(worker, &message, fd);
}

static void on_dropped(void *owner, uint64_t number)
{
	struct worker *worker = owner;
	struct link_message message;

	link_message_init(&message, LINK_DROP);
	message.worker = worker->id;
	message.request = number;
	tell_supervisor(worker, &message);
}

static void on_listening(void *owner, const char *key)
{
	struct worker *worker = owner;
	struct server *server = server_find(worker, key);
	struct link_message message;

	if (!server)
		return;
	log_debug("%s: server %s listens", worker->name, key);
	server->listening = true;
	link_message_init(&message, LINK_LISTENING);
	message.worker = worker->id;
	memcpy(message.key, key, strlen(key));
	tell_supervisor(worker, &message);
	if (worker->ready)
		slot_flush(worker->slot);
}

static void on_option(void *owner, const char *key, int level, int name, const void *value, size_t length)
{
	struct worker *worker = owner;
	struct link_message message;

	link_message_init(&message, LINK_OPTION);
	message.worker = worker->id;
	message.option_level = level;
	message.option_name = name;
	message.option_length = (uint32_t)length;
	memcpy(message.option_value, value, length);
	memcpy(message.key, key, strlen(key));
	tell_supervisor(worker, &message);
}

static void on_closed_server(void *owner, const char *key)
{
	struct worker *worker = owner;
	struct server *server = server_find(worker, key);
	struct link_message message;

	log_debug("%s: server %s is closed", worker->name, key);
	if (server)
		server_remove(worker, server);
	/* Applications close a server to open it again. */
	worker->changed_since = clock_now();
	link_message_init(&message, LINK_UNLISTEN);
	message.worker = worker->id;
	memcpy(message.key, key, strlen(key));
	tell_supervisor(worker, &message);
}

static void on_ready(void *owner)
{
	struct worker *worker = owner;

	if (worker->ready || worker->drained)
		return;
	worker->ready = true;
	worker->changed_since = clock_now();
	worker_tell(worker, LINK_READY);
	slot_up(worker->slot, worker);
}

static void made_progress(struct worker *worker)
{
	worker->last_progress = clock_now();
	if (!worker->stuck)
		return;
	worker->stuck = false;
	log_info("%s answers again", worker->name);
}

void worker_check_drained(struct worker *worker)
{
	bool asked = worker->protocol == PROTOCOL_ACCEPT || worker->left;

	if (asked && worker->drained && !worker->lost && worker->sent_count == 0)
		worker_tell(worker, LINK_DRAINED);
}

static struct connection *find_sent(struct worker *worker, uint32_t id)
{
	struct connection *connection = connection_find(worker->router, id);

	return connection && connection->worker == worker ? connection : NULL;
}

static void on_acknowledged(void *owner, uint32_t id)
{
	struct worker *worker = owner;
	struct connection *connection = find_sent(worker, id);

	made_progress(worker);
	if (!connection)
		return;
	worker->router->answers.acknowledged++;
	worker->slot->stats->acknowledged++;
	connection_close(connection, CLOSE_ACKNOWLEDGED);
	worker_check_drained(worker);
}

static void on_refused(void *owner, uint32_t id)
{
	struct worker *worker = owner;
	struct connection *connection = find_sent(worker, id);
	struct router *router = worker->router;

	made_progress(worker);
	if (!connection)
		return;
	log_debug("%s refuses connection %u", worker->name, id);
	stats_add(router->stats, COUNTER_refused, 1);
	stats_add(router->stats, COUNTER_redispatched, 1);
	connection_taken_back(connection);
	/* Its successor in the slot has not refused it. */
	if (connection->pool == worker->slot->pool && (!worker->slot->worker || worker->slot->worker == worker))
		connection->tried[connection->tried_count++] = (uint16_t)(worker->slot - worker->slot->pool->slots);
	pool_dispatch(connection->pool, connection);
	worker_check_drained(worker);
}

static void on_connections_closed(void *owner, unsigned count)
{
	/* Nothing depends on it yet. */
}

static void on_leaving(void *owner)
{
	struct worker *worker = owner;

	if (worker->drained)
		return;
	worker->drained = true;
	worker_tell(worker, LINK_LEAVING);
	slot_down(worker->slot, worker);
}

static void on_alive(void *owner)
{
	made_progress(owner);
}

_Static_assert(CHANNEL_STATS_MAX == STATS_VALUES_MAX && CHANNEL_STAT_NAME_MAX == STATS_VALUE_NAME_MAX,
    "what a worker may tell has room");

static void on_stats(void *owner, const struct channel_stat *stats, size_t count)
{
	struct worker *worker = owner;
	struct slot_values *values = stats_values(worker->router->stats, worker->slot->stats);

	if (!values || worker->slot->worker != worker)
		return;
	values->count = 0;
	for (size_t i = 0; i < count; i++) {
		memcpy(values->values[i].name, stats[i].name, sizeof(stats[i].name));
		values->values[i].value = stats[i].value;
	}
	values->count = (uint32_t)count;
}

void worker_leave_all_to(struct worker *worker)
{
	while (!TAILQ_EMPTY(&worker->sent))
		connection_close(TAILQ_FIRST(&worker->sent), CLOSE_UNANSWERED);
}

void worker_lose(struct worker *worker, int error, const char *reason)
{
	struct link_message message;

	if (worker->lost)
		return;
	worker->lost = true;
	/* That of a worker that finishes ends as it should. */
	if (error || !worker->drained)
		stats_add(worker->router->stats, COUNTER_worker_channels_failed, 1);
	worker_update_watch(worker);
	link_message_init(&message, LINK_CHANNEL_LOST);
	message.worker = worker->id;
	message.error = error;
	strncpy(message.key, reason, CHANNEL_KEY_MAX);
	tell_supervisor(worker, &message);
	if (error)
		worker_leave_all_to(worker);
	slot_down(worker->slot, worker);
}

/* Its end should follow at once. What it has not taken yet is answered for by then, or was never read. */
static void on_unreachable(void *owner)
{
	struct worker *worker = owner;
	struct link_message message;

	link_message_init(&message, LINK_CHANNEL_LOST);
	message.worker = worker->id;
	strcpy(message.key, "end of file");
	tell_supervisor(worker, &message);
	slot_down(worker->slot, worker);
}

static void on_failed(void *owner, int error, const char *reason)
{
	worker_lose(owner, error, reason);
}

const struct channel_events worker_events = {
    .listen = on_listen,
    .listening = on_listening,
    .option = on_option,
    .closed_server = on_closed_server,
    .kept = on_kept,
    .dropped = on_dropped,
    .ready = on_ready,
    .acknowledged = on_acknowledged,
    .refused = on_refused,
    .connections_closed = on_connections_closed,
    .leaving = on_leaving,
    .alive = on_alive,
    .unreachable = on_unreachable,
    .stats = on_stats,
    .failed = on_failed,
};
