#include "supervisor/process.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "supervisor/backoff.h"
#include "supervisor/router_process.h"
#include "supervisor/spawn.h"

static void set_state(struct supervised_slot *slot, enum slot_state state)
{
	slot->stats->state = state;
	slot->stats->pid = slot->process ? slot->process->pid : 0;
	slot->stats->generation = slot->generation;
}

static const char *pool_name(const struct supervised_slot *slot)
{
	return slot->pool->config->name;
}

struct process *process_find(struct supervisor *supervisor, uint32_t id)
{
	struct process *process;

	TAILQ_FOREACH (process, &supervisor->processes, entry)
		if (process->id == id)
			return process;
	return NULL;
}

/* ---- servers ---- */

struct process_server *process_server_find(struct process *process, const char *key)
{
	struct process_server *server;

	TAILQ_FOREACH (server, &process->servers, entry)
		if (strcmp(server->key, key) == 0)
			return server;
	return NULL;
}

int process_server_add(struct process *process, const char *key, uint32_t listening)
{
	struct process_server *server = process_server_find(process, key);

	if (!server) {
		server = calloc(1, sizeof(*server) + strlen(key) + 1);
		if (!server)
			return -ENOMEM;
		memcpy(server->key, key, strlen(key) + 1);
		TAILQ_INSERT_TAIL(&process->servers, server, entry);
	}
	server->listening = listening;
	return 0;
}

void process_server_remove(struct process *process, struct process_server *server)
{
	TAILQ_REMOVE(&process->servers, server, entry);
	free(server);
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

	set_state(slot, SLOT_BACKOFF);
	slot->stats->restarts++;
	log_info("pool %s: worker %s starts again in %.1f s", pool_name(slot), slot->config->name, delay);
	ev_timer_init(&slot->restart_timer, on_restart_timer, delay, 0.);
	slot->restart_timer.data = slot;
	ev_timer_start(supervisor->loop, &slot->restart_timer);
}

void process_cancel_restarts(struct supervisor *supervisor)
{
	for (size_t i = 0; i < supervisor->config->pools_count; i++) {
		struct supervised_pool *pool = &supervisor->pools[i];

		for (size_t j = 0; j < pool->config->slots_count; j++) {
			ev_timer_stop(supervisor->loop, &pool->slots[j].restart_timer);
			if (!pool->slots[j].process)
				set_state(&pool->slots[j], SLOT_STOPPED);
		}
	}
}

/* ---- the end of a process ---- */

static void log_exit(const struct process *process, int status)
{
	const char *pool = pool_name(process->slot), *slot = process->slot->config->name;
	int number = WIFSIGNALED(status) ? WTERMSIG(status) : 0;

	/* Expected: it was told to end, or it said that it leaves and did. */
	if ((number && number == process->last_signal) ||
	    (!number && WEXITSTATUS(status) == 0 && (process->draining || process->leaving)))
		log_info("pool %s: worker %s (pid %d) ended", pool, slot, (int)process->pid);
	else if (number)
		log_warning("pool %s: worker %s (pid %d) was killed by signal %d (%s)%s", pool, slot,
		    (int)process->pid, number, strsignal(number), WCOREDUMP(status) ? ", core dumped" : "");
	else
		log_warning("pool %s: worker %s (pid %d) exited with status %d%s", pool, slot, (int)process->pid,
		    WEXITSTATUS(status), process->ready ? "" : " before it listened");
}

static void process_free(struct process *process)
{
	struct supervisor *supervisor = process->supervisor;

	ev_child_stop(supervisor->loop, &process->child);
	ev_timer_stop(supervisor->loop, &process->start_timer);
	ev_timer_stop(supervisor->loop, &process->end_timer);
	while (!TAILQ_EMPTY(&process->servers))
		process_server_remove(process, TAILQ_FIRST(&process->servers));
	TAILQ_REMOVE(&supervisor->processes, process, entry);
	close(process->channel);
	free(process);
}

static void on_exit_of_child(struct ev_loop *loop, ev_child *child, int revents)
{
	struct process *process = child->data;
	struct supervisor *supervisor = process->supervisor;
	struct supervised_slot *slot = process->slot;
	bool vacated = slot->process == process; /* one that left has a successor already, or soon */

	log_exit(process, child->rstatus);
	stats_add(supervisor->stats, COUNTER_workers_exited, 1);
	/* What it left behind in its process group (npm's children, say) has lost its front. */
	kill(-process->pid, process->last_signal == SIGKILL ? SIGKILL : SIGTERM);
	router_tell_worker(supervisor, LINK_WORKER_GONE, process);
	if (process->ready && ev_now(loop) - process->ready_since >= BACKOFF_STABLE)
		slot->failures = 0;
	if (vacated)
		slot->process = NULL;
	process_free(process);
	if (vacated && supervisor->state == SUPERVISOR_RUNNING)
		restart_later(slot);
	else if (vacated)
		set_state(slot, SLOT_STOPPED);
	supervisor_check_end(supervisor);
}

static void send_signal(struct process *process, int number)
{
	process->last_signal = number;
	if (kill(-process->pid, number) < 0)
		kill(process->pid, number);
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
	const struct pool_config *pool = process->slot->pool->config;

	if (process->last_signal == 0) {
		log_warning("pool %s: worker %s (pid %d) still has connections after drain_timeout: it is ended", pool->name,
		    process->slot->config->name, (int)process->pid);
		process_end(process, (double)pool->kill_timeout / 1000);
		return;
	}
	log_warning("pool %s: worker %s (pid %d) did not end in time: it is killed", pool->name,
	    process->slot->config->name, (int)process->pid);
	send_signal(process, SIGKILL);
}

void process_end(struct process *process, double grace)
{
	if (process->last_signal == SIGKILL)
		return;
	send_signal(process, SIGTERM);
	arm_end_timer(process, grace);
}

void process_drain(struct process *process)
{
	const struct pool_config *pool = process->slot->pool->config;

	if (process->draining || process->last_signal)
		return;
	process->draining = true;
	if (process->slot->process == process)
		set_state(process->slot, SLOT_DRAINING);
	if (!process->ready) {
		process_end(process, (double)pool->kill_timeout / 1000);
		return;
	}
	router_tell_worker(process->supervisor, LINK_WORKER_DRAIN, process);
	arm_end_timer(process, (double)pool->drain_timeout / 1000);
}

void process_leaves(struct process *process)
{
	if (process->leaving || process->draining)
		return;
	process->leaving = true;
	log_info("pool %s: worker %s (pid %d) leaves", pool_name(process->slot), process->slot->config->name,
	    (int)process->pid);
	arm_end_timer(process, (double)process->slot->pool->config->drain_timeout / 1000);
	if (process->slot->process != process)
		return;
	/* It may keep its connections for long: its slot gets a new worker now. */
	process->slot->process = NULL;
	if (process->supervisor->state == SUPERVISOR_RUNNING)
		restart_later(process->slot);
}

void process_lost(struct process *process, const char *why)
{
	const struct pool_config *pool = process->slot->pool->config;

	if (process->leaving || process->draining || process->last_signal)
		return;
	log_warning("pool %s: worker %s (pid %d): its channel is lost: %s; it is ended after kill_timeout unless it ends "
		    "by itself",
	    pool->name, process->slot->config->name, (int)process->pid, why);
	process->leaving = true;
	arm_end_timer(process, (double)pool->kill_timeout / 1000);
}

/* ---- the start of a process ---- */

static void on_start_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct process *process = timer->data;
	const struct pool_config *pool = process->slot->pool->config;

	log_warning("pool %s: worker %s (pid %d) was started %.0f s ago and %s", pool->name,
	    process->slot->config->name, (int)process->pid, (double)pool->start_timeout / 1000,
	    pool->protocol == PROTOCOL_LIMPET
		? "has not said that it is ready; see limpet-worker(7), or raise start_timeout"
		: "does not listen; does it call listen(), and not with exclusive: true? Raise start_timeout if it needs "
		  "longer");
}

void process_is_ready(struct process *process)
{
	struct supervisor *supervisor = process->supervisor;
	struct supervised_slot *slot = process->slot;

	if (process->ready)
		return;
	process->ready = true;
	process->ready_since = ev_now(supervisor->loop);
	ev_timer_stop(supervisor->loop, &process->start_timer);
	if (slot->process == process && !process->draining)
		set_state(slot, SLOT_READY);
	log_info("pool %s: worker %s (pid %d) ready", pool_name(slot), slot->config->name, (int)process->pid);
	if (!supervisor->was_ready && supervisor->on_first_ready && !TAILQ_EMPTY(&supervisor->listenings))
		supervisor->on_first_ready(&TAILQ_FIRST(&supervisor->listenings)->address);
	supervisor->was_ready = true;
}

static struct process *process_new(struct supervised_slot *slot, int channel)
{
	struct supervisor *supervisor = slot->pool->supervisor;
	struct process *process = calloc(1, sizeof(*process));

	if (!process)
		return NULL;
	process->supervisor = supervisor;
	process->slot = slot;
	process->id = ++supervisor->next_worker;
	process->generation = ++slot->generation;
	process->channel = channel;
	TAILQ_INIT(&process->servers);
	ev_init(&process->child, on_exit_of_child);
	process->child.data = process;
	ev_timer_init(&process->start_timer, on_start_timer, (double)slot->pool->config->start_timeout / 1000, 0.);
	process->start_timer.data = process;
	ev_timer_init(&process->end_timer, on_end_timer, 0., 0.);
	process->end_timer.data = process;
	TAILQ_INSERT_TAIL(&supervisor->processes, process, entry);
	return process;
}

void process_start(struct supervised_slot *slot)
{
	const struct pool_config *pool = slot->pool->config;
	struct supervisor *supervisor = slot->pool->supervisor;
	int type = pool->protocol == PROTOCOL_LIMPET ? SOCK_SEQPACKET : SOCK_STREAM;
	struct spawn spawn = {.pool = pool, .slot = slot->config->name};
	struct process *process;
	const char *what = "cannot make its channel";
	int ends[2];

	ev_now_update(supervisor->loop);
	if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends) < 0) {
		log_error("pool %s: worker %s: %s: %s", pool->name, slot->config->name, what, strerror(errno));
		restart_later(slot);
		return;
	}
	process = process_new(slot, ends[0]);
	if (!process) {
		close(ends[0]);
		close(ends[1]);
		restart_later(slot);
		return;
	}
	spawn.channel = ends[1];
	spawn.worker = process->id;
	spawn.generation = process->generation;
	process->pid = spawn_worker(&spawn, &what);
	close(ends[1]);
	if (process->pid < 0) {
		log_error("pool %s: worker %s: %s (%s): %s", pool->name, slot->config->name, what, pool->command[0],
		    strerror(-(int)process->pid));
		process_free(process);
		restart_later(slot);
		return;
	}
	slot->process = process;
	set_state(slot, SLOT_STARTING);
	stats_add(supervisor->stats, COUNTER_workers_started, 1);
	log_info("pool %s: worker %s (pid %d) started", pool->name, slot->config->name, (int)process->pid);
	ev_child_set(&process->child, process->pid, 0);
	ev_child_start(supervisor->loop, &process->child);
	ev_timer_start(supervisor->loop, &process->start_timer);
	router_tell_worker(supervisor, LINK_WORKER_UP, process);
}
