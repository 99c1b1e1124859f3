#include "router/pool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "router/connection.h"
#include "router/listener.h"
#include "router/queue.h"
#include "router/worker.h"

#define BITSET_WORDS(bits) (((bits) + 63) / 64)
#define SLOTS_MAX 1024

/* What becomes of a connection at one slot. */
enum verdict { VERDICT_TAKE, VERDICT_WAIT, VERDICT_NEXT, VERDICT_REJECT };

static double hold_seconds(const struct slot *slot)
{
	return (double)slot->pool->config->hold / 1000;
}

static double hold_until(const struct slot *slot)
{
	return (slot->worker ? slot->worker->changed_since : slot->down_since) + hold_seconds(slot);
}

static enum verdict judge(const struct slot *slot, const struct connection *connection)
{
	const struct pool_config *config = slot->pool->config;
	double now = clock_now();

	if (!slot->worker) {
		if (config->on_down == ON_DOWN_REJECT)
			return VERDICT_REJECT;
		return config->on_down == ON_DOWN_HOLD && now < hold_until(slot) ? VERDICT_WAIT : VERDICT_NEXT;
	}
	if (slot->worker->stuck)
		return VERDICT_NEXT;
	if (worker_serves(slot->worker, connection))
		return VERDICT_TAKE;
	/* A worker that opens several servers has not opened them all when it becomes ready, and one that has closed a server may open
	 * it again. */
	return now < hold_until(slot) ? VERDICT_WAIT : VERDICT_NEXT;
}

static void arm_hold_timer(struct slot *slot)
{
	struct ev_loop *loop = slot->pool->router->loop;
	double delay = hold_until(slot) - clock_now();

	ev_timer_stop(loop, &slot->hold_timer);
	ev_timer_set(&slot->hold_timer, delay > 0.001 ? delay : 0.001, 0.);
	ev_timer_start(loop, &slot->hold_timer);
}

static void wait_at(struct slot *slot, struct connection *connection, bool down)
{
	struct router *router = slot->pool->router;

	if (slot->waiting_count >= slot->pool->config->queue) {
		connection_close(connection, CLOSE_QUEUE_FULL);
		return;
	}
	stats_add(router->stats, down ? COUNTER_held : COUNTER_queued, 1);
	connection_waits(connection, slot);
	if (!down) {
		queue_enter(connection);
		worker_awaited(slot->worker);
	}
	if (down) {
		connection->held = true;
		if (!ev_is_active(&slot->hold_timer))
			arm_hold_timer(slot);
	}
}

/* Every worker has refused it. They may do so for a moment only (servers that are closed and opened again, files that run out):
 * once, it waits for the first of them and asks anew. */
static bool wait_after_refusals(struct router_pool *pool, struct connection *connection)
{
	size_t choice;

	if (connection->tried_count == 0 || connection->asks_anew || pool->config->on_down != ON_DOWN_HOLD)
		return false;
	choice = pick(&pool->table, connection->hash, NULL);
	if (choice == PICK_NONE)
		return false;
	connection->asks_anew = true;
	connection->tried_count = 0;
	wait_at(&pool->slots[choice], connection, true);
	return true;
}

/* The worker could not be sent to, though nothing was heard yet of its end, or of its server's: that is about to be read, and
 * then it is known what the slot's clients wait for. Another worker now would split a session over two. Once, since a hostile
 * worker might never say more. */
static bool wait_for_bad_news(struct slot *slot, struct connection *connection)
{
	if (connection->send_failed || slot->pool->config->on_down == ON_DOWN_NEXT)
		return false;
	connection->send_failed = true;
	wait_at(slot, connection, true);
	return true;
}

void pool_dispatch(struct router_pool *pool, struct connection *connection)
{
	uint64_t exclude[BITSET_WORDS(SLOTS_MAX)];

	memset(exclude, 0, BITSET_WORDS(pool->config->slots_count) * sizeof(exclude[0]));
	for (unsigned i = 0; i < connection->tried_count; i++)
		exclude[connection->tried[i] / 64] |= UINT64_C(1) << (connection->tried[i] % 64);
	for (;;) {
		size_t choice = PICK_NONE;
		struct slot *slot;

		if (connection->tried_count < CONNECTION_TRIES_MAX)
			choice = pick(&pool->table, connection->hash, exclude);
		if (choice == PICK_NONE) {
			if (!wait_after_refusals(pool, connection))
				connection_close(connection, connection->held ? CLOSE_HOLD_EXPIRED : CLOSE_NO_WORKER);
			return;
		}
		slot = &pool->slots[choice];
		switch (judge(slot, connection)) {
		case VERDICT_TAKE:
			if (!TAILQ_EMPTY(&slot->waiting) || worker_send(slot->worker, connection) == -EAGAIN)
				wait_at(slot, connection, false);
			else if (connection->state == CONNECTION_UNUSED && connection->fd >= 0 &&
			         !wait_for_bad_news(slot, connection))
				break;
			return;
		case VERDICT_WAIT:
			wait_at(slot, connection, true);
			return;
		case VERDICT_REJECT:
			connection_close(connection, CLOSE_NO_WORKER);
			return;
		case VERDICT_NEXT:
			break;
		}
		exclude[choice / 64] |= UINT64_C(1) << (choice % 64);
	}
}

void slot_flush(struct slot *slot)
{
	struct connection *connection, *next;

	for (connection = TAILQ_FIRST(&slot->waiting); connection; connection = next) {
		struct worker *worker = slot->worker;

		next = TAILQ_NEXT(connection, entry);
		if (!worker || !worker_can_send(worker))
			return;
		if (!worker_serves(worker, connection))
			continue;
		connection_leaves_queue(connection);
		if (worker_send(worker, connection) == -EAGAIN) {
			connection_waits_first(connection, slot);
			queue_enter(connection);
			return;
		}
		if (connection->state == CONNECTION_UNUSED && connection->fd >= 0) {
			/* The worker is going; everyone else here gets a new decision when it is lost. */
			pool_dispatch(connection->pool, connection);
			return;
		}
	}
}

void slot_redispatch(struct slot *slot)
{
	for (unsigned n = slot->waiting_count; n > 0 && !TAILQ_EMPTY(&slot->waiting); n--) {
		struct connection *first = TAILQ_FIRST(&slot->waiting);

		connection_leaves_queue(first);
		pool_dispatch(slot->pool, first);
	}
}

static void on_hold_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
	slot_redispatch(timer->data);
}

static void open_pool(struct router_pool *pool)
{
	struct listener *listener;

	ev_timer_stop(pool->router->loop, &pool->open_timer);
	pool->open = true;
	TAILQ_FOREACH (listener, &pool->router->listeners, entry)
		if (listener->pool == pool)
			listener_start(listener);
}

/* No worker became ready in time: from now on clients get an error at once, instead of waiting in the kernel's backlog. */
static void on_open_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
	open_pool(timer->data);
}

void slot_up(struct slot *slot, struct worker *worker)
{
	slot->worker = worker;
	if (!slot->pool->open)
		open_pool(slot->pool);
	slot_flush(slot);
	if (!TAILQ_EMPTY(&slot->waiting))
		arm_hold_timer(slot);
}

/* While one worker takes over from another both are there: the new one may end before the old one was told to. */
static struct worker *other_worker(const struct slot *slot, const struct worker *than)
{
	struct worker *worker;

	TAILQ_FOREACH (worker, &slot->pool->router->workers, entry)
		if (worker != than && worker->slot == slot && worker->ready && !worker->drained && !worker->lost)
			return worker;
	return NULL;
}

void slot_down(struct slot *slot, struct worker *worker)
{
	if (slot->worker != worker)
		return;
	slot->worker = other_worker(slot, worker);
	slot->down_since = clock_now();
	ev_timer_stop(slot->pool->router->loop, &slot->hold_timer);
	slot_redispatch(slot);
}

int pool_init(struct router_pool *pool, struct router *router, const struct pool_config *config, unsigned index,
    struct slot_stats *const *stats)
{
	memset(pool, 0, sizeof(*pool));
	pool->router = router;
	pool->config = config;
	pool->index = index;
	pool->slots = calloc(config->slots_count, sizeof(*pool->slots));
	if (!pool->slots)
		return -ENOMEM;
	pool->picks = calloc(config->slots_count, sizeof(*pool->picks));
	if (!pool->picks)
		return -ENOMEM;
	for (size_t i = 0; i < config->slots_count; i++) {
		struct slot *slot = &pool->slots[i];

		slot->pool = pool;
		slot->config = &config->slots[i];
		slot->stats = stats[i];
		/* What a former router had waiting or under way is not this one's. */
		slot->stats->waiting = 0;
		slot->stats->unacknowledged = 0;
		slot->down_since = clock_now();
		TAILQ_INIT(&slot->waiting);
		ev_timer_init(&slot->hold_timer, on_hold_timer, 0., 0.);
		slot->hold_timer.data = slot;
		pick_slot_init(&pool->picks[i], &router->secret, slot->config->name, slot->config->weight);
	}
	queue_init(pool);
	pick_table_init(&pool->table, pool->picks, config->slots_count);
	ev_timer_init(&pool->open_timer, on_open_timer, (double)config->start_timeout / 1000, 0.);
	pool->open_timer.data = pool;
	ev_timer_start(router->loop, &pool->open_timer);
	return 0;
}

void pool_forget_stats(struct router_pool *pool)
{
	static struct slot_stats nobodys;

	for (size_t i = 0; i < pool->config->slots_count; i++)
		pool->slots[i].stats = &nobodys;
}

void pool_deinit(struct router_pool *pool)
{
	queue_deinit(pool);
	free(pool->slots);
	free(pool->picks);
}
