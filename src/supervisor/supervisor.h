/* The supervisor: opens listeners, starts and restarts workers and the router, answers the control socket, handles signals.
 * Parses no byte of any client, and of workers only the hello with which an external one, of a user who may, asks to join.
 *
 * This header is the inside of src/supervisor: the structs that its files share. main() calls supervisor_run().
 */
#ifndef LIMPET_SUPERVISOR_SUPERVISOR_H
#define LIMPET_SUPERVISOR_SUPERVISOR_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "config/config.h"
#include "config/load.h"
#include "router/link.h"
#include "stats/stats.h"
#include "supervisor/activation.h"
#include "supervisor/notify.h"

struct control;
struct process;
struct readiness;

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
	bool bound_only;      /* no program listens on it yet: the router does not know it */
	uint32_t index;       /* in config->listeners, or LINK_INDEX_WORKERS */
	struct address address; /* where it really is */
	struct address asked;   /* as configured */
	char *given;          /* its name, if it is the service manager's own; NULL: it is limpet's */
	char *stored;         /* the name that the service manager keeps a copy under; NULL: it keeps none */
	char *name;           /* configured: the listener's */
	char *user;           /* whose a Unix path is; NULL: limpet's */
	char *key;            /* LINK_INDEX_WORKERS: the workers' name for it */
	char *data;           /* what the first worker that asked gave with it */
};

/* A place in a pool. It may hold two processes while one takes over from the other. */
struct supervised_slot {
	struct supervised_pool *pool;
	unsigned index;
	char *name;
	struct slot_stats *stats;
	struct process *process;  /* NULL: none */
	bool external;            /* for workers that limpet does not start */
	struct process *incoming; /* will take over when it is ready; NULL: none */
	uint32_t generation;
	unsigned failures;        /* in a row */
	bool stable;              /* the last one was ready for long: its end is the first failure */
	bool outdated;            /* to be replaced by a new generation */
	ev_timer restart_timer;
};

struct supervised_pool {
	struct supervisor *supervisor;
	unsigned index;
	char *name;
	const struct pool_config *config;
	bool told_connections; /* that its workers get connections in messages */
	struct supervised_slot **slots;
	size_t slots_count;
	struct slot_stats **slot_stats; /* of the slots, in their order, for the router */
};

/* A router process; during a succession there are two. */
struct router_process {
	struct supervisor *supervisor;
	pid_t pid;
	struct link *link;
	ev_io link_io;
	ev_child child;
	double started;
	bool dismissed; /* its end is wanted */
	bool outdated;  /* has a former configuration, because its successor could not be started */
	struct parked *parked; /* its connections that wait */
};

struct supervisor {
	const struct supervisor_options *options;
	struct config *config;
	struct stats *stats;
	int stats_fd;
	bool stats_kept; /* over an upgrade */
	struct ev_loop *loop;
	enum supervisor_state state;
	unsigned char seed[32];
	struct supervised_pool **pools;
	size_t pools_count;
	TAILQ_HEAD(process_list, process) processes;
	TAILQ_HEAD(, listening) listenings;
	TAILQ_HEAD(, door) doors; /* where external workers join: join.h */
	uint32_t next_worker;
	uint32_t next_listening;
	struct router_process *router; /* NULL: none */
	struct router_process *former; /* hands its connections over to the router; NULL: none */
	struct parked *parked;         /* of a router that has crashed, for the next one */
	ev_timer router_timer;         /* before a crashed router is started again */
	ev_timer former_timer;         /* the longest that a succession may take */
	unsigned router_failures;
	bool sandbox_known;            /* what it lacks has been said */
	ev_timer idle_timer;
	bool reload_wanted;            /* came during a succession */
	bool reload_settles;           /* one is done but for the former router, which hands over */
	struct control *control;
	struct notify notify;
	struct activation activation;
	struct readiness *readiness;
	int former_control;            /* the control socket that the binary before an upgrade left; -1: none */
	struct rlimit nofile; /* limpet's limit of open files before it was raised, for workers */
	ev_signal signals[6];
	double started;
	bool was_ready;
};

struct supervisor_options {
	struct config_options config; /* as given to config_load(): a reload reads the same again */
	char **argv;                  /* of limpet itself, for an upgrade */
	/* Called once, when the first worker is ready, with the first address that limpet listens on. May be NULL. */
	void (*on_first_ready)(const struct address *address);
};

/* Runs until limpet ends; takes over the config. Returns the exit status: 0, or 2 with the reason logged. */
int supervisor_run(struct config *config, const struct supervisor_options *options);

/* Ends the loop as soon as no worker and no router is left; to be called when one of them has ended. */
void supervisor_check_end(struct supervisor *supervisor);

/* The longest that a connection may take from accept() to its worker, in seconds. */
double supervisor_longest_wait(const struct config *config);

/* Nothing is routed any more: tells every worker to finish. */
void supervisor_drain_workers(struct supervisor *supervisor);

/* SIGTERM. */
void supervisor_drain(struct supervisor *supervisor);

/* SIGINT. */
void supervisor_stop_now(struct supervisor *supervisor);

#endif
