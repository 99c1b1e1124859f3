/* Worker processes: started, watched, restarted with back-off, told to finish, ended. What their slots are for is roll.c's. */
#ifndef LIMPET_SUPERVISOR_PROCESS_H
#define LIMPET_SUPERVISOR_PROCESS_H

#include "supervisor/supervisor.h"

/* What a worker listens on, kept here for the next router. */
struct process_server {
	TAILQ_ENTRY(process_server) entry;
	uint32_t listening; /* id */
	bool accepts;       /* the worker has said so */
	char key[];
};

/* The front's end of a data socket (protocols accept and node-cluster), kept here for the next router. */
struct process_kept {
	TAILQ_ENTRY(process_kept) entry;
	uint64_t number;
	int fd;
	char key[];
};

struct process {
	TAILQ_ENTRY(process) entry;
	struct supervisor *supervisor;
	struct supervised_slot *slot; /* NULL: retired, or its slot is no more */
	char *name;                   /* "pool chat: worker 2", for the log */
	char *pool_name;
	char *slot_name;
	enum protocol protocol;
	enum flavour flavour;
	uint32_t id;
	uint32_t generation;
	pid_t pid;
	pid_t agent; /* the limpet-agent that started it, which is our child instead; 0: none */
	int channel; /* the front's end; routers get copies */
	bool external;      /* not limpet's child: see external.h, which owns what follows */
	int escort;         /* where limpet-join listens; -1: nobody does */
	bool left;          /* it was told that limpet goes */
	bool let_go;        /* limpet speaks to it no more */
	bool may_have_read; /* what it was sent is its own */
	unsigned empty_tries;
	TAILQ_HEAD(, process_server) servers;
	TAILQ_HEAD(, process_kept) kept;
	unsigned kept_count;
	bool accepts;       /* it takes connections through accept() */
	ev_timer bypass_timer;
	char bypass[ADDRESS_TEXT_MAX]; /* where it listens by itself, past limpet; empty: nowhere known */
	bool ready;
	double ready_since;
	bool leaving;         /* it ends by itself when its last connection does */
	bool lost;            /* its channel is over; its exit should follow */
	bool draining;        /* the router was told to drain it */
	unsigned listens_refused;
	int last_signal;      /* 0, SIGTERM or SIGKILL: what we sent */
	double drain_timeout; /* seconds */
	double kill_timeout;
	int drain_signal;
	ev_child child;
	ev_timer start_timer; /* start_timeout: report */
	ev_timer end_timer;   /* drain_timeout, then kill_timeout */
};

/* One without a pid yet, in no slot. channel: consumed, also on failure. NULL: out of memory. */
struct process *process_new(struct supervisor *supervisor, const char *pool, const char *slot, int channel);
void process_free(struct process *process);

/* If it is not ready in start_timeout, that is reported. */
void process_start_start_timer(struct process *process);

/* What status says of a slot: this state, and its process. */
void slot_set_state(struct supervised_slot *slot, enum slot_state state);

/* The state of a slot without a process. */
enum slot_state slot_vacant_state(const struct supervised_slot *slot);

/* Starts the slot's worker; if that fails, or when the worker ends, it is started again with back-off. */
void process_start(struct supervised_slot *slot);

/* The same for a slot that has no worker and waits for none. */
void process_start_missing(struct supervised_slot *slot);

/* Starts a worker that will take over from the slot's present one as soon as it is ready. 0 or a negative errno. */
int process_start_incoming(struct supervised_slot *slot);

/* A worker that the binary before had started. */
struct process_past {
	const char *pool;
	const char *slot_name;
	struct supervised_slot *slot; /* NULL: is no more */
	bool incoming;
	bool retired;
	uint32_t id;
	uint32_t generation;
	pid_t pid;
	pid_t agent;
	int channel; /* consumed */
	bool external;
	int escort; /* consumed; -1: none */
	bool left;
	bool lost;
	enum protocol protocol;
	enum flavour flavour;
	bool ready;
	double ready_since;
	bool leaving;
	bool draining;
	int last_signal;
	double drain_timeout;
	double kill_timeout;
	int drain_signal;
	double end_in; /* seconds; negative: no end is near */
};

/* NULL: out of memory. One that has no slot any more, or whose place in it is taken, is told to finish by the next process_drain(). */
struct process *process_adopt(struct supervisor *supervisor, const struct process_past *past);

struct process *process_find(struct supervisor *supervisor, uint32_t id);

/* The number of workers that finish their connections and have no slot any more. */
size_t process_retired_count(struct supervisor *supervisor, const char *pool);

void process_is_ready(struct process *process);

/* The worker said that it takes no more connections. */
void process_leaves(struct process *process);

/* Its channel has ended: a worker that cannot be reached is ended, unless it is leaving anyway. */
void process_lost(struct process *process, int error, const char *why);

/* A router has crashed: what it had heard of workers that were starting it may have told nobody, and they do not say it twice. */
void process_restart_unready(struct supervisor *supervisor);

/* It acknowledges nothing; ends it, if its pool's stuck_action says so. */
void process_is_stuck(struct process *process);

/* Tells it to finish what it has; past drain_timeout it is ended. */
void process_drain(struct process *process);

/* Takes it out of its slot and drains it. */
void process_retire(struct process *process);

/* SIGTERM to its process group, SIGKILL when the grace (seconds) is over. */
void process_end(struct process *process, double grace);

/* To its process group. */
void process_signal(struct process *process, int number);

/* ---- process_servers.c: what workers listen on ---- */

void process_servers_init(struct process *process);

/* Closes, too, what nobody listens on any more now that a retired worker is gone. */
void process_servers_deinit(struct process *process);

struct process_server *process_server_find(struct process *process, const char *key);
int process_server_add(struct process *process, const char *key, uint32_t listening);
void process_server_remove(struct process *process, struct process_server *server);

/* The process has given up its server on this listening: is the socket of no use any more? Not that of a retired worker while
 * another of its pool is down, which may listen there again. */
bool process_was_last_to_serve(const struct process *process, uint32_t listening);

/* ---- process_accept.c: of those that take connections through accept() ---- */

void process_accept_init(struct process *process);
void process_accept_deinit(struct process *process);

/* Data sockets. process_keep() borrows the fd. */
void process_keep(struct process *process, uint64_t number, const char *key, int fd);
void process_drop(struct process *process, uint64_t number);

/* How it gets connections: "accept" or "message"; NULL: not known yet. */
const char *process_connections(const struct process *process);

/* It is ready: says so in the log, once a pool, if it should take connections through accept() and does not. */
void process_say_connections(struct process *process);

/* It is to finish, and has taken all that it was sent: it is told by drain_signal. */
void process_drained(struct process *process);

/* Warns, once, of a worker that listens by itself: now, or from time to time until it is ready. Of other protocols: nothing. */
void process_look_for_bypass(struct process *process);
void process_watch_for_bypass(struct process *process);

/* ---- */

/* Frees them all, and lets the processes be. Behind it pools and listeners may be freed. */
void process_forget_all(struct supervisor *supervisor);

/* Stops the timers that would start workers. */
void process_cancel_restarts(struct supervisor *supervisor);

#endif
