#include "supervisor/process.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "supervisor/backoff.h"
#include "supervisor/external.h"
#include "supervisor/pools.h"
#include "supervisor/preload.h"
#include "supervisor/roll.h"
#include "supervisor/router_process.h"
#include "supervisor/spawn.h"

void slot_set_state(struct supervised_slot *slot, enum slot_state state)
{
	struct slot_values *values = stats_values(slot->pool->supervisor->stats, slot->stats);

	slot->stats->state = state;
	slot->stats->pid = slot->process ? slot->process->pid : 0;
	slot->stats->generation = slot->process ? slot->process->generation : slot->generation;
	if (values && state != SLOT_READY && state != SLOT_DRAINING)
		values->count = 0;
}

enum slot_state slot_vacant_state(const struct supervised_slot *slot)
{
	if (slot->pool->supervisor->state != SUPERVISOR_RUNNING)
		return SLOT_STOPPED;
	return slot->external ? SLOT_FREE : SLOT_STARTING;
}

/* Is it the one that serves its slot, or is to? */
static bool holds_slot(const struct process *process)
{
	return process->slot && process->slot->process == process;
}

static bool is_incoming(const struct process *process)
{
	return process->slot && process->slot->incoming == process;
}

struct process *process_find(struct supervisor *supervisor, uint32_t id)
{
	struct process *process;

	TAILQ_FOREACH (process, &supervisor->processes, entry)
		if (process->id == id)
			return process;
	return NULL;
}

/* ---- restart ---- */

static void on_restart_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
	process_start(timer->data);
}

static void restart_later(struct supervised_slot *slot)
{
	struct supervisor *supervisor = slot->pool->supervisor;
	double delay = backoff_delay(++slot->failures, (double)random() / ((double)RAND_MAX + 1));

	slot_set_state(slot, SLOT_BACKOFF);
	slot->stats->restarts++;
	log_info("pool %s: worker %s starts again in %.1f s", slot->pool->name, slot->name, delay);
	ev_timer_stop(supervisor->loop, &slot->restart_timer);
	ev_timer_init(&slot->restart_timer, on_restart_timer, delay, 0.);
	slot->restart_timer.data = slot;
	ev_timer_start(supervisor->loop, &slot->restart_timer);
}

void process_cancel_restarts(struct supervisor *supervisor)
{
	for (size_t i = 0; i < supervisor->pools_count; i++) {
		struct supervised_pool *pool = supervisor->pools[i];

		for (size_t j = 0; j < pool->slots_count; j++) {
			ev_timer_stop(supervisor->loop, &pool->slots[j]->restart_timer);
			pool->slots[j]->outdated = false;
			if (!pool->slots[j]->process)
				slot_set_state(pool->slots[j], SLOT_STOPPED);
		}
	}
}

/* ---- the end of a process ---- */

static void log_exit(const struct process *process, int status)
{
	int number = WIFSIGNALED(status) ? WTERMSIG(status) : 0, pid = (int)process->pid;

	/* Expected: it was told to end, or it said that it leaves and did. */
	if ((number && number == process->last_signal) ||
	    (!number && (process->last_signal || (WEXITSTATUS(status) == 0 && (process->draining || process->leaving)))))
		log_info("%s (pid %d) ended", process->name, pid);
	else if (number)
		log_warning("%s (pid %d) was killed by signal %d (%s)%s", process->name, pid, number, strsignal(number),
		    WCOREDUMP(status) ? ", core dumped" : "");
	else
		log_warning("%s (pid %d) exited with status %d%s", process->name, pid, WEXITSTATUS(status),
		    process->ready ? "" : " before it was ready");
}

void process_free(struct process *process)
{
	struct supervisor *supervisor = process->supervisor;

	ev_child_stop(supervisor->loop, &process->child);
	ev_timer_stop(supervisor->loop, &process->start_timer);
	ev_timer_stop(supervisor->loop, &process->end_timer);
	process_servers_deinit(process);
	process_accept_deinit(process);
	TAILQ_REMOVE(&supervisor->processes, process, entry);
	if (process->channel >= 0)
		close(process->channel);
	if (process->escort >= 0)
		close(process->escort);
	free(process->name);
	free(process->pool_name);
	free(process->slot_name);
	free(process);
}

void process_forget_all(struct supervisor *supervisor)
{
	while (!TAILQ_EMPTY(&supervisor->processes))
		process_free(TAILQ_FIRST(&supervisor->processes));
}

/* Its slot needs another, unless one is on its way. */
static void refill(struct supervised_slot *slot)
{
	struct supervisor *supervisor = slot->pool->supervisor;

	if (slot->stable)
		slot->failures = 0;
	slot->stable = false;
	if (slot->incoming)
		return;
	if (supervisor->state == SUPERVISOR_RUNNING && !slot->external)
		restart_later(slot);
	else
		slot_set_state(slot, slot_vacant_state(slot));
}

static bool was_stable(const struct process *process)
{
	return process->ready && clock_now() - process->ready_since >= BACKOFF_STABLE;
}

static void on_exit_of_child(struct ev_loop *loop, ev_child *child, int revents)
{
	struct process *process = child->data;
	struct supervisor *supervisor = process->supervisor;
	struct supervised_slot *slot = process->slot;
	bool held = holds_slot(process), came = is_incoming(process);
	/* One that has closed its channel was ended because of that: the next one would do the same. */
	bool failed = process->last_signal == 0 || (came && process->lost && slot->outdated);

	log_exit(process, child->rstatus);
	stats_add(supervisor->stats, COUNTER_workers_exited, 1);
	/* What it left behind in its process group (npm's children, say) has lost its front. */
	kill(-process->pid, process->last_signal == SIGKILL ? SIGKILL : SIGTERM);
	router_tell_worker(supervisor, LINK_WORKER_GONE, process);
	if (held) {
		slot->stable = was_stable(process);
		slot->process = NULL;
	}
	if (came)
		slot->incoming = NULL;
	process_free(process);
	if (came && failed && supervisor->state == SUPERVISOR_RUNNING)
		roll_abort(slot, "ended before it was ready");
	else if (came && supervisor->state == SUPERVISOR_RUNNING)
		roll_on(slot->pool);
	if (held || (came && !slot->process))
		refill(slot);
	supervisor_check_end(supervisor);
}

void process_signal(struct process *process, int number)
{
	process->last_signal = number;
	if (kill(-process->pid, number) < 0)
		kill(process->pid, number);
	/* One that was stopped would not see it. */
	kill(-process->pid, SIGCONT);
	if (process->agent && number == SIGKILL)
		kill(process->agent, SIGKILL);
}

static void arm_end_timer(struct process *process, double delay)
{
	ev_timer_stop(process->supervisor->loop, &process->end_timer);
	ev_timer_set(&process->end_timer, delay, 0.);
	ev_timer_start(process->supervisor->loop, &process->end_timer);
}

static void on_end_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct process *process = timer->data;

	if (process->external) {
		external_end_timer(process);
		return;
	}
	if (process->last_signal == 0) {
		log_warning("%s (pid %d) %s: it is ended", process->name, (int)process->pid,
		    process->lost ? "has closed its channel, and has not ended in kill_timeout"
				  : "still has connections after drain_timeout");
		process_end(process, process->kill_timeout);
		return;
	}
	log_warning("%s (pid %d) did not end in time: it is killed", process->name, (int)process->pid);
	process_signal(process, SIGKILL);
}

void process_end(struct process *process, double grace)
{
	if (process->external) {
		external_let_go(process, "it was ended");
		return;
	}
	if (process->last_signal == SIGKILL)
		return;
	process_signal(process, SIGTERM);
	arm_end_timer(process, grace);
}

void process_restart_unready(struct supervisor *supervisor)
{
	struct process *process;

	if (supervisor->state != SUPERVISOR_RUNNING)
		return;
	TAILQ_FOREACH (process, &supervisor->processes, entry) {
		if (process->ready || process->leaving || process->last_signal)
			continue;
		log_warning("%s (pid %d) was starting while the router crashed: it %s again", process->name,
		    (int)process->pid, process->external ? "has to join" : "is started");
		process_end(process, process->kill_timeout);
	}
}

void process_drain(struct process *process)
{
	if (process->draining || process->last_signal)
		return;
	if (process->external) {
		external_drain(process);
		return;
	}
	process->draining = true;
	if (holds_slot(process))
		slot_set_state(process->slot, SLOT_DRAINING);
	if (!process->ready) {
		process_end(process, process->kill_timeout);
		return;
	}
	router_tell_worker(process->supervisor, LINK_WORKER_DRAIN, process);
	arm_end_timer(process, process->drain_timeout);
}

void process_is_stuck(struct process *process)
{
	if (!process->slot || process->last_signal || process->external ||
	    process->slot->pool->config->stuck_action != STUCK_RESTART)
		return;
	log_warning("%s (pid %d) is stuck: it is ended, as stuck_action says", process->name, (int)process->pid);
	process_end(process, process->kill_timeout);
}

size_t process_retired_count(struct supervisor *supervisor, const char *pool)
{
	struct process *process;
	size_t count = 0;

	TAILQ_FOREACH (process, &supervisor->processes, entry)
		count += !process->slot && strcmp(process->pool_name, pool) == 0;
	return count;
}

/* Too many generations at once would eat the machine: the oldest goes first. */
static void bound_retired(struct process *newest, unsigned most)
{
	struct process *process;
	size_t count = process_retired_count(newest->supervisor, newest->pool_name);

	TAILQ_FOREACH (process, &newest->supervisor->processes, entry) {
		if (count <= most)
			return;
		if (process->slot || strcmp(process->pool_name, newest->pool_name) != 0)
			continue;
		count--;
		if (process->last_signal)
			continue;
		log_warning("%s (pid %d) still has connections, but more than max_retired workers (%u) do: it is ended",
		    process->name, (int)process->pid, most);
		process_end(process, process->kill_timeout);
	}
}

/* Takes it out of its slot. */
static void leave_slot(struct process *process)
{
	struct supervised_slot *slot = process->slot;
	unsigned most = slot->pool->config->max_retired;

	if (slot->process == process)
		slot->process = NULL;
	if (slot->incoming == process)
		slot->incoming = NULL;
	process->slot = NULL;
	slot_set_state(slot, slot->process && slot->process->ready ? SLOT_READY : slot_vacant_state(slot));
	bound_retired(process, most);
}

void process_retire(struct process *process)
{
	leave_slot(process);
	process_drain(process);
}

void process_leaves(struct process *process)
{
	struct supervised_slot *slot = process->slot;

	if (process->leaving || process->draining)
		return;
	process->leaving = true;
	log_info("%s (pid %d) leaves", process->name, (int)process->pid);
	arm_end_timer(process, process->drain_timeout);
	/* It may keep its connections for long: its slot gets a new worker now. */
	if (holds_slot(process)) {
		slot->stable = was_stable(process);
		leave_slot(process);
		refill(slot);
	}
}

void process_lost(struct process *process, int error, const char *why)
{
	if (process->external) {
		external_lost(process, error);
		return;
	}
	if (process->leaving || process->draining || process->last_signal)
		return;
	/* As a rule its exit follows at once, and says more. */
	log_debug("%s (pid %d): its channel is lost: %s", process->name, (int)process->pid, why);
	process->leaving = true;
	process->lost = true;
	arm_end_timer(process, process->kill_timeout);
}

/* ---- the start of a process ---- */

static void on_start_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct process *process = timer->data;

	log_warning("%s (pid %d) was started %.0f s ago and %s", process->name, (int)process->pid, timer->repeat,
	    process->protocol == PROTOCOL_LIMPET
		? "has not said that it is ready; see limpet-worker(7), or raise start_timeout"
		: "does not listen; does it call listen(), and not with exclusive: true? Raise start_timeout if it needs "
		  "longer");
	ev_timer_stop(loop, timer);
	if (process->external)
		external_let_go(process, "it was not ready in start_timeout");
	if (is_incoming(process)) {
		roll_abort(process->slot, "was not ready in start_timeout");
		process_end(process, process->kill_timeout);
	}
}

void process_is_ready(struct process *process)
{
	struct supervisor *supervisor = process->supervisor;
	void (*on_first_ready)(const struct address *) = supervisor->options->on_first_ready;

	if (process->ready)
		return;
	process->ready = true;
	process->ready_since = clock_now();
	ev_timer_stop(supervisor->loop, &process->start_timer);
	log_info("%s (pid %d) ready", process->name, (int)process->pid);
	process_look_for_bypass(process);
	process_say_connections(process);
	if (process->external)
		external_is_ready(process);
	if (is_incoming(process) && !process->last_signal)
		roll_ready(process->slot);
	if (holds_slot(process) && !process->draining)
		slot_set_state(process->slot, SLOT_READY);
	if (!supervisor->was_ready && on_first_ready && !TAILQ_EMPTY(&supervisor->listenings))
		on_first_ready(&TAILQ_FIRST(&supervisor->listenings)->address);
	supervisor->was_ready = true;
}

struct process *process_new(struct supervisor *supervisor, const char *pool, const char *slot, int channel)
{
	struct process *process = calloc(1, sizeof(*process));

	if (!process) {
		close(channel);
		return NULL;
	}
	process->supervisor = supervisor;
	process->channel = channel;
	process->escort = -1;
	process->pool_name = strdup(pool);
	process->slot_name = strdup(slot);
	if (asprintf(&process->name, "pool %s: worker %s", pool, slot) < 0)
		process->name = NULL;
	process_servers_init(process);
	process_accept_init(process);
	ev_init(&process->child, on_exit_of_child);
	process->child.data = process;
	ev_init(&process->start_timer, on_start_timer);
	process->start_timer.data = process;
	ev_timer_init(&process->end_timer, on_end_timer, 0., 0.);
	process->end_timer.data = process;
	TAILQ_INSERT_TAIL(&supervisor->processes, process, entry);
	if (!process->pool_name || !process->slot_name || !process->name) {
		process_free(process);
		return NULL;
	}
	return process;
}

void process_start_start_timer(struct process *process)
{
	process->start_timer.repeat = (double)process->slot->pool->config->start_timeout / 1000;
	ev_timer_again(process->supervisor->loop, &process->start_timer);
	process_watch_for_bypass(process);
}

static void watch_child(struct process *process)
{
	ev_child_set(&process->child, process->agent ? process->agent : process->pid, 0);
	ev_child_start(process->supervisor->loop, &process->child);
}

/* Starts a process for the slot. NULL after saying why not. */
static struct process *launch(struct supervised_slot *slot)
{
	const struct pool_config *pool = slot->pool->config;
	struct supervisor *supervisor = slot->pool->supervisor;
	bool datagrams = pool->protocol == PROTOCOL_LIMPET || pool->protocol == PROTOCOL_ACCEPT;
	int type = datagrams ? SOCK_SEQPACKET : SOCK_STREAM;
	struct spawn spawn = {.pool = pool, .slot = slot->name, .nofile = &supervisor->nofile};
	struct process *process;
	const char *what;
	int ends[2];

	ev_now_update(supervisor->loop);
	if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends) < 0) {
		log_error("pool %s: worker %s: cannot make its channel: %s", pool->name, slot->name, strerror(errno));
		return NULL;
	}
	if (pool->protocol == PROTOCOL_ACCEPT && preload_name_front(ends[0]) < 0)
		log_warning("pool %s: worker %s: its channel gets no name: %s", pool->name, slot->name, strerror(errno));
	process = process_new(supervisor, slot->pool->name, slot->name, ends[0]);
	if (!process) {
		log_error("pool %s: worker %s: out of memory", pool->name, slot->name);
		close(ends[1]);
		return NULL;
	}
	process->slot = slot;
	process->protocol = pool->protocol;
	process->flavour = pool->flavour;
	process->drain_timeout = (double)pool->drain_timeout / 1000;
	process->kill_timeout = (double)pool->kill_timeout / 1000;
	process->drain_signal = pool->drain_signal;
	process->id = ++supervisor->next_worker;
	process->generation = ++slot->generation;
	spawn.channel = ends[1];
	spawn.worker = process->id;
	spawn.generation = process->generation;
	process->pid = spawn_worker(&spawn, &process->agent, &what);
	close(ends[1]);
	if (process->pid < 0) {
		log_error("%s: %s (%s): %s", process->name, what, pool->command[0], strerror(-(int)process->pid));
		process_free(process);
		return NULL;
	}
	stats_add(supervisor->stats, COUNTER_workers_started, 1);
	if (process->agent)
		log_info("%s (pid %d) started; limpet-agent (pid %d) serves its system calls, as %s", process->name,
		    (int)process->pid, (int)process->agent,
		    pool->accept == ACCEPT_BY_SECCOMP ? "\"accept\": \"seccomp\" says"
		                                      : "it is linked statically or written in Go");
	else
		log_info("%s (pid %d) started", process->name, (int)process->pid);
	watch_child(process);
	process_start_start_timer(process);
	return process;
}

void process_start(struct supervised_slot *slot)
{
	slot->process = launch(slot);
	if (!slot->process) {
		restart_later(slot);
		return;
	}
	slot->outdated = false;
	slot_set_state(slot, SLOT_STARTING);
	router_tell_worker(slot->pool->supervisor, LINK_WORKER_UP, slot->process);
}

void process_start_missing(struct supervised_slot *slot)
{
	if (!slot->external && !slot->process && !slot->incoming && !ev_is_active(&slot->restart_timer))
		process_start(slot);
}

int process_start_incoming(struct supervised_slot *slot)
{
	slot->incoming = launch(slot);
	if (!slot->incoming)
		return -EAGAIN;
	router_tell_worker(slot->pool->supervisor, LINK_WORKER_UP, slot->incoming);
	return 0;
}

struct process *process_adopt(struct supervisor *supervisor, const struct process_past *past)
{
	struct process *process = process_new(supervisor, past->pool, past->slot_name, past->channel);
	struct supervised_slot *slot = past->retired ? NULL : past->slot;

	if (!process) {
		if (past->escort >= 0)
			close(past->escort);
		return NULL;
	}
	process->external = past->external;
	process->escort = past->escort;
	process->left = past->left;
	process->lost = past->lost;
	if (slot && (slot->external != past->external))
		slot = NULL;
	if (slot && !slot->external && !pools_may_keep(slot->pool->config, past->protocol, past->flavour))
		slot = NULL;
	if (slot && (past->incoming ? slot->incoming : slot->process))
		slot = NULL;
	process->slot = slot;
	process->protocol = past->protocol;
	process->flavour = past->flavour;
	process->id = past->id;
	process->generation = past->generation;
	process->pid = past->pid;
	process->agent = past->agent;
	process->ready = past->ready;
	process->ready_since = past->ready_since;
	process->leaving = past->leaving;
	process->draining = past->draining;
	process->last_signal = past->last_signal;
	process->drain_timeout = past->drain_timeout;
	process->kill_timeout = past->kill_timeout;
	process->drain_signal = past->drain_signal > 0 && past->drain_signal < NSIG ? past->drain_signal : SIGTERM;
	if (slot && past->incoming && !past->external)
		slot->incoming = process;
	else if (slot)
		slot->process = process;
	if (slot && !past->incoming)
		slot_set_state(slot, past->draining ? SLOT_DRAINING : past->ready ? SLOT_READY : SLOT_STARTING);
	if (past->end_in >= 0)
		arm_end_timer(process, past->end_in);
	if (slot && !past->ready)
		process_start_start_timer(process);
	if (!process->external)
		watch_child(process);
	return process;
}
