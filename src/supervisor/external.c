#include "supervisor/external.h"

#include <linux/sockios.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd_passing.h"
#include "base/log.h"
#include "supervisor/router_process.h"

/* Between two looks whether a worker's end is empty: the kernel says that it is closed a moment before it has emptied it. */
#define EMPTY_SECONDS 0.01

/* A worker that says no more and leaves hand-offs unread has had its time. */
#define EMPTY_TRIES 500

/* Can such a worker go on with another front? The Node protocols and accept have told the front what they listen on, once. */
static bool can_join_again(const struct process *process)
{
	return process->protocol == PROTOCOL_LIMPET || process->protocol == PROTOCOL_NODE_IPC;
}

/* Bytes that are in the worker's end of the socket, not taken. The kernel counts them as the sender's. */
static int unread(int fd)
{
	int bytes = 0;

	return ioctl(fd, SIOCOUTQ, &bytes) < 0 ? 0 : bytes;
}

static bool is_empty(const struct process *process)
{
	const struct process_kept *kept;

	TAILQ_FOREACH (kept, &process->kept, entry)
		if (unread(kept->fd))
			return false;
	return !unread(process->channel);
}

static void arm(struct process *process, double delay)
{
	ev_timer_stop(process->supervisor->loop, &process->end_timer);
	ev_timer_set(&process->end_timer, delay, 0.);
	ev_timer_start(process->supervisor->loop, &process->end_timer);
}

/* limpet-join reads little and seldom: what does not fit is lost, and the end of the channel says the same. */
static void tell_escort(const struct process *process, const char *type, const char *reason)
{
	char message[256];
	int length = snprintf(message, sizeof(message), reason ? "{\"type\":\"%s\",\"reason\":\"%s\"}" : "{\"type\":\"%s\"}", type,
	    reason);

	if (process->escort >= 0)
		fd_send(process->escort, message, (size_t)length, -1);
}

static void gone(struct process *process)
{
	struct supervised_slot *slot = process->slot;
	struct supervisor *supervisor = process->supervisor;
	bool held = slot && slot->process == process;

	log_info("%s (pid %d, external) is gone", process->name, (int)process->pid);
	router_tell_worker(supervisor, LINK_WORKER_GONE, process);
	if (held) {
		slot->process = NULL;
		slot_set_state(slot, slot_vacant_state(slot));
	}
	process_free(process);
	supervisor_check_end(supervisor);
}

void external_end_timer(struct process *process)
{
	if (process->lost && is_empty(process)) {
		gone(process);
	} else if (process->lost && process->empty_tries++ < EMPTY_TRIES) {
		arm(process, EMPTY_SECONDS);
	} else {
		if (!process->lost && !process->let_go && !process->left)
			log_warning("%s (pid %d, external) still has connections after drain_timeout: limpet leaves it alone",
			    process->name, (int)process->pid);
		process->may_have_read = true;
		gone(process);
	}
}

void external_lost(struct process *process, int error)
{
	if (process->lost || process->let_go)
		return;
	if (error)
		tell_escort(process, "bye", "its channel has failed");
	process->lost = true;
	arm(process, 0.);
}

void external_let_go(struct process *process, const char *why)
{
	if (process->lost || process->let_go)
		return;
	process->let_go = true;
	if (why)
		tell_escort(process, "bye", why);
	arm(process, 0.);
}

void external_drained(struct process *process)
{
	if (process->left)
		external_let_go(process, NULL);
	else if (process->protocol == PROTOCOL_ACCEPT)
		tell_escort(process, "drain", NULL);
}

void external_drain(struct process *process)
{
	if (process->lost || process->let_go)
		return;
	process->draining = true;
	if (process->slot && process->slot->process == process)
		slot_set_state(process->slot, SLOT_DRAINING);
	if (!process->ready) {
		external_let_go(process, "limpet is stopping");
		return;
	}
	process->left = process->supervisor->state != SUPERVISOR_RUNNING && can_join_again(process);
	if (process->left)
		tell_escort(process, "bye", "limpet is stopping");
	else if (process->protocol != PROTOCOL_ACCEPT)
		tell_escort(process, "drain", NULL);
	router_tell_worker(process->supervisor, LINK_WORKER_DRAIN, process);
	arm(process, process->left ? process->kill_timeout : process->drain_timeout);
}

void external_is_ready(struct process *process)
{
	tell_escort(process, "ready", NULL);
}

struct process *external_new(struct supervised_slot *slot, const struct external_joiner *joiner)
{
	struct supervisor *supervisor = slot->pool->supervisor;
	const struct pool_config *pool = slot->pool->config;
	struct process *process = process_new(supervisor, slot->pool->name, slot->name, joiner->channel);

	if (!process) {
		if (joiner->escort >= 0)
			close(joiner->escort);
		return NULL;
	}
	process->external = true;
	process->escort = joiner->escort;
	process->slot = slot;
	process->protocol = joiner->hello->protocol;
	process->flavour = joiner->hello->flavour;
	process->drain_timeout = (double)pool->drain_timeout / 1000;
	process->kill_timeout = (double)pool->kill_timeout / 1000;
	process->drain_signal = pool->drain_signal;
	process->id = ++supervisor->next_worker;
	process->generation = ++slot->generation;
	process->pid = joiner->pid;
	slot->process = process;
	slot_set_state(slot, SLOT_STARTING);
	return process;
}

void external_begin(struct process *process)
{
	struct supervisor *supervisor = process->supervisor;

	stats_add(supervisor->stats, COUNTER_external_joined, 1);
	log_info("%s (pid %d, external) has joined", process->name, (int)process->pid);
	router_tell_worker(supervisor, LINK_WORKER_UP, process);
	process_start_start_timer(process);
}
