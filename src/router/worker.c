#include "router/worker_inside.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "router/connection.h"
#include "router/listener.h"
#include "router/parking.h"
#include "router/pool.h"
#include "router/server.h"

/* After a worker's death: so much of its last words is read, in blocks of 64 KiB. */
#define LAST_WORDS_MAX 64

/* A kernel limit of fds under way is no event that one could wait for. */
#define RETRY_SECONDS 0.01

/* Between two looks whether anybody has the socket of a worker that has ended. */
#define HEIRS_SECONDS 0.01

void worker_update_watch(struct worker *worker)
{
	uint32_t events = 0;

	if (!worker->lost && worker->channel) {
		events = channel_wants_write(worker->channel) ? EPOLLOUT : 0u;
		/* One that says more than the supervisor can take in waits, instead of filling the link for all. */
		if (link_is_congested(worker->router->link))
			worker->router->congested = true;
		else
			events |= EPOLLIN;
	}
	if (poller_set(&worker->router->answers.poller, &worker->watch, events) < 0)
		log_error("%s: epoll_ctl() failed: %s", worker->name, strerror(errno));
}

void worker_was_heard(struct worker *worker)
{
	if (worker->slot->worker == worker)
		slot_flush(worker->slot);
	worker_update_watch(worker);
}

static void read_channel(struct worker *worker)
{
	uint64_t skipped;

	channel_readable(worker->channel);
	skipped = channel_skipped(worker->channel);
	stats_add(worker->router->stats, COUNTER_worker_messages_skipped, skipped - worker->skipped);
	worker->skipped = skipped;
}

/* It has filled the link. The next time there is room, all the others are read before it. */
static void let_others_go_first(struct worker *worker)
{
	struct router *router = worker->router;

	TAILQ_REMOVE(&router->workers, worker, entry);
	TAILQ_INSERT_TAIL(&router->workers, worker, entry);
}

static void on_event(struct poller_watch *watch, uint32_t revents)
{
	struct worker *worker = (struct worker *)((char *)watch - offsetof(struct worker, watch));

	if (revents & EPOLLOUT)
		channel_writable(worker->channel);
	if (!worker->lost && (revents & ~(uint32_t)EPOLLOUT) && !link_is_congested(worker->router->link)) {
		read_channel(worker);
		if (link_is_congested(worker->router->link))
			let_others_go_first(worker);
	}
	worker_was_heard(worker);
}

void workers_resume(struct router *router)
{
	struct worker *worker;

	if (!router->congested || link_is_congested(router->link))
		return;
	router->congested = false;
	TAILQ_FOREACH (worker, &router->workers, entry)
		worker_update_watch(worker);
}

/* ---- hand-off ---- */

static const char *const source_names[] = {
    [STICKY_IP] = "ip",
    [STICKY_COOKIE] = "cookie",
    [STICKY_HEADER] = "header",
    [STICKY_QUERY] = "query",
    [STICKY_PATH] = "path",
};

bool worker_can_send(const struct worker *worker)
{
	return !worker->lost && !worker->drained && !worker->stuck && worker->channel && channel_can_send(worker->channel);
}

static void arm_stuck_timer(struct worker *worker, double delay)
{
	ev_timer_set(&worker->stuck_timer, delay, 0.);
	ev_timer_start(worker->router->loop, &worker->stuck_timer);
}

/* One of a worker's processes has taken connections and ended before it could say so: the others are not stuck. */
static bool settle(struct worker *worker)
{
	size_t count = worker->channel ? channel_settle(worker->channel) : 0;

	if (count)
		log_warning("%s has taken %zu connections and never said so: one of its processes has ended in between, and the "
			    "clients are lost",
		    worker->name, count);
	return count > 0;
}

/* If it was the router that did not run, nobody has listened yet. */
static void hear_out(struct worker *worker)
{
	struct pollfd readable = {.fd = worker->watch.fd, .events = POLLIN};

	if (!worker->channel || link_is_congested(worker->router->link))
		return;
	if (poll(&readable, 1, 0) > 0)
		read_channel(worker);
	if (!worker->lost)
		channel_look(worker->channel);
	worker_was_heard(worker);
}

static double idle_seconds(const struct worker *worker)
{
	return clock_now() - worker->last_progress;
}

static bool is_awaited(const struct worker *worker)
{
	return !worker->lost && (worker->sent_count > 0 || worker->slot->waiting_count > 0);
}

static void on_stuck_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct worker *worker = timer->data;
	double limit = (double)worker->slot->pool->config->stuck_timeout / 1000, idle;

	if (is_awaited(worker) && idle_seconds(worker) >= limit)
		hear_out(worker);
	if (!is_awaited(worker))
		return;
	idle = idle_seconds(worker);
	if (idle < limit) {
		arm_stuck_timer(worker, limit - idle);
		return;
	}
	if (settle(worker)) {
		arm_stuck_timer(worker, limit);
		slot_flush(worker->slot);
		return;
	}
	worker->stuck = true;
	stats_add(worker->router->stats, COUNTER_workers_stuck, 1);
	log_warning("%s acknowledged nothing for %.0f s (%u hand-offs): its clients go to the next choice until it answers; "
		    "look what blocks its event loop",
	    worker->name, idle, worker->sent_count);
	channel_probe(worker->channel);
	worker_update_watch(worker);
	worker_tell(worker, LINK_STUCK);
	slot_redispatch(worker->slot);
}

static void begins_to_owe(struct worker *worker)
{
	worker->last_progress = clock_now();
	TAILQ_INSERT_TAIL(&worker->router->owing, worker, owes);
}

static void note_sent(struct worker *worker, struct connection *connection)
{
	struct slot *slot = worker->slot;

	if (worker->sent_count == 0)
		begins_to_owe(worker);
	connection->send_failed = false;
	connection->queue_deadline = 0;
	connection_handed_off(connection, worker);
	TAILQ_INSERT_TAIL(&worker->sent, connection, entry);
	slot->stats->handed_off++;
	log_debug("%s is handed connection %u (key=%s)", worker->name, connection->id,
	    source_names[connection->key_type]);
	slot->stats->unacknowledged = ++worker->sent_count;
	stats_add(worker->router->stats, COUNTER_handed_off, 1);
	if (!ev_is_active(&worker->stuck_timer))
		arm_stuck_timer(worker, (double)slot->pool->config->stuck_timeout / 1000);
}

void worker_awaited(struct worker *worker)
{
	if (ev_is_active(&worker->stuck_timer))
		return;
	/* Nothing is under way, and still it cannot be sent to: only an answer to a question can tell when it can. */
	worker->last_progress = clock_now();
	channel_probe(worker->channel);
	worker_update_watch(worker);
	arm_stuck_timer(worker, (double)worker->slot->pool->config->stuck_timeout / 1000);
}

void worker_restore_sent(struct worker *worker, struct connection *connection)
{
	struct slot *slot = worker->slot;

	if (worker->sent_count == 0)
		begins_to_owe(worker);
	connection_handed_off(connection, worker);
	TAILQ_INSERT_TAIL(&worker->sent, connection, entry);
	slot->stats->unacknowledged = ++worker->sent_count;
	if (!ev_is_active(&worker->stuck_timer))
		arm_stuck_timer(worker, (double)slot->pool->config->stuck_timeout / 1000);
}

static void on_retry_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct worker *worker = timer->data;

	slot_flush(worker->slot);
}

static void on_heirs_timer(struct ev_loop *loop, ev_timer *timer, int revents);

static void retry_soon(struct worker *worker)
{
	if (ev_is_active(&worker->retry_timer))
		return;
	ev_timer_set(&worker->retry_timer, RETRY_SECONDS, 0.);
	ev_timer_start(worker->router->loop, &worker->retry_timer);
}

/* Behind a proxy that says who the client is? */
static bool client_is_peer(const struct connection *connection)
{
	const struct listener_config *config = connection->listener ? connection->listener->config : NULL;

	return config && config->proxy_protocol && config->client_address == CLIENT_ADDRESS_PEER;
}

int worker_send(struct worker *worker, struct connection *connection)
{
	struct channel_connection message = {.id = connection->id,
	    .fd = connection->fd,
	    .listener = connection->listener ? connection->listener->config->name : "",
	    .client = &connection->client,
	    .client_is_peer = client_is_peer(connection),
	    .key_source = source_names[connection->key_type]};
	int result;

	if (!worker_can_send(worker))
		return -EAGAIN;
	if (worker_names_servers(worker))
		message.server_key = server_for(worker, connection)->key;
	result = parking_release(connection);
	if (result < 0) {
		retry_soon(worker);
		return -EAGAIN;
	}
	if (connection_make_ready(connection) < 0) {
		connection_close(connection, CLOSE_CLIENT);
		return 0;
	}
	result = channel_send_connection(worker->channel, &message);
	if (result == 0) {
		note_sent(worker, connection);
		return 0;
	}
	if (result == -ETOOMANYREFS || result == -ENOBUFS || result == -ENOMEM) {
		retry_soon(worker);
		return -EAGAIN;
	}
	/* Should the worker have gone, the end of what it still said tells so: acknowledgements are among it. */
	worker_update_watch(worker);
	return result;
}

void worker_forget(struct worker *worker, struct connection *connection)
{
	TAILQ_REMOVE(&worker->sent, connection, entry);
	worker->slot->stats->unacknowledged = --worker->sent_count;
	if (worker->sent_count == 0)
		TAILQ_REMOVE(&worker->router->owing, worker, owes);
}

/* ---- life ---- */

struct worker *worker_new(struct router *router, struct slot *slot, const struct link_message *up, int fd)
{
	struct worker *worker = calloc(1, sizeof(*worker));

	if (!worker) {
		close(fd);
		return NULL;
	}
	worker->router = router;
	worker->slot = slot;
	worker->id = up->worker;
	worker->generation = up->generation;
	worker->protocol = (enum protocol)up->protocol;
	worker->flavour = (enum flavour)up->flavour;
	worker->accepts = up->accepts;
	worker->fd = fd;
	memcpy(worker->name, up->key, strnlen(up->key, sizeof(worker->name) - 1));
	TAILQ_INIT(&worker->servers);
	TAILQ_INIT(&worker->kept);
	TAILQ_INIT(&worker->sent);
	ev_timer_init(&worker->stuck_timer, on_stuck_timer, 0., 0.);
	worker->stuck_timer.data = worker;
	ev_timer_init(&worker->retry_timer, on_retry_timer, 0., 0.);
	worker->retry_timer.data = worker;
	ev_timer_init(&worker->heirs_timer, on_heirs_timer, 0., HEIRS_SECONDS);
	worker->heirs_timer.data = worker;
	worker->watch.callback = on_event;
	TAILQ_INSERT_TAIL(&router->workers, worker, entry);
	return worker;
}

static void close_fds(const struct channel_image *image)
{
	for (size_t i = 0; image && i < image->fds_count; i++)
		close(image->fds[i]);
}

/* A worker of node:cluster that was told to finish has closed them; told twice, it fails at its end, because it is disconnected
 * already. */
static bool has_closed_its_servers(const struct worker *worker)
{
	return worker->protocol == PROTOCOL_NODE_CLUSTER && TAILQ_EMPTY(&worker->servers);
}

void worker_open_channel(struct worker *worker, const struct channel_image *image)
{
	unsigned window = worker->slot->pool->config->window;
	int fd = worker->fd, copy, error;

	if (worker->channel || worker->lost) {
		close_fds(image);
		return;
	}
	worker->fd = -1;
	copy = image ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
	if (copy < 0)
		close_fds(image);
	if (copy >= 0) {
		worker->channel =
		    channel_restore(worker->protocol, worker->flavour, copy, window, &worker_events, worker, image, &error);
		worker->inherited = worker->channel != NULL;
		if (worker->channel)
			close(fd);
		else
			log_error("%s: its channel cannot go on where the former router left it: %s; it begins anew, as after "
				  "a crash",
			    worker->name, strerror(-error));
	}
	if (!worker->channel)
		worker->channel = channel_new(worker->protocol, worker->flavour, fd, window, &worker_events, worker);
	if (!worker->channel) {
		worker_lose(worker, -ENOMEM, "out of memory");
		return;
	}
	if (worker->accepts)
		channel_offer_accept(worker->channel);
	worker_use_kept(worker);
	worker->watch.fd = channel_fd(worker->channel);
	/* A router that has crashed since may not have come to it. */
	if (worker->left)
		channel_leave(worker->channel, NULL);
	else if (worker->drained && !has_closed_its_servers(worker))
		channel_drain(worker->channel);
	worker_update_watch(worker);
}

void worker_abandon(struct worker *worker)
{
	worker->lost = true;
	worker_update_watch(worker);
}

void worker_free(struct worker *worker)
{
	struct router *router = worker->router;

	ev_timer_stop(router->loop, &worker->stuck_timer);
	ev_timer_stop(router->loop, &worker->retry_timer);
	ev_timer_stop(router->loop, &worker->heirs_timer);
	poller_set(&router->answers.poller, &worker->watch, 0);
	worker_use_kept(worker);
	channel_free(worker->channel);
	if (worker->fd >= 0)
		close(worker->fd);
	while (!TAILQ_EMPTY(&worker->servers))
		server_remove(worker, TAILQ_FIRST(&worker->servers));
	TAILQ_REMOVE(&router->workers, worker, entry);
	if (worker->sent_count > 0)
		TAILQ_REMOVE(&router->owing, worker, owes);
	free(worker);
}

/* ---- the end of the process ---- */

static void read_last_words(struct worker *worker)
{
	struct pollfd poll_in = {.fd = worker->watch.fd, .events = POLLIN};

	for (int i = 0; i < LAST_WORDS_MAX && worker->channel && !worker->lost && poll(&poll_in, 1, 0) > 0; i++)
		read_channel(worker);
	if (worker->channel && !worker->lost)
		channel_look(worker->channel);
}

static void forget_gone(struct worker *worker)
{
	worker->lost = true;
	while (!TAILQ_EMPTY(&worker->sent)) {
		struct connection *first = TAILQ_FIRST(&worker->sent);

		stats_add(worker->router->stats, COUNTER_redispatched, 1);
		connection_taken_back(first);
		pool_dispatch(first->pool, first);
	}
	worker_free(worker);
}

static bool has_heirs(const struct worker *worker)
{
	return !worker->lost && worker->channel && channel_has_heirs(worker->channel);
}

static void on_heirs_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct worker *worker = timer->data;

	read_last_words(worker);
	if (has_heirs(worker) && clock_now() < worker->heirs_until)
		return;
	if (has_heirs(worker)) {
		log_warning("%s has ended, and another process that has its socket neither takes nor closes what was sent to it: "
			    "%u connections are left to it",
		    worker->name, worker->sent_count);
		worker_leave_all_to(worker);
	}
	forget_gone(worker);
}

void worker_gone(struct worker *worker, enum link_gone how)
{
	worker->gone = worker->drained = true;
	ev_timer_stop(worker->router->loop, &worker->stuck_timer);
	read_last_words(worker);
	if (how == LINK_GONE_MAY_HAVE_READ)
		worker_leave_all_to(worker);
	slot_down(worker->slot, worker);
	if (how != LINK_GONE_ALONE_OR_NOT || !has_heirs(worker)) {
		forget_gone(worker);
		return;
	}
	worker->heirs_until = clock_now() + (double)worker->slot->pool->config->kill_timeout / 1000;
	ev_timer_again(worker->router->loop, &worker->heirs_timer);
}

void workers_forget_gone(struct router *router)
{
	struct worker *worker, *next;

	for (worker = TAILQ_FIRST(&router->workers); worker; worker = next) {
		next = TAILQ_NEXT(worker, entry);
		if (!worker->gone)
			continue;
		worker_leave_all_to(worker);
		forget_gone(worker);
	}
}

struct worker *worker_find(struct router *router, uint32_t id)
{
	struct worker *worker;

	TAILQ_FOREACH (worker, &router->workers, entry)
		if (worker->id == id)
			return worker;
	return NULL;
}

void worker_drain(struct worker *worker, const char *why)
{
	bool before = worker->drained;

	worker->drained = true;
	worker->left |= why != NULL;
	if (!before && !worker->lost && worker->channel) {
		if (why)
			channel_leave(worker->channel, *why ? why : NULL);
		else
			channel_drain(worker->channel);
		worker_update_watch(worker);
	}
	slot_down(worker->slot, worker);
	if (!before || worker->left)
		worker_check_drained(worker);
}

void worker_listen_answered(struct worker *worker, const struct link_message *answer, int fd)
{
	int error = answer->error;

	if (worker->lost || !worker->channel)
		return;
	if (!error && answer->socket_type == SOCK_STREAM && !server_add(worker, answer))
		error = ENOMEM;
	channel_answer_listen(worker->channel, answer->request, error, &answer->address, fd,
	    answer->has_data ? answer->data : NULL);
	worker_update_watch(worker);
}

void worker_restore_server(struct worker *worker, const struct link_message *message)
{
	struct server *server = server_add(worker, message);

	if (server)
		server->listening = true;
}

void worker_restore_ready(struct worker *worker)
{
	worker->ready = true;
	worker->changed_since = clock_now();
	if (!worker->drained)
		slot_up(worker->slot, worker);
}
