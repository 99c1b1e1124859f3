/* How long connections have waited behind busy workers, and the end of it: queue_timeout of their pool. */
#ifndef LIMPET_ROUTER_QUEUE_H
#define LIMPET_ROUTER_QUEUE_H

#include "router/router.h"

void queue_init(struct router_pool *pool);
void queue_deinit(struct router_pool *pool);

/* It waits at a slot whose worker is busy. The time counts from the first such wait on. */
void queue_enter(struct connection *connection);

/* It waits no more, or for something else. */
void queue_leave(struct connection *connection);

#endif
