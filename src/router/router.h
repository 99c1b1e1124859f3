/* The router: accepts connections, finds each one's worker and passes the socket on. A process of its own, forked from the
 * supervisor, that can be killed or replaced at any moment without a handed-off connection noticing.
 *
 * This header is the inside of src/router: the structs that its files share. What the supervisor calls is router_run().
 */
#ifndef LIMPET_ROUTER_ROUTER_H
#define LIMPET_ROUTER_ROUTER_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "config/config.h"
#include "route/pick.h"
#include "route/sticky_key.h"
#include "router/answers.h"
#include "router/link.h"
#include "router/poller.h"
#include "router/reason.h"
#include "stats/stats.h"

/* Most bytes that are ever peeked: the largest head_size and a PROXY header before it. */
#define PEEK_MAX (64 * 1024 + 8 * 1024)

struct connection;
struct client_count;
struct worker;

TAILQ_HEAD(connection_list, connection);

/* One open listening socket. */
struct listener {
	TAILQ_ENTRY(listener) entry;
	struct router *router;
	struct router_pool *pool;
	const struct listener_config *config;
	uint32_t id;           /* the supervisor's */
	struct address address;
	struct poller_watch watch;
	bool for_workers;      /* opened because workers asked: served only by those that listen on it */
	bool accepting;
	bool needs_head;
	bool warned;           /* about TLS or HTTP/2 */
	unsigned waiting;      /* connections not yet handed off */
	struct connection_list reading; /* request heads under way, oldest first: deadlines are in order */
	ev_timer head_timer;
};

/* A server that a worker has opened: its name for it, and which listener feeds it. */
struct server {
	TAILQ_ENTRY(server) entry;
	struct listener *listener; /* NULL: the pool has listeners of its own */
	bool listening;
	uint16_t port;
	char key[];
};

/* A place in a pool, with a stable name; the worker in it changes. */
struct slot {
	struct router_pool *pool;
	const struct slot_config *config;
	struct slot_stats *stats;
	struct worker *worker;   /* takes new connections; NULL: down */
	double down_since;       /* loop time; while worker is NULL */
	struct connection_list waiting;
	unsigned waiting_count;
	ev_timer hold_timer;
};

struct router_pool {
	struct router *router;
	const struct pool_config *config;
	unsigned index;
	struct pick_slot *picks;
	struct pick_table table;
	struct slot *slots;
	TAILQ_HEAD(queued_list, connection) queued; /* behind busy workers, the first to give up first */
	ev_timer queue_timer;
	bool open;            /* connections are accepted: some worker was ready, or start_timeout is over */
	ev_timer open_timer;
};

struct router {
	const struct config *config;
	struct stats *stats;
	struct ev_loop *loop;
	struct poller poller;   /* of listeners and clients */
	struct answers answers; /* of workers */
	struct link *link;
	ev_io link_io;
	bool congested; /* workers are not read from until the supervisor has read what they made */
	ev_prepare prepare;
	struct pick_secret secret;
	struct router_pool *pools;
	TAILQ_HEAD(, listener) listeners;
	TAILQ_HEAD(worker_list, worker) workers;
	struct worker_list owing; /* acknowledgements */
	struct client_count *clients;  /* waiting connections by client prefix */
	struct connection **chunks;    /* all connections ever allocated */
	uint32_t chunks_count;
	struct connection_list unused;
	struct connection_list lingering;
	struct connection_list restored;
	TAILQ_HEAD(, connection) unparked; /* those that wait and are not parked yet, oldest first */
	uint64_t parked_last;          /* number given */
	unsigned parked_count;
	unsigned parked_most;
	ev_timer parking_timer;
	unsigned lingering_count;
	ev_timer linger_timer;
	int files_for_clients;         /* file descriptors of clients are lower than this */
	bool paused;                   /* out of files or memory: nothing is accepted until accept_timer ends */
	bool short_of_files;           /* that was said, and its end was not yet */
	ev_timer accept_timer;
	unsigned queued;               /* behind busy workers */
	unsigned connections;          /* not yet handed off, lingering ones not counted */
	uint32_t first_generation;     /* of connections' ids, see connection.c */
	unsigned handed_off;           /* not yet acknowledged */
	uint64_t arrivals;             /* numbers clients that have no address */
	bool stopping;
	bool told_idle;
	bool starting;  /* not yet told all there is: nothing is accepted, no channel is open */
	bool succeeded; /* everything was handed over to a successor */
	int succession; /* from a predecessor; -1: none */
	struct router_pool retired; /* one slot for workers that have none any more */
	struct sticky_scratch scratch;
	char buffer[PEEK_MAX];
};

struct router_start {
	const struct config *config;
	struct stats *stats;
	struct slot_stats *const *const *slot_stats; /* by pool and slot */
	const unsigned char *seed;                   /* 32 bytes */
	uint64_t files;                              /* how many this process may open */
	int link;                                    /* consumed */
	int succession; /* consumed: a predecessor hands over through it; -1: none */
};

/* Runs until the link ends. To be called in a forked child; returns the exit status. */
int router_run(const struct router_start *start);

/* The supervisor is told; if it cannot be, the loop ends. */
void router_tell(struct router *router, const struct link_message *message);

/* The same with an fd (borrowed; -1: none). */
void router_tell_with(struct router *router, const struct link_message *message, int fd);

/* The configuration's pool of this name, or NULL. */
struct router_pool *router_find_pool(struct router *router, const char *name);

/* After a succession: ends the router when nothing lingers any more. */
void router_check_end(struct router *router);

/* Something ended: when limpet is stopping and nothing waits any more, the supervisor is told so. */
void router_check_idle(struct router *router);

#endif
