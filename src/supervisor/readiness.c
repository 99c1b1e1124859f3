#include "supervisor/readiness.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "supervisor/process.h"

#define STATUS_MAX 256
#define STATUS_INTERVAL 1.0 /* seconds between two lines of status, at least */

/* For what is not waiting on a timeout of the configuration. */
#define MARGIN 10.0

struct readiness {
	struct supervisor *supervisor;
	ev_prepare prepare; /* whatever has changed changed since the loop last slept */
	ev_timer late_timer;
	ev_timer status_timer;
	ev_timer watchdog_timer;
	bool late; /* the longest start_timeout is over */
	bool told;
	bool reload_failed;
	double status_sent;
	char status[STATUS_MAX];
};

struct tally {
	size_t slots;
	size_t ready;
	size_t pools_ready;
};

double readiness_watchdog_interval(const char *usec, const char *pid)
{
	unsigned long long value;
	char *end;

	if (!usec || !isdigit((unsigned char)*usec) || (pid && *pid && atoll(pid) != (long long)getpid()))
		return 0;
	value = strtoull(usec, &end, 10);
	return *end ? 0 : (double)value / 2e6;
}

/* ---- what there is to be told ---- */

static struct tally count(const struct supervisor *supervisor)
{
	struct tally tally = {0};

	for (size_t i = 0; i < supervisor->pools_count; i++) {
		const struct supervised_pool *pool = supervisor->pools[i];
		size_t before = tally.ready;

		for (size_t j = 0; j < pool->slots_count; j++)
			tally.ready += pool->slots[j]->process && pool->slots[j]->process->ready;
		tally.slots += pool->slots_count;
		tally.pools_ready += tally.ready > before || pool->config->workers == 0;
	}
	return tally;
}

static size_t count_processes(const struct supervisor *supervisor)
{
	const struct process *process;
	size_t result = 0;

	TAILQ_FOREACH (process, &supervisor->processes, entry)
		result++;
	return result;
}

static void write_status(const struct readiness *readiness, const struct tally *tally, char text[STATUS_MAX])
{
	const struct supervisor *supervisor = readiness->supervisor;

	switch (supervisor->state) {
	case SUPERVISOR_RUNNING:
		snprintf(text, STATUS_MAX, "%zu of %zu workers ready in %zu pool%s%s", tally->ready, tally->slots,
		    supervisor->pools_count, supervisor->pools_count == 1 ? "" : "s",
		    readiness->reload_failed ? "; the last reload changed nothing, the log says why" : "");
		break;
	case SUPERVISOR_DRAINING:
		snprintf(text, STATUS_MAX, "draining: %zu workers finish their connections", count_processes(supervisor));
		break;
	default:
		snprintf(text, STATUS_MAX, "stopping: %zu workers left", count_processes(supervisor));
	}
}

static unsigned long long monotonic_usec(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (unsigned long long)now.tv_sec * 1000000 + (unsigned long long)now.tv_nsec / 1000;
}

static void ask_for_time(struct supervisor *supervisor, double seconds)
{
	notify_send(&supervisor->notify, -1, "EXTEND_TIMEOUT_USEC=%.0f", (seconds + MARGIN) * 1e6);
}

/* ---- telling ---- */

static void tell_status(struct readiness *readiness, const struct tally *tally)
{
	struct ev_loop *loop = readiness->supervisor->loop;
	double wait = readiness->status_sent + STATUS_INTERVAL - clock_now();
	char text[STATUS_MAX];

	write_status(readiness, tally, text);
	if (strcmp(text, readiness->status) == 0)
		return;
	if (wait > 0 && wait <= STATUS_INTERVAL) {
		/* Its callback has nothing to do: the loop wakes up, and we come here again. */
		if (!ev_is_active(&readiness->status_timer)) {
			ev_timer_set(&readiness->status_timer, wait, 0.);
			ev_timer_start(loop, &readiness->status_timer);
		}
		return;
	}
	strcpy(readiness->status, text);
	readiness->status_sent = clock_now();
	notify_send(&readiness->supervisor->notify, -1, "STATUS=%s", text);
}

static void tell_ready(struct readiness *readiness, const struct tally *tally)
{
	struct supervisor *supervisor = readiness->supervisor;

	if (supervisor->state != SUPERVISOR_RUNNING ||
	    (tally->pools_ready < supervisor->pools_count && !(readiness->late && tally->ready)))
		return;
	readiness->told = true;
	notify_send(&supervisor->notify, -1, "READY=1\nMAINPID=%ld", (long)getpid());
}

static void on_prepare(struct ev_loop *loop, ev_prepare *prepare, int revents)
{
	struct readiness *readiness = prepare->data;
	struct tally tally = count(readiness->supervisor);

	if (!readiness->told)
		tell_ready(readiness, &tally);
	tell_status(readiness, &tally);
}

/* A worker that is ready may still open further servers: only now is it known what nobody wants. */
static void on_late_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct readiness *readiness = timer->data;

	readiness->late = true;
	if (readiness->supervisor->state == SUPERVISOR_RUNNING)
		activation_settle(&readiness->supervisor->activation);
}

static void on_status_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
}

static void on_watchdog_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct readiness *readiness = timer->data;

	notify_send(&readiness->supervisor->notify, -1, "WATCHDOG=1");
}

void readiness_reloading(struct supervisor *supervisor)
{
	if (readiness_told(supervisor))
		notify_send(&supervisor->notify, -1, "RELOADING=1\nMONOTONIC_USEC=%llu", monotonic_usec());
}

void readiness_reloaded(struct supervisor *supervisor, int result)
{
	supervisor->readiness->reload_failed = result < 0;
	if (readiness_told(supervisor))
		notify_send(&supervisor->notify, -1, "READY=1");
}

/* From the end of routing to that of the last worker. */
static double longest_end(const struct config *config)
{
	uint64_t longest = 0;

	for (size_t i = 0; i < config->pools_count; i++) {
		uint64_t end = config->pools[i].drain_timeout + config->pools[i].kill_timeout;

		if (end > longest)
			longest = end;
	}
	return (double)longest / 1000;
}

void readiness_stopping(struct supervisor *supervisor)
{
	notify_send(&supervisor->notify, -1, "STOPPING=1");
	if (supervisor->state == SUPERVISOR_DRAINING)
		ask_for_time(supervisor,
		    supervisor_longest_wait(supervisor->config) + longest_end(supervisor->config));
}

/* ---- life ---- */

static double longest_start(const struct config *config)
{
	uint64_t longest = 0;

	for (size_t i = 0; i < config->pools_count; i++)
		if (config->pools[i].start_timeout > longest)
			longest = config->pools[i].start_timeout;
	return (double)longest / 1000;
}

static void start_telling(struct readiness *readiness)
{
	struct ev_loop *loop = readiness->supervisor->loop;
	double interval = readiness_watchdog_interval(getenv("WATCHDOG_USEC"), getenv("WATCHDOG_PID"));

	if (!readiness->told)
		ask_for_time(readiness->supervisor, longest_start(readiness->supervisor->config));
	ev_prepare_start(loop, &readiness->prepare);
	ev_timer_set(&readiness->watchdog_timer, 0., interval);
	if (interval > 0)
		ev_timer_start(loop, &readiness->watchdog_timer);
}

int readiness_open(struct supervisor *supervisor, bool told)
{
	struct readiness *readiness = calloc(1, sizeof(*readiness));

	if (!readiness)
		return -ENOMEM;
	supervisor->readiness = readiness;
	readiness->supervisor = supervisor;
	readiness->told = told;
	ev_prepare_init(&readiness->prepare, on_prepare);
	readiness->prepare.data = readiness;
	ev_init(&readiness->status_timer, on_status_timer);
	ev_init(&readiness->watchdog_timer, on_watchdog_timer);
	readiness->watchdog_timer.data = readiness;
	ev_timer_init(&readiness->late_timer, on_late_timer, longest_start(supervisor->config), 0.);
	readiness->late_timer.data = readiness;
	ev_timer_start(supervisor->loop, &readiness->late_timer);
	if (notify_wanted(&supervisor->notify))
		start_telling(readiness);
	return 0;
}

bool readiness_told(const struct supervisor *supervisor)
{
	return supervisor->readiness && supervisor->readiness->told;
}

void readiness_close(struct supervisor *supervisor)
{
	struct readiness *readiness = supervisor->readiness;

	if (!readiness)
		return;
	ev_prepare_stop(supervisor->loop, &readiness->prepare);
	ev_timer_stop(supervisor->loop, &readiness->late_timer);
	ev_timer_stop(supervisor->loop, &readiness->status_timer);
	ev_timer_stop(supervisor->loop, &readiness->watchdog_timer);
	free(readiness);
	supervisor->readiness = NULL;
}
