/* What workers that take connections through accept() need besides: their data sockets are kept for the next router, they are
 * told to finish by a signal, and those that listen past limpet are found. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "supervisor/bypass.h"
#include "supervisor/external.h"
#include "supervisor/process.h"

/* Data sockets of one worker. */
#define KEPT_MAX 256

/* A worker that is not ready so long after its start, and again after as long, may listen by itself. */
#define BYPASS_SECONDS 1.0

void process_keep(struct process *process, uint64_t number, const char *key, int fd)
{
	struct process_kept *kept;
	int copy;

	process->accepts = true;
	copy = fd < 0 || process->kept_count >= KEPT_MAX ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);

	if (copy < 0)
		return;
	kept = malloc(sizeof(*kept) + strlen(key) + 1);
	if (!kept) {
		close(copy);
		return;
	}
	kept->number = number;
	kept->fd = copy;
	memcpy(kept->key, key, strlen(key) + 1);
	TAILQ_INSERT_TAIL(&process->kept, kept, entry);
	process->kept_count++;
}

void process_drop(struct process *process, uint64_t number)
{
	struct process_kept *kept;

	TAILQ_FOREACH(kept, &process->kept, entry)
	if (kept->number == number)
		break;
	if (!kept)
		return;
	TAILQ_REMOVE(&process->kept, kept, entry);
	process->kept_count--;
	close(kept->fd);
	free(kept);
}

const char *process_connections(const struct process *process)
{
	if (process->accepts || process->protocol == PROTOCOL_ACCEPT)
		return "accept";
	/* A worker of node:cluster says with its first server which way it is. */
	return process->ready || process->protocol != PROTOCOL_NODE_CLUSTER ? "message" : NULL;
}

void process_say_connections(struct process *process)
{
	struct supervised_pool *pool = process->slot ? process->slot->pool : NULL;

	if (!pool || pool->told_connections || process->accepts || process->external || process->protocol != PROTOCOL_NODE_CLUSTER ||
	    pool->config->connections != CONNECTIONS_ACCEPT)
		return;
	pool->told_connections = true;
	log_info("%s (pid %d) gets its connections in messages, not through accept(), which costs it more: "
	         "liblimpet-accept.so is not in it (not installed, node is linked statically, or LD_PRELOAD did not "
	         "reach it); \"connections\": \"message\" asks for that",
	    process->name, (int)process->pid);
}

void process_drained(struct process *process)
{
	if (process->draining && process->external)
		external_drained(process);
	else if (process->draining && !process->last_signal)
		process_signal(process, process->drain_signal);
}

/* ---- workers that listen by themselves ---- */

static size_t own_inodes(struct supervisor *supervisor, ino_t **inodes)
{
	const struct listening *listening;
	struct stat status;
	size_t count = 0;

	TAILQ_FOREACH(listening, &supervisor->listenings, entry)
	count++;
	*inodes = calloc(count + 1, sizeof(ino_t));
	if (!*inodes)
		return 0;
	count = 0;
	TAILQ_FOREACH(listening, &supervisor->listenings, entry)
	if (listening->fd >= 0 && fstat(listening->fd, &status) == 0)
		(*inodes)[count++] = status.st_ino;
	return count;
}

void process_look_for_bypass(struct process *process)
{
	struct address address;
	ino_t *own;
	size_t count;

	/* One that was told to finish may hold a socket that limpet has closed. */
	if (process->protocol != PROTOCOL_ACCEPT || process->external || process->bypass[0] || process->draining)
		return;
	count = own_inodes(process->supervisor, &own);
	if (own && bypass_find(process->pid, own, count, &address)) {
		address_format(&address, process->bypass, sizeof(process->bypass));
		log_warning("%s (pid %d) listens on %s by itself, past limpet, which cannot give it connections "
		            "there: it is linked statically, makes its system calls by itself (as Go does), has "
		            "privileges with which the system ignores LD_PRELOAD, or was started by such a program that "
		            "has closed limpet's socket; %s",
		    process->name, (int)process->pid, process->bypass,
		    process->agent ? "it is a 32-bit program, or accepts by other means, see limpet(8)"
		                   : "reach it from outside with \"accept\": \"seccomp\" in its pool, see "
		                     "limpet.json(5)");
	}
	free(own);
}

static void on_bypass_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct process *process = timer->data;

	process_look_for_bypass(process);
	if (process->ready || process->bypass[0] || !ev_is_active(&process->start_timer))
		ev_timer_stop(loop, timer);
}

void process_watch_for_bypass(struct process *process)
{
	if (process->protocol == PROTOCOL_ACCEPT && !process->external)
		ev_timer_again(process->supervisor->loop, &process->bypass_timer);
}

/* ---- life ---- */

void process_accept_init(struct process *process)
{
	TAILQ_INIT(&process->kept);
	ev_timer_init(&process->bypass_timer, on_bypass_timer, 0., BYPASS_SECONDS);
	process->bypass_timer.data = process;
}

void process_accept_deinit(struct process *process)
{
	ev_timer_stop(process->supervisor->loop, &process->bypass_timer);
	while (!TAILQ_EMPTY(&process->kept))
		process_drop(process, TAILQ_FIRST(&process->kept)->number);
}
