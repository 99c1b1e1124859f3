/* limpet-agent COMMAND...: starts the command with its system calls trapped, serves them until it ends, and
 * ends as it did. The supervisor starts it (supervisor/spawn.c), with the fds of report.h. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/fd_passing.h"
#include "worker/agent/agent.h"
#include "worker/agent/report.h"

#define EVENTS_BATCH 32

/* In the epoll set: what is not in a list. */
#define ID_NOTIFY 1
#define ID_SIGNALS 2
#define ID_FIRST 16

/* How often interrupted calls are looked for, while some wait. */
#define SWEEP_MILLISECONDS 2000

int64_t agent_now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static int watch_as(struct agent *agent, int fd, uint32_t events, uint64_t id)
{
	struct epoll_event event = {.events = events, .data.u64 = id};

	return epoll_ctl(agent->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

uint64_t agent_watch(struct agent *agent, int fd, uint32_t events)
{
	return watch_as(agent, fd, events, ++agent->last_id) < 0 ? 0 : agent->last_id;
}

void agent_close(struct agent *agent, int *fd)
{
	if (*fd < 0)
		return;
	epoll_ctl(agent->epoll, EPOLL_CTL_DEL, *fd, NULL);
	close(*fd);
	*fd = -1;
}

void agent_warn(const char *what, int error)
{
	static bool warned;

	if (!warned)
		dprintf(STDERR_FILENO, "limpet-agent: %s: %s\n", what, strerror(error));
	warned = true;
}

/* ---- start ---- */

static void report(enum report_step step, int value)
{
	struct report said = {.step = step, .value = value < 0 ? -value : value};

	while (write(AGENT_REPORT_FD, &said, sizeof(said)) < 0 && errno == EINTR)
		;
}

static void run_program(int parent, pid_t agent, char **command) __attribute__((noreturn));

/* Becomes the program. parent: the other end is the agent's. */
static void run_program(int parent, pid_t agent, char **command)
{
	sigset_t none;
	char go;
	int notify;

	setpgid(0, 0);
	/* Without the agent its calls would fail. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != agent)
		_exit(1);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	notify = trap_install();
	if (fd_send(parent, &notify, sizeof(notify), notify) < 0 || read(parent, &go, 1) != 1)
		_exit(1);
	if (notify >= 0)
		close(notify);
	close(parent);
	close(AGENT_CONTROL_FD);
	execvp(command[0], command);
	report(REPORT_EXEC, errno);
	_exit(127);
}

static bool wait_readable(int fd)
{
	struct epoll_event event = {.events = EPOLLIN};
	int set = epoll_create1(EPOLL_CLOEXEC), count = -1;

	if (set >= 0 && epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) == 0)
		while ((count = epoll_wait(set, &event, 1, -1)) < 0 && errno == EINTR)
			;
	if (set >= 0)
		close(set);
	return count == 1;
}

/* Has the program's fds and memory been reached, once? */
static int probe_reach(pid_t program)
{
	struct tasks tasks;
	struct task *task;
	struct memory memory;
	char byte;
	int fd;

	tasks_init(&tasks);
	task = task_find(&tasks, program);
	if (!task)
		return -errno;
	fd = task_fd(task, STDERR_FILENO);
	close(task->handle);
	if (fd < 0 && fd != -EBADF)
		return fd;
	if (fd >= 0)
		close(fd);
	memory = memory_open(program);
	if (memory.fd < 0)
		return -errno;
	/* The two are one program until one of them is executed: what is here is there. */
	fd = memory_read(&memory, (uint64_t)(uintptr_t)&byte, &byte, 1);
	memory_close(&memory);
	return fd;
}

/* The pid of the program; negative: it has been said why not. */
static pid_t start(struct agent *agent, char **command)
{
	int ends[2], result = 0;
	pid_t self = getpid(), program;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0 || (program = fork()) < 0) {
		report(REPORT_AGENT, errno);
		return -1;
	}
	if (program == 0)
		run_program(ends[1], self, command);
	close(ends[1]);
	setpgid(program, program);
	agent->notify = -1;
	if (!wait_readable(ends[0]) ||
	    fd_receive(ends[0], &result, sizeof(result), &agent->notify, NULL) != sizeof(result))
		result = -EPIPE;
	if (result >= 0)
		result = agent->notify < 0 ? -EMFILE : trap_probe(agent->notify);
	if (result < 0) {
		report(REPORT_TRAP, result);
	} else if ((result = probe_reach(program)) < 0) {
		report(REPORT_REACH, result);
	} else {
		report(REPORT_STARTED, program);
		result = (int)fd_send(ends[0], "", 1, -1);
	}
	close(ends[0]);
	close(AGENT_REPORT_FD);
	if (result < 0) {
		kill(program, SIGKILL);
		return -1;
	}
	return program;
}

/* ---- end ---- */

static void end_as(int status) __attribute__((noreturn));

static void end_as(int status)
{
	struct rlimit none = {0, 0};
	sigset_t all;

	if (WIFSIGNALED(status)) {
		/* A core of the program was enough. */
		setrlimit(RLIMIT_CORE, &none);
		signal(WTERMSIG(status), SIG_DFL);
		raise(WTERMSIG(status));
		sigfillset(&all);
		sigprocmask(SIG_UNBLOCK, &all, NULL);
	}
	exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

static void on_signal(int signals, pid_t limpet, pid_t program)
{
	struct signalfd_siginfo info;
	int status;

	while (read(signals, &info, sizeof(info)) == sizeof(info))
		/* limpet has died: the program hears of it as if it were limpet's child. Others mean the
		 * program, and have told it. */
		if (info.ssi_signo == SIGTERM && getppid() != limpet)
			kill(program, SIGTERM);
	if (waitpid(program, &status, WNOHANG) == program)
		end_as(status);
}

/* ---- the loop ---- */

static void take_call(struct agent *agent)
{
	struct call call;

	if (trap_receive(agent->notify, &call) < 0)
		return;
	if (agent->waiting_count)
		accepts_left(agent, call.thread);
	if (call.number == SYS_accept4 || call.number == SYS_accept)
		accept_call(agent, &call);
	else if (call.number == SYS_getsockname)
		answer_sockname(agent, &call);
	else if (call.number == SYS_bind)
		server_bind(agent, &call);
	else if (call.number == SYS_listen)
		server_listen(agent, &call);
	else if (call.number == SYS_connect)
		server_connect(agent, &call);
	else if (call.number == SYS_getsockopt)
		answer_getsockopt(agent, &call);
	else if (call.number == SYS_setsockopt)
		answer_setsockopt(agent, &call);
	else
		trap_continue(agent->notify, &call);
}

/* When somebody's time is over; INT64_MAX: never. */
static int64_t earliest(const struct agent *agent)
{
	int64_t end = TAILQ_EMPTY(&agent->waiting) ? INT64_MAX : agent->next_sweep;
	const struct waiting *waiting;
	const struct server *server;

	TAILQ_FOREACH(waiting, &agent->waiting, entry)
	if (waiting->deadline < end)
		end = waiting->deadline;
	if (!agent->unswapped)
		return end;
	TAILQ_FOREACH(server, &agent->servers, entry)
	if (server->question != QUESTION_NONE && server->deadline < end)
		end = server->deadline;
	return end;
}

static int until(int64_t end)
{
	int64_t now = agent_now();

	return end > now ? (int)(end - now) : 0;
}

static void on_event(
    struct agent *agent, const struct epoll_event *event, int signals, pid_t limpet, pid_t program)
{
	uint64_t id = event->data.u64;

	if (id == ID_NOTIFY && (event->events & EPOLLIN))
		take_call(agent);
	else if (id == ID_NOTIFY)
		/* Nobody is left who could call: the end comes. */
		epoll_ctl(agent->epoll, EPOLL_CTL_DEL, agent->notify, NULL);
	else if (id == ID_SIGNALS)
		on_signal(signals, limpet, program);
	else {
		servers_event(agent, id, event->events);
		accepts_event(agent, id, event->events);
	}
}

static void run(struct agent *agent, int signals, pid_t limpet, pid_t program)
{
	struct epoll_event events[EVENTS_BATCH];

	for (;;) {
		int64_t end = earliest(agent), now;
		int count =
		    epoll_wait(agent->epoll, events, EVENTS_BATCH, end == INT64_MAX ? -1 : until(end));

		for (int i = 0; i < count; i++)
			on_event(agent, &events[i], signals, limpet, program);
		if (end == INT64_MAX || (now = agent_now()) < end)
			continue;
		agent->next_sweep = now + SWEEP_MILLISECONDS;
		accepts_late(agent, now);
		servers_late(agent, now);
	}
}

int main(int argc, char **argv)
{
	struct agent agent = {.control = AGENT_CONTROL_FD, .last_id = ID_FIRST};
	sigset_t all;
	int signals;
	pid_t limpet = getppid(), program;

	if (argc < 2) {
		fprintf(stderr, "limpet-agent: it is limpet that starts it\n");
		return 1;
	}
	fcntl(AGENT_REPORT_FD, F_SETFD, FD_CLOEXEC);
	TAILQ_INIT(&agent.servers);
	TAILQ_INIT(&agent.waiting);
	tasks_init(&agent.tasks);
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	signals = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
	agent.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (signals < 0 || agent.epoll < 0) {
		report(REPORT_AGENT, errno);
		return 1;
	}
	program = start(&agent, argv + 1);
	if (program < 0)
		return 1;
	fcntl(AGENT_CONTROL_FD, F_SETFD, FD_CLOEXEC);
	if (watch_as(&agent, agent.notify, EPOLLIN, ID_NOTIFY) < 0 ||
	    watch_as(&agent, signals, EPOLLIN, ID_SIGNALS) < 0)
		return 1;
	run(&agent, signals, limpet, program);
}
