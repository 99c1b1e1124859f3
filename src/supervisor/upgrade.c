#include "supervisor/upgrade.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "supervisor/file_limit.h"
#include "supervisor/router_process.h"
#include "supervisor/state.h"

/* A binary that has not answered by then is not asked any longer. */
#define CHECK_SECONDS 10.0

/* Long enough for the loop to turn, short enough that nobody waits. */
#define LAST_TURN_SECONDS 0.001

/* What the router has not been told yet this process alone knows. A router that does not listen for so long is ended: the new binary
 * tells the next one everything. */
#define FLUSH_SECONDS 5.0
#define FLUSH_INTERVAL 0.01

#define OUTPUT_MAX 4096

static char program[PATH_MAX];

static struct {
	struct supervisor *supervisor;
	ev_child child;
	ev_io io;
	ev_timer timer;
	char output[OUTPUT_MAX];
	size_t length;
	bool under_way; /* asked, or about to be executed */
	bool consented; /* waits for the end of a succession, and for the router */
	double flushing_since; /* 0: not waiting for the router */
	ev_timer flush_timer;
	ev_timer last_turn;
} check;

void upgrade_init(void)
{
	ssize_t length = readlink("/proc/self/exe", program, sizeof(program) - 1);

	program[length > 0 ? length : 0] = '\0';
}

/* argv with some words put in behind the first. NULL: out of memory. */
static char **with_words(char *const *argv, const char *const *words, size_t words_count)
{
	size_t count = 0, at = 0;
	char **result;

	while (argv[count])
		count++;
	result = calloc(count + words_count + 1, sizeof(char *));
	if (!result)
		return NULL;
	result[at++] = argv[0];
	for (size_t i = 0; i < words_count; i++)
		result[at++] = (char *)words[i];
	for (size_t i = 1; i < count; i++)
		result[at++] = argv[i];
	return result;
}

/* ---- taking the place ---- */

static void keep_open(int fd)
{
	fcntl(fd, F_SETFD, 0);
}

static void keep_closed(int fd)
{
	fcntl(fd, F_SETFD, FD_CLOEXEC);
}

/* Between execve() and the new program's handlers a signal would end it: they wait. */
static void hold_signals(int how)
{
	static const int numbers[] = {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGCHLD};
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		sigaddset(&set, numbers[i]);
	sigprocmask(how, &set, NULL);
}

/* Returns only if the new binary could not be executed. */
static void execute(struct supervisor *supervisor, const json_t *state, int fd)
{
	char text[16];
	int error;

	snprintf(text, sizeof(text), "%d", fd);
	setenv(UPGRADE_ENVIRONMENT, text, 1);
	keep_open(fd);
	state_each_fd(state, keep_open);
	log_info("upgrade: %s takes over", program);
	setrlimit(RLIMIT_NOFILE, &supervisor->nofile); /* its workers are to get the same again */
	execv(program, supervisor->options->argv);
	error = errno;
	file_limit_raise(&supervisor->nofile);
	state_each_fd(state, keep_closed);
	unsetenv(UPGRADE_ENVIRONMENT);
	log_error("upgrade: nothing was changed: cannot execute %s: %s", program, strerror(error));
}

/* Messages for the router that the kernel has not taken yet. */
static bool router_is_behind(struct supervisor *supervisor)
{
	struct router_process *router = supervisor->router;

	return router && router->link && link_flush(router->link) == 0 && link_wants_write(router->link);
}

/* The link's own watcher sends what it can; this only looks. */
static void on_flush_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct supervisor *supervisor = timer->data;

	if (clock_now() - check.flushing_since >= FLUSH_SECONDS && router_is_behind(supervisor)) {
		log_error("upgrade: the router (pid %d) does not read its messages: it is killed", (int)supervisor->router->pid);
		kill(supervisor->router->pid, SIGKILL);
		check.flushing_since = clock_now(); /* it is replaced, and that one is waited for */
	}
	upgrade_go_on(supervisor);
}

static void wait_for_router(struct supervisor *supervisor)
{
	if (!check.flushing_since) {
		log_info("upgrade: waits until the router has read what it was told");
		check.flushing_since = clock_now();
	}
	ev_timer_stop(supervisor->loop, &check.flush_timer);
	ev_timer_init(&check.flush_timer, on_flush_timer, FLUSH_INTERVAL, 0.);
	check.flush_timer.data = supervisor;
	ev_timer_start(supervisor->loop, &check.flush_timer);
}

static void on_last_turn(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct supervisor *supervisor = timer->data;
	json_t *state;
	int fd;

	/* Something may have come in this very turn. A reload: the end of its succession goes on here again. */
	if (router_succession_under_way(supervisor) || router_is_behind(supervisor)) {
		hold_signals(SIG_UNBLOCK);
		upgrade_go_on(supervisor);
		return;
	}
	check.consented = false;
	check.under_way = false;
	if (supervisor->state != SUPERVISOR_RUNNING) {
		log_warning("upgrade: limpet is stopping");
		hold_signals(SIG_UNBLOCK);
		return;
	}
	state = state_make(supervisor);
	fd = state ? state_write(state) : -ENOMEM;
	if (fd < 0) {
		log_error("upgrade: nothing was changed: cannot write the state: %s", strerror(-fd));
	} else {
		execute(supervisor, state, fd);
		close(fd);
	}
	json_decref(state);
	hold_signals(SIG_UNBLOCK);
}

void upgrade_go_on(struct supervisor *supervisor)
{
	if (!check.consented || router_succession_under_way(supervisor) || supervisor->state != SUPERVISOR_RUNNING ||
	    ev_is_active(&check.last_turn))
		return;
	if (router_is_behind(supervisor)) {
		wait_for_router(supervisor);
		return;
	}
	check.flushing_since = 0;
	/* A signal that libev has caught but not told yet would be forgotten: from now on they wait for the new binary, and those
	 * caught before are told in a turn of the loop before this timer's. */
	hold_signals(SIG_BLOCK);
	ev_timer_init(&check.last_turn, on_last_turn, LAST_TURN_SECONDS, 0.);
	check.last_turn.data = supervisor;
	ev_timer_start(supervisor->loop, &check.last_turn);
}

/* ---- asking ---- */

static void end_check(void)
{
	struct ev_loop *loop = check.supervisor->loop;

	ev_child_stop(loop, &check.child);
	ev_timer_stop(loop, &check.timer);
	if (ev_is_active(&check.io)) {
		ev_io_stop(loop, &check.io);
		close(check.io.fd);
	}
	check.under_way = false;
}

static void on_output(struct ev_loop *loop, ev_io *io, int revents)
{
	ssize_t length = read(io->fd, check.output + check.length, sizeof(check.output) - 1 - check.length);

	if (length < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (length <= 0) {
		ev_io_stop(loop, io);
		close(io->fd);
		return;
	}
	check.length += (size_t)length;
}

static void on_check_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
	log_error("upgrade: %s did not answer in %.0f s", program, CHECK_SECONDS);
	kill(check.child.pid, SIGKILL);
}

static void on_checked(struct ev_loop *loop, ev_child *child, int revents)
{
	struct supervisor *supervisor = check.supervisor;
	int status = child->rstatus;

	while (ev_is_active(&check.io) && check.length < sizeof(check.output) - 1)
		on_output(loop, &check.io, EV_READ);
	check.output[check.length] = '\0';
	end_check();
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0 || !strstr(check.output, UPGRADE_CONSENT "\n")) {
		log_error("upgrade: nothing was changed: %s cannot take over with the present configuration and state (its "
			  "messages are above)",
		    program);
		return;
	}
	check.under_way = true;
	check.consented = true;
	upgrade_go_on(supervisor);
}

static void run_check(struct supervisor *supervisor, int output) __attribute__((noreturn));

static void run_check(struct supervisor *supervisor, int output)
{
	char version[16];
	const char *words[] = {"--can-resume", version, "-t"};
	char **argv;

	snprintf(version, sizeof(version), "%d", STATE_VERSION);
	argv = with_words(supervisor->options->argv, words, sizeof(words) / sizeof(words[0]));
	if (!argv || dup2(output, STDOUT_FILENO) < 0)
		_exit(126);
	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL);
	execv(program, argv);
	dprintf(STDERR_FILENO, "limpet: upgrade: cannot execute %s: %s\n", program, strerror(errno));
	_exit(127);
}

int upgrade(struct supervisor *supervisor)
{
	int output[2], error;
	pid_t pid;

	if (check.under_way || supervisor->state != SUPERVISOR_RUNNING) {
		log_warning("upgrade: %s", check.under_way ? "one is under way already" : "limpet is stopping");
		return -EALREADY;
	}
	if (pipe2(output, O_CLOEXEC | O_NONBLOCK) < 0) {
		log_error("upgrade: nothing was changed: %s", strerror(errno));
		return -errno;
	}
	pid = fork();
	error = errno;
	if (pid == 0)
		run_check(supervisor, output[1]);
	close(output[1]);
	if (pid < 0) {
		close(output[0]);
		log_error("upgrade: nothing was changed: %s", strerror(error));
		return -error;
	}
	memset(&check, 0, sizeof(check));
	check.supervisor = supervisor;
	check.under_way = true;
	ev_io_init(&check.io, on_output, output[0], EV_READ);
	ev_io_start(supervisor->loop, &check.io);
	ev_child_init(&check.child, on_checked, pid, 0);
	ev_child_start(supervisor->loop, &check.child);
	ev_timer_init(&check.timer, on_check_timer, CHECK_SECONDS, 0.);
	ev_timer_start(supervisor->loop, &check.timer);
	return 0;
}
