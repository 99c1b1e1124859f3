/* A pool's slots: which one takes a connection, and who waits for a slot that is busy or down. */
#ifndef LIMPET_ROUTER_POOL_H
#define LIMPET_ROUTER_POOL_H

#include "router/router.h"

/* stats: those of the slots. 0 or -ENOMEM. */
int pool_init(struct router_pool *pool, struct router *router, const struct pool_config *config, unsigned index,
    struct slot_stats *const *stats);
void pool_deinit(struct router_pool *pool);

/* The slots' statistics are a successor's from now on: what still changes here is not counted. */
void pool_forget_stats(struct router_pool *pool);

/* Sends a connection that is in no list, and whose key is known, to the worker of its slot, or to the next choice, or puts it
 * into a queue, or closes it. */
void pool_dispatch(struct router_pool *pool, struct connection *connection);

/* The worker takes the slot's connections from now on. */
void slot_up(struct slot *slot, struct worker *worker);

/* If it is this worker that serves the slot: the slot is down. */
void slot_down(struct slot *slot, struct worker *worker);

/* The worker may take more, or others: sends what waits, as far as it goes. */
void slot_flush(struct slot *slot);

/* The slot's worker is not to be waited for (stuck): everyone who waits gets a new decision. */
void slot_redispatch(struct slot *slot);

#endif
