#include "supervisor/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "supervisor/control.h"
#include "supervisor/file_limit.h"
#include "supervisor/join.h"
#include "supervisor/listeners.h"
#include "supervisor/parked.h"
#include "supervisor/pools.h"
#include "supervisor/reload.h"
#include "supervisor/process.h"
#include "supervisor/readiness.h"
#include "supervisor/roll.h"
#include "supervisor/router_process.h"
#include "supervisor/state.h"
#include "supervisor/upgrade.h"

/* Between SIGTERM and SIGKILL when limpet is told to stop now. */
#define STOP_NOW_GRACE 2.0

void supervisor_check_end(struct supervisor *supervisor)
{
	if (supervisor->state == SUPERVISOR_RUNNING || !TAILQ_EMPTY(&supervisor->processes))
		return;
	if (supervisor->router || supervisor->former)
		router_end(supervisor); /* its exit comes here again */
	else
		ev_break(supervisor->loop, EVBREAK_ALL);
}

/* ---- stopping ---- */

void supervisor_drain_workers(struct supervisor *supervisor)
{
	struct process *process;

	ev_timer_stop(supervisor->loop, &supervisor->idle_timer);
	TAILQ_FOREACH (process, &supervisor->processes, entry)
		process_drain(process);
	supervisor_check_end(supervisor);
}

static void on_idle_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
	supervisor_drain_workers(timer->data);
}

double supervisor_longest_wait(const struct config *config)
{
	uint64_t longest = 0;

	for (size_t i = 0; i < config->pools_count; i++) {
		const struct pool_config *pool = &config->pools[i];
		uint64_t wait = pool->worker_listener->head_timeout + pool->hold;

		if (wait > longest)
			longest = wait;
	}
	for (size_t i = 0; i < config->listeners_count; i++)
		if (config->listeners[i].head_timeout + config->listeners[i].pool->hold > longest)
			longest = config->listeners[i].head_timeout + config->listeners[i].pool->hold;
	return (double)longest / 1000 + 1;
}

void supervisor_drain(struct supervisor *supervisor)
{
	struct link_message message;

	if (supervisor->state != SUPERVISOR_RUNNING)
		return;
	log_info("stopping: no new connections; workers finish those that they have");
	supervisor->state = SUPERVISOR_DRAINING;
	readiness_stopping(supervisor);
	process_cancel_restarts(supervisor);
	link_message_init(&message, LINK_STOP);
	router_send(supervisor, &message, -1);
	ev_timer_init(&supervisor->idle_timer, on_idle_timer, supervisor_longest_wait(supervisor->config), 0.);
	supervisor->idle_timer.data = supervisor;
	ev_timer_start(supervisor->loop, &supervisor->idle_timer);
	/* The router has its own copies, and empties their backlogs. */
	listeners_close_all(supervisor);
	join_close_all(supervisor);
	supervisor_check_end(supervisor);
}

void supervisor_stop_now(struct supervisor *supervisor)
{
	struct process *process;

	if (supervisor->state == SUPERVISOR_STOPPING) {
		TAILQ_FOREACH (process, &supervisor->processes, entry)
			process_end(process, 0.);
		return;
	}
	log_info("stopping now");
	supervisor->state = SUPERVISOR_STOPPING;
	readiness_stopping(supervisor);
	process_cancel_restarts(supervisor);
	ev_timer_stop(supervisor->loop, &supervisor->idle_timer);
	router_end(supervisor);
	listeners_close_all(supervisor);
	join_close_all(supervisor);
	TAILQ_FOREACH (process, &supervisor->processes, entry)
		process_end(process, STOP_NOW_GRACE);
	supervisor_check_end(supervisor);
}

/* ---- signals ---- */

static void reopen_log(struct supervisor *supervisor)
{
	struct link_message message;
	int result = log_reopen();

	if (result < 0) {
		log_error("cannot open the log again: %s; the old file stays in use", strerror(-result));
		return;
	}
	link_message_init(&message, LINK_LOG);
	if (log_fd() != STDERR_FILENO)
		router_send(supervisor, &message, log_fd());
}

static void on_signal(struct ev_loop *loop, ev_signal *signal, int revents)
{
	struct supervisor *supervisor = signal->data;

	switch (signal->signum) {
	case SIGTERM:
		/* timeout(1) and others send it twice: only SIGINT cuts a drain short. */
		if (supervisor->state == SUPERVISOR_RUNNING)
			supervisor_drain(supervisor);
		break;
	case SIGINT:
	case SIGQUIT:
		supervisor_stop_now(supervisor);
		break;
	case SIGHUP:
		reload(supervisor);
		break;
	case SIGUSR1:
		reopen_log(supervisor);
		break;
	case SIGUSR2:
		upgrade(supervisor);
		break;
	}
}

static void watch_signals(struct supervisor *supervisor)
{
	static const int numbers[] = {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2};

	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a log that cannot grow must not stop the service */
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		ev_signal_init(&supervisor->signals[i], on_signal, numbers[i]);
		supervisor->signals[i].data = supervisor;
		ev_signal_start(supervisor->loop, &supervisor->signals[i]);
	}
}

/* ---- start and end ---- */

static int read_seed(struct supervisor *supervisor)
{
	const char *path = supervisor->config->hash_secret;
	ssize_t length;
	int fd;

	if (!path)
		return getrandom(supervisor->seed, sizeof(supervisor->seed), 0) == sizeof(supervisor->seed) ? 0 : -errno;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		log_error("hash_secret %s: %s", path, strerror(errno));
		return -errno;
	}
	length = read(fd, supervisor->seed, sizeof(supervisor->seed));
	close(fd);
	if (length != sizeof(supervisor->seed)) {
		log_error("hash_secret %s: holds less than 32 bytes; make it with: head -c 32 /dev/urandom > %s", path,
		    path);
		return -EINVAL;
	}
	return 0;
}

/* Signals that came during an upgrade waited for these handlers; children that ended meanwhile are asked for. */
static void release_signals(void)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	raise(SIGCHLD);
}

/* From nothing. */
static int begin(struct supervisor *supervisor)
{
	int result = read_seed(supervisor);

	if (!result)
		result = activation_take(&supervisor->activation);
	if (!result)
		result = listeners_prepare(supervisor, supervisor->config);
	if (!result)
		result = join_prepare(supervisor, supervisor->config);
	if (!result)
		result = pools_apply(supervisor, supervisor->config);
	if (!result) {
		listeners_commit(supervisor, supervisor->config);
		join_commit(supervisor, supervisor->config);
	}
	return result;
}

/* From what the binary before left. */
static int resume(struct supervisor *supervisor, const char *fd, bool *told_ready)
{
	json_t *state = state_read(atoi(fd));
	int result = state ? state_restore(supervisor, state) : -EPROTO;

	*told_ready = json_is_true(json_object_get(state, "told_ready"));
	unsetenv(UPGRADE_ENVIRONMENT);
	json_decref(state);
	return result;
}

static int supervisor_init(struct supervisor *supervisor, struct config *config)
{
	const char *state = getenv(UPGRADE_ENVIRONMENT);
	bool told_ready = false;
	int result;

	supervisor->config = config;
	TAILQ_INIT(&supervisor->processes);
	TAILQ_INIT(&supervisor->listenings);
	TAILQ_INIT(&supervisor->doors);
	activation_init(&supervisor->activation, &supervisor->notify);
	supervisor->loop = ev_default_loop(EVFLAG_NOENV);
	supervisor->stats = stats_new(&supervisor->stats_fd);
	if (!supervisor->loop || !supervisor->stats)
		return -ENOMEM;
	supervisor->started = clock_now();
	supervisor->former_control = -1;
	file_limit_raise(&supervisor->nofile);
	file_limit_check(config);
	notify_init(&supervisor->notify, getenv("NOTIFY_SOCKET"));
	result = state ? resume(supervisor, state, &told_ready) : control_open(supervisor, -1);
	if (result)
		return result;
	if (state)
		control_open(supervisor, supervisor->former_control); /* without it clients are served all the same */
	else
		result = begin(supervisor);
	if (!result)
		result = readiness_open(supervisor, told_ready);
	if (result)
		return result;
	watch_signals(supervisor);
	release_signals();
	return router_start(supervisor);
}

static void start_workers(struct supervisor *supervisor)
{
	for (size_t i = 0; i < supervisor->pools_count; i++) {
		struct supervised_pool *pool = supervisor->pools[i];

		for (size_t j = 0; j < pool->slots_count; j++)
			process_start_missing(pool->slots[j]);
		/* An upgrade may have come during a roll. */
		roll_on(pool);
	}
}

/* Workers whose slot went with an upgrade's configuration. */
static void drain_slotless(struct supervisor *supervisor)
{
	struct process *process;

	TAILQ_FOREACH (process, &supervisor->processes, entry)
		if (!process->slot)
			process_drain(process);
}

static void supervisor_deinit(struct supervisor *supervisor)
{
	control_close(supervisor);
	readiness_close(supervisor);
	/* There are some left only if the start failed; the next one may have them. */
	listeners_leave_all(supervisor);
	join_close_all(supervisor);
	process_forget_all(supervisor);
	activation_deinit(&supervisor->activation);
	pools_free(supervisor);
	parked_free(&supervisor->parked);
	stats_free(supervisor->stats);
	if (supervisor->stats_fd >= 0)
		close(supervisor->stats_fd);
	config_free(supervisor->config);
	if (supervisor->loop)
		ev_loop_destroy(supervisor->loop);
	free(supervisor);
}

int supervisor_run(struct config *config, const struct supervisor_options *options)
{
	struct supervisor *supervisor = calloc(1, sizeof(*supervisor));
	int status = 0;

	if (!supervisor) {
		config_free(config);
		return 2;
	}
	supervisor->options = options;
	supervisor->stats_fd = -1;
	if (supervisor_init(supervisor, config) < 0) {
		status = 2;
	} else {
		start_workers(supervisor);
		drain_slotless(supervisor);
		ev_run(supervisor->loop, 0);
		log_info("stopped");
	}
	supervisor_deinit(supervisor);
	return status;
}
