/* The supervisor: opens listeners, starts and restarts workers and the router, answers the control socket, handles signals.
 * Parses no byte of any client, and none of any worker.
 *
 * This header is the inside of src/supervisor: the structs that its files share. main() calls supervisor_run().
 */
#ifndef LIMPET_SUPERVISOR_SUPERVISOR_H
#define LIMPET_SUPERVISOR_SUPERVISOR_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "config/config.h"
#include "router/link.h"
#include "stats/stats.h"

struct control;
struct process;

enum supervisor_state {
	SUPERVISOR_RUNNING,
	SUPERVISOR_DRAINING, /* nothing new is accepted; workers finish */
	SUPERVISOR_STOPPING, /* workers are told to end now */
};

/* A listening socket, or a server of workers that needs none because its pool has listeners of its own. */
struct listening {
	TAILQ_ENTRY(listening) entry;
	uint32_t id;
	struct supervised_pool *pool;
	int fd;               /* -1: none needed */
	int socket_type;      /* SOCK_STREAM or SOCK_DGRAM */
	uint32_t index;       /* in config->listeners, or LINK_INDEX_WORKERS */
	struct address address;
	char *key;            /* LINK_INDEX_WORKERS: the workers' name for it */
	char *data;           /* what the first worker that asked gave with it */
};

struct supervised_slot {
	struct supervised_pool *pool;
	unsigned index;
	const struct slot_config *config;
	struct slot_stats *stats;
	struct process *process; /* NULL: none */
	uint32_t generation;
	unsigned failures;       /* in a row */
	ev_timer restart_timer;
};

struct supervised_pool {
	struct supervisor *supervisor;
	unsigned index;
	const struct pool_config *config;
	struct supervised_slot *slots;
};

struct supervisor {
	const struct config *config;
	struct stats *stats;
	struct ev_loop *loop;
	enum supervisor_state state;
	unsigned char seed[32];
	struct supervised_pool *pools;
	TAILQ_HEAD(process_list, process) processes;
	TAILQ_HEAD(, listening) listenings;
	uint32_t next_worker;
	uint32_t next_listening;
	/* The router. */
	pid_t router; /* 0: none */
	struct link *link;
	ev_io link_io;
	ev_child router_child;
	ev_timer router_timer; /* before it is started again */
	double router_started;
	unsigned router_failures;
	bool router_idle;
	ev_timer idle_timer;
	struct control *control;
	ev_signal signals[6];
	double started;
	void (*on_first_ready)(const struct address *address);
	bool was_ready;
	int exit_status;
};

struct supervisor_options {
	/* Called once, when the first worker is ready, with the first address that limpet listens on. May be NULL. */
	void (*on_first_ready)(const struct address *address);
};

/* Runs until limpet ends. Returns the exit status: 0, or 2 with the reason logged. */
int supervisor_run(const struct config *config, const struct supervisor_options *options);

/* Ends the loop as soon as no worker and no router is left; to be called when one of them has ended. */
void supervisor_check_end(struct supervisor *supervisor);

/* Nothing is routed any more: tells every worker to finish. */
void supervisor_drain_workers(struct supervisor *supervisor);

#endif
