#include "router/router.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "router/clients.h"
#include "router/connection.h"
#include "router/listener.h"
#include "router/parking.h"
#include "router/pool.h"
#include "router/succession.h"
#include "router/worker.h"

static void update_link(struct router *router)
{
	int events = EV_READ | (link_wants_write(router->link) ? EV_WRITE : 0);

	if (events == (router->link_io.events & (EV_READ | EV_WRITE)))
		return;
	ev_io_stop(router->loop, &router->link_io);
	ev_io_set(&router->link_io, link_fd(router->link), events);
	ev_io_start(router->loop, &router->link_io);
}

void router_tell_with(struct router *router, const struct link_message *message, int fd)
{
	if (link_send(router->link, message, fd) < 0)
		ev_break(router->loop, EVBREAK_ALL);
	else
		update_link(router);
}

void router_tell(struct router *router, const struct link_message *message)
{
	router_tell_with(router, message, -1);
}

void router_check_idle(struct router *router)
{
	struct link_message message;

	if (!router->stopping || router->told_idle || router->connections || router->handed_off)
		return;
	router->told_idle = true;
	link_message_init(&message, LINK_IDLE);
	router_tell(router, &message);
}

/* ---- what the supervisor tells ---- */

static struct slot *find_slot(struct router *router, const struct link_message *message)
{
	if (message->pool == LINK_POOL_RETIRED)
		return &router->retired.slots[0];
	return &router->pools[message->pool].slots[message->slot];
}

static void on_worker_up(struct router *router, const struct link_message *message, int fd)
{
	struct worker *worker = worker_new(router, find_slot(router, message), message, fd);

	if (!worker) {
		log_error("%s: out of memory", message->key);
		return;
	}
	if (message->drained)
		worker->drained = true;
	if (!router->starting)
		worker_open_channel(worker, NULL);
}

static void on_listener_up(struct router *router, const struct link_message *message, int fd)
{
	struct router_pool *pool = &router->pools[message->pool];
	bool for_workers = message->index == LINK_INDEX_WORKERS;
	const struct listener_config *config =
	    for_workers ? pool->config->worker_listener : &router->config->listeners[message->index];
	struct listener *listener =
	    listener_new(router, pool, config, message->listener, &message->address, for_workers, fd);

	if (listener)
		listener_start(listener);
	else
		log_error("listener %s: out of memory", config->name);
}

static void on_listener_gone(struct router *router, const struct link_message *message)
{
	struct listener *listener = listener_find(router, message->listener);

	if (!listener)
		return;
	workers_forget_listener(router, listener);
	listener_free(listener);
}

static void on_stop(struct router *router)
{
	struct listener *listener;

	TAILQ_FOREACH (listener, &router->listeners, entry)
		listener_finish(listener);
	router->stopping = true;
	router_check_idle(router);
}

/* All that the supervisor knows has been told: now what the predecessor knows, then begin. */
static void on_replayed(struct router *router)
{
	struct listener *listener;
	struct worker *worker;
	int result = 0;

	if (!router->starting)
		return;
	if (router->succession >= 0)
		result = succession_import(router, router->succession);
	if (result < 0)
		log_warning("the former router did not hand everything over: %s", strerror(-result));
	router->succession = -1;
	router->starting = false;
	ev_now_update(router->loop);
	TAILQ_FOREACH (worker, &router->workers, entry) {
		worker_open_channel(worker, NULL);
		worker_check_drained(worker);
	}
	connections_resume(router);
	TAILQ_FOREACH (listener, &router->listeners, entry)
		listener_start(listener);
}

static void on_succeed(struct router *router, int fd)
{
	struct listener *listener;
	struct link_message message;
	struct worker *worker;
	int result;

	/* The listening sockets are the successor's as well: what is in their backlogs it will accept. */
	TAILQ_FOREACH (listener, &router->listeners, entry)
		listener_abandon(listener);
	result = succession_export(router, fd);
	/* Events and timers of this very turn of the loop may still be due: what they would read is the successor's. */
	TAILQ_FOREACH (worker, &router->workers, entry)
		worker_abandon(worker);
	for (size_t i = 0; i < router->config->pools_count; i++)
		pool_forget_stats(&router->pools[i]);
	if (result < 0)
		log_error("cannot hand everything over to the new router: %s", strerror(-result));
	router->succeeded = true;
	link_message_init(&message, LINK_HANDED_OVER);
	router_tell(router, &message);
	connections_forget_open(router);
	router_check_end(router);
}

void router_check_end(struct router *router)
{
	if (router->succeeded && router->lingering_count == 0)
		ev_break(router->loop, EVBREAK_ALL);
}

struct router_pool *router_find_pool(struct router *router, const char *name)
{
	for (size_t i = 0; i < router->config->pools_count; i++)
		if (strcmp(router->config->pools[i].name, name) == 0)
			return &router->pools[i];
	return NULL;
}

static void on_worker_message(struct router *router, const struct link_message *message, int fd)
{
	struct worker *worker = worker_find(router, message->worker);

	if (!worker)
		return;
	switch (message->type) {
	case LINK_KEPT:
		worker_restore_kept(worker, message, fd);
		break;
	case LINK_WORKER_GONE:
		worker_gone(worker, (enum link_gone)message->error);
		break;
	case LINK_WORKER_DRAIN:
		worker_drain(worker, message->has_data ? message->data : NULL);
		break;
	case LINK_LISTEN_ANSWER:
		worker_listen_answered(worker, message, fd);
		break;
	case LINK_SERVER:
		worker_restore_server(worker, message);
		break;
	case LINK_READY_BEFORE:
		worker_restore_ready(worker);
		break;
	}
}

static void handle(struct router *router, const struct link_message *message, int fd)
{
	switch (message->type) {
	case LINK_WORKER_UP:
		on_worker_up(router, message, fd);
		return; /* the fd is the worker's */
	case LINK_LISTENER_UP:
		on_listener_up(router, message, fd);
		return; /* the fd is the listener's */
	case LINK_LISTENER_GONE:
		on_listener_gone(router, message);
		break;
	case LINK_STOP:
		on_stop(router);
		break;
	case LINK_REPLAYED:
		on_replayed(router);
		break;
	case LINK_SUCCEED:
		on_succeed(router, fd);
		return; /* the fd is consumed */
	case LINK_PARKED:
		parking_restore(router, message, fd);
		return; /* the fd is consumed */
	case LINK_LOG:
		log_adopt(fd);
		return;
	default:
		on_worker_message(router, message, fd);
	}
	if (fd >= 0)
		close(fd);
}

static void on_link(struct ev_loop *loop, ev_io *io, int revents)
{
	struct router *router = io->data;
	struct link_message message;
	int fd, result = 0;

	if (link_flush(router->link) < 0) {
		ev_break(loop, EVBREAK_ALL);
		return;
	}
	workers_resume(router);
	while (!router->succeeded && (result = link_receive(router->link, &message, &fd)) > 0)
		handle(router, &message, fd);
	if (router->succeeded) {
		ev_io_stop(loop, io); /* what follows is the successor's; only lingering is left to do */
		return;
	}
	if (result < 0)
		ev_break(loop, EVBREAK_ALL); /* the supervisor is gone, or wants this router to end */
	else
		update_link(router);
}

/* ---- life ---- */

/* What was acknowledged meanwhile makes room for those that come now. */
static void before_clients(struct poller *poller)
{
	struct router *router = (struct router *)((char *)poller - offsetof(struct router, poller));

	answers_glance(&router->answers);
}

static void on_clients(struct poller *poller)
{
	struct router *router = (struct router *)((char *)poller - offsetof(struct router, poller));

	if (router->queued > 0)
		answers_glance(&router->answers);
}

static void on_prepare(struct ev_loop *loop, ev_prepare *prepare, int revents)
{
	struct router *router = prepare->data;

	stats_add(router->stats, COUNTER_wakeups, 1);
	connections_shrink(router);
}

/* Workers that have no slot any more still have channels to be read, and hand-offs to be acknowledged. */
static int init_retired(struct router *router)
{
	static char name[] = "retired";
	static struct slot_config slot = {.name = name, .weight = 0};
	static const struct pool_config pool = {.name = name,
	    .slots = &slot,
	    .slots_count = 1,
	    .start_timeout = 1000,
	    .kill_timeout = 10000,
	    .stuck_timeout = 3600000,
	    .window = 65535};
	static struct slot_stats stats;
	static struct slot_stats *const slots[] = {&stats};

	return pool_init(&router->retired, router, &pool, UINT_MAX, slots);
}

static int init_pools(struct router *router, struct slot_stats *const *const *stats)
{
	const struct config *config = router->config;
	int result = init_retired(router);

	router->pools = calloc(config->pools_count, sizeof(*router->pools));
	if (!router->pools)
		return -ENOMEM;
	for (size_t i = 0; result == 0 && i < config->pools_count; i++)
		result = pool_init(&router->pools[i], router, &config->pools[i], (unsigned)i, stats[i]);
	return result;
}

static int router_init(struct router *router, const struct router_start *start)
{
	int result;

	router->config = start->config;
	router->stats = start->stats;
	router->succession = start->succession;
	router->files_for_clients = listener_files_for_clients(start->files);
	router->starting = true;
	TAILQ_INIT(&router->listeners);
	TAILQ_INIT(&router->workers);
	TAILQ_INIT(&router->owing);
	connections_init(router);
	parking_init(router, start->files);
	pick_secret_init(&router->secret, start->seed);
	clients_init(&router->secret);
	router->link = link_new(start->link);
	router->loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	if (!router->link || !router->loop)
		return -ENOMEM;
	result = poller_init(&router->poller, router->loop);
	if (result == 0)
		result = answers_init(&router->answers, router->loop, &router->queued);
	if (result < 0)
		return result;
	router->answers.set_quiet = workers_set_quiet;
	router->answers.look = workers_look;
	router->poller.before_wakeup = before_clients;
	router->poller.on_wakeup = on_clients;
	ev_io_init(&router->link_io, on_link, link_fd(router->link), EV_READ);
	router->link_io.data = router;
	ev_io_start(router->loop, &router->link_io);
	ev_prepare_init(&router->prepare, on_prepare);
	router->prepare.data = router;
	ev_prepare_start(router->loop, &router->prepare);
	ev_timer_init(&router->linger_timer, connection_linger_timer, 0., 0.);
	router->linger_timer.data = router;
	ev_timer_init(&router->accept_timer, listener_accept_timer, 0., 0.);
	router->accept_timer.data = router;
	return init_pools(router, start->slot_stats);
}

static void router_deinit(struct router *router)
{
	struct listener *listener;

	while (!TAILQ_EMPTY(&router->workers))
		worker_free(TAILQ_FIRST(&router->workers));
	connections_free(router);
	while ((listener = TAILQ_FIRST(&router->listeners))) {
		TAILQ_REMOVE(&router->listeners, listener, entry);
		if (listener->watch.fd >= 0)
			close(listener->watch.fd);
		free(listener);
	}
	for (size_t i = 0; i < router->config->pools_count; i++)
		pool_deinit(&router->pools[i]);
	free(router->pools);
	pool_deinit(&router->retired);
	answers_deinit(&router->answers);
	poller_deinit(&router->poller);
	link_free(router->link);
	ev_loop_destroy(router->loop);
}

int router_run(const struct router_start *start)
{
	struct router *router = calloc(1, sizeof(*router));
	int result;

	if (!router)
		return 2;
	result = router_init(router, start);
	if (result < 0) {
		log_error("router: cannot start: %s", strerror(-result));
		return 2;
	}
	ev_run(router->loop, 0);
	router_deinit(router);
	free(router);
	return 0;
}
