#include "router/queue.h"

#include "base/clock.h"
#include "router/connection.h"

static void arm(struct router_pool *pool)
{
	struct connection *first = TAILQ_FIRST(&pool->queued);
	double delay;

	if (!first || ev_is_active(&pool->queue_timer))
		return;
	delay = first->queue_deadline - clock_now();
	ev_timer_set(&pool->queue_timer, delay > 0.001 ? delay : 0.001, 0.);
	ev_timer_start(pool->router->loop, &pool->queue_timer);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct router_pool *pool = timer->data;
	struct connection *first;

	while ((first = TAILQ_FIRST(&pool->queued)) && first->queue_deadline <= clock_now())
		connection_close(first, CLOSE_QUEUE_TIMEOUT);
	arm(pool);
}

void queue_init(struct router_pool *pool)
{
	TAILQ_INIT(&pool->queued);
	ev_timer_init(&pool->queue_timer, on_timer, 0., 0.);
	pool->queue_timer.data = pool;
}

void queue_deinit(struct router_pool *pool)
{
	if (pool->router)
		ev_timer_stop(pool->router->loop, &pool->queue_timer);
}

void queue_enter(struct connection *connection)
{
	struct router_pool *pool = connection->pool;
	struct connection *before;

	if (connection->queue_deadline == 0)
		connection->queue_deadline = clock_now() + (double)pool->config->queue_timeout / 1000;
	connection->queued = true;
	pool->router->queued++;
	/* In order of time: one that has waited before is soon found to be older than most, which are behind it. */
	before = TAILQ_FIRST(&pool->queued);
	if (!before || before->queue_deadline > connection->queue_deadline) {
		TAILQ_INSERT_HEAD(&pool->queued, connection, queue_entry);
	} else {
		before = TAILQ_LAST(&pool->queued, queued_list);
		while (before->queue_deadline > connection->queue_deadline)
			before = TAILQ_PREV(before, queued_list, queue_entry);
		TAILQ_INSERT_AFTER(&pool->queued, before, connection, queue_entry);
	}
	arm(pool);
}

void queue_leave(struct connection *connection)
{
	if (!connection->queued)
		return;
	connection->queued = false;
	connection->router->queued--;
	TAILQ_REMOVE(&connection->pool->queued, connection, queue_entry);
}
