/* Listening sockets of the router: accepts in batches, pauses when files or memory run out. The sockets belong to the
 * supervisor, which keeps its own copies open.
 */
#ifndef LIMPET_ROUTER_LISTENER_H
#define LIMPET_ROUTER_LISTENER_H

#include "router/router.h"

/* Takes over the fd (consumed, also on failure). NULL: out of memory. */
struct listener *listener_new(struct router *router, struct router_pool *pool, const struct listener_config *config,
    uint32_t id, const struct address *address, bool for_workers, int fd);

/* Stops accepting and closes the socket; request heads under way are closed as shut_down if the router is not stopping,
 * because nothing serves them any more. */
void listener_free(struct listener *listener);

struct listener *listener_find(struct router *router, uint32_t id);

/* Starts accepting if it is time: the pool is open, and nothing forbids. */
void listener_start(struct listener *listener);

/* Stops accepting, at once, and closes the socket: a successor has its own copy. */
void listener_abandon(struct listener *listener);

/* Accepts what is in the backlog, then stops for good: the address is free for others as soon as the supervisor closes, too. */
void listener_finish(struct listener *listener);

/* How many of so many files may be clients'; the rest is kept for what else the router opens. */
int listener_files_for_clients(uint64_t limit);

/* The router's timer that ends a pause. */
void listener_accept_timer(struct ev_loop *loop, ev_timer *timer, int revents);

#endif
