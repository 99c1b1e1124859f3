#include "supervisor/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "channel/accept_message.h"
#include "supervisor/preload.h"
#include "worker/agent/report.h"

#define CHANNEL_FD 3
#define ERROR_FD 4

/* The control socket of protocol accept: not among the first, which programs close, pass on or count on. */
#define CONTROL_FD 192

#define AGENT "limpet-agent"

static const char *const steps[REPORT_STEPS] = {
    [REPORT_CHANNEL] = "cannot set up the channel",
    [REPORT_DIRECTORY] = "cannot change to its directory",
    [REPORT_USER] = "cannot change to its user",
    [REPORT_GROUP] = "cannot change to its group",
    [REPORT_LIMITS] = "cannot set its limits",
    [REPORT_ENVIRONMENT] = "cannot set its environment",
    [REPORT_PRELOAD] =
        "cannot find liblimpet-accept.so, which protocol accept preloads (is limpet installed completely?)",
    [REPORT_PRELOAD_MUSL] =
        "cannot find liblimpet-accept-musl.so, which protocol accept preloads into programs of musl (build limpet "
        "where musl-gcc is, Debian's musl-tools, or set \"accept\": \"seccomp\")",
    [REPORT_AGENT] = "cannot run limpet-agent, which serves its system calls (is limpet installed completely, and was it built "
                     "with libseccomp?)",
    [REPORT_TRAP] = "cannot trap its system calls (\"accept\": \"seccomp\", which statically linked programs and "
                    "Go's get, needs Linux 5.14 or newer, and a container that allows seccomp(); else use protocol "
                    "limpet, or link it dynamically and build it with gccgo)",
    [REPORT_REACH] = "cannot reach its files and memory (\"accept\": \"seccomp\" needs pidfd_getfd() and "
                     "/proc/PID/mem: allow ptrace() of children, kernel.yama.ptrace_scope at most 1, and in a "
                     "container CAP_SYS_PTRACE)",
    [REPORT_EXEC] = "cannot run its command",
};

static void reset_signals(void)
{
	sigset_t none;

	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* The channel becomes fd 3 and the pipe for errors fd 4, which closes at exec; everything else is closed. A control socket moves
 * on to a number of its own, if the limit of open files allows. Returns the channel's number or a negative errno. */
static int arrange_fds(int channel, int errors, bool control)
{
	int null;

	/* Out of the way of the numbers that they replace. */
	channel = fcntl(channel, F_DUPFD, ERROR_FD + 1);
	errors = fcntl(errors, F_DUPFD, ERROR_FD + 1);
	if (channel < 0 || errors < 0 || dup2(channel, CHANNEL_FD) < 0 || dup3(errors, ERROR_FD, O_CLOEXEC) < 0)
		return -errno;
	null = open("/dev/null", O_RDONLY);
	if (null < 0 || dup2(null, STDIN_FILENO) < 0)
		return -errno;
	if (!control || dup2(CHANNEL_FD, CONTROL_FD) < 0) {
		close_range(ERROR_FD + 1, ~0u, 0);
		return CHANNEL_FD;
	}
	close(CHANNEL_FD);
	close_range(ERROR_FD + 1, CONTROL_FD - 1, 0);
	close_range(CONTROL_FD + 1, ~0u, 0);
	return CONTROL_FD;
}

static int set_number(const char *name, uint32_t value)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", value);
	return setenv(name, text, 1);
}

static int set_environment(const struct spawn *spawn)
{
	const struct pool_config *pool = spawn->pool;
	int bad = 0;

	unsetenv("NODE_CHANNEL_FD");
	unsetenv("NODE_CHANNEL_SERIALIZATION_MODE");
	unsetenv("NODE_UNIQUE_ID");
	unsetenv("LIMPET_FD");
	unsetenv("LIMPET_SOCKET");
	unsetenv(ACCEPT_ENVIRONMENT);
	/* Between the service manager and limpet. */
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	for (char **entry = pool->environment; entry && *entry; entry++)
		bad |= putenv(*entry);
	bad |= setenv("LIMPET_POOL", pool->name, 1);
	bad |= setenv("LIMPET_SLOT", spawn->slot, 1);
	bad |= set_number("LIMPET_GENERATION", spawn->generation);
	if (pool->protocol == PROTOCOL_LIMPET) {
		bad |= set_number("LIMPET_FD", CHANNEL_FD);
	} else if (pool->protocol != PROTOCOL_ACCEPT) {
		bad |= set_number("NODE_CHANNEL_FD", CHANNEL_FD);
		bad |= setenv("NODE_CHANNEL_SERIALIZATION_MODE", "json", 1);
		bad |= set_number("NODE_UNIQUE_ID", spawn->worker);
	}
	return bad ? -ENOMEM : 0;
}

static int change_group(const struct pool_config *pool, const struct passwd *user)
{
	const struct group *group = pool->group ? getgrnam(pool->group) : NULL;
	gid_t gid = group ? group->gr_gid : user ? user->pw_gid : getgid();

	if (pool->group && !group)
		return -ENOENT;
	if (user && initgroups(user->pw_name, gid) < 0)
		return -errno;
	return setgid(gid) < 0 ? -errno : 0;
}

/* While still root, who may raise hard limits. */
static int set_limits(const struct spawn *spawn)
{
	const struct pool_config *pool = spawn->pool;
	const struct {
		int resource;
		const struct limit *limit;
	} limits[] = {{RLIMIT_NOFILE, &pool->limit_nofile}, {RLIMIT_NPROC, &pool->limit_processes},
	    {RLIMIT_AS, &pool->limit_memory}, {RLIMIT_CORE, &pool->limit_core}};

	if (setrlimit(RLIMIT_NOFILE, spawn->nofile) < 0)
		return -errno;
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		const struct limit *limit = limits[i].limit;
		rlim_t value = limit->value == LIMIT_UNLIMITED ? RLIM_INFINITY : (rlim_t)limit->value;

		if (limit->is_set && setrlimit(limits[i].resource, &(struct rlimit){value, value}) < 0)
			return -errno;
	}
	return 0;
}

static void fail(enum report_step step, int error)
{
	struct report report = {.step = step, .value = error < 0 ? -error : error};

	if (write(ERROR_FD, &report, sizeof(report)) < 0)
		_exit(126);
	_exit(127);
}

/* Can it only be reached from outside? */
static bool needs_agent(const struct pool_config *pool, enum program program)
{
	if (pool->protocol != PROTOCOL_ACCEPT)
		return false;
#ifdef HAVE_SECCOMP
	return pool->accept == ACCEPT_BY_SECCOMP ||
	       (pool->accept == ACCEPT_AUTO && (program == PROGRAM_STATIC || program == PROGRAM_GO));
#else
	if (pool->accept == ACCEPT_BY_SECCOMP)
		fail(REPORT_AGENT, ENOPKG);
	return false;
#endif
}

/* Installed in libexecdir; in a build tree it lies in worker/agent/ beside limpet. */
static void exec_agent(int channel, char **command)
{
	char path[PATH_MAX], self[PATH_MAX - sizeof("/worker/agent/" AGENT)];
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
	size_t count = 0;
	char **arguments, *slash, name[] = AGENT;

	while (command[count])
		count++;
	arguments = calloc(count + 2, sizeof(*arguments));
	if (!arguments)
		fail(REPORT_AGENT, ENOMEM);
	arguments[0] = name;
	memcpy(arguments + 1, command, count * sizeof(*arguments));
	if (channel != AGENT_CONTROL_FD && (dup2(channel, AGENT_CONTROL_FD) < 0 || close(channel) < 0))
		fail(REPORT_CHANNEL, errno);
	fcntl(AGENT_REPORT_FD, F_SETFD, 0);
	self[length > 0 ? length : 0] = '\0';
	slash = strrchr(self, '/');
	if (slash) {
		*slash = '\0';
		snprintf(path, sizeof(path), "%s/worker/agent/" AGENT, self);
		execv(path, arguments);
	}
	execv(LIMPET_LIBEXECDIR "/" AGENT, arguments);
	fail(REPORT_AGENT, errno);
}

static void run_child(const struct spawn *spawn, int errors, pid_t parent) __attribute__((noreturn));

static void run_child(const struct spawn *spawn, int errors, pid_t parent)
{
	const struct pool_config *pool = spawn->pool;
	bool accepts = pool->protocol == PROTOCOL_ACCEPT, agent;
	bool may_accept = pool->protocol == PROTOCOL_NODE_CLUSTER && pool->connections == CONNECTIONS_ACCEPT;
	enum program program = PROGRAM_UNKNOWN;
	const struct passwd *user = NULL;
	int result, channel;

	setpgid(0, 0);
	reset_signals();
	channel = arrange_fds(spawn->channel, errors, accepts);
	if (channel < 0)
		fail(REPORT_CHANNEL, channel);
	if (pool->user && !(user = getpwnam(pool->user)))
		fail(REPORT_USER, ENOENT);
	if ((user || pool->group) && (result = change_group(pool, user)) < 0)
		fail(REPORT_GROUP, result);
	if ((result = set_limits(spawn)) < 0)
		fail(REPORT_LIMITS, result);
	if (user && setuid(user->pw_uid) < 0)
		fail(REPORT_USER, errno);
	if (pool->umask.is_set)
		umask((mode_t)pool->umask.bits);
	if (pool->directory && chdir(pool->directory) < 0)
		fail(REPORT_DIRECTORY, errno);
	if (set_environment(spawn) < 0)
		fail(REPORT_ENVIRONMENT, ENOMEM);
	if (accepts || may_accept)
		program = program_look(pool->command[0]);
	agent = needs_agent(pool, program);
	if (accepts && !agent && (result = preload_set_environment(channel, program)) < 0)
		fail(program == PROGRAM_MUSL ? REPORT_PRELOAD_MUSL : REPORT_PRELOAD, result);
	/* Without it connections go in messages, which is found out and said when the worker is ready. */
	if (may_accept && preload_set_library(program) == -ENOMEM)
		fail(REPORT_ENVIRONMENT, ENOMEM);
	/* Behind setuid(), which clears it. The parent may be gone already. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(1);
	if (agent)
		exec_agent(channel, pool->command);
	execvp(pool->command[0], pool->command);
	fail(REPORT_EXEC, errno);
	_exit(127);
}

/* Reads one report. False: there is none any more, the program runs. */
static bool read_report(int errors, struct report *report)
{
	ssize_t length;

	do
		length = read(errors, report, sizeof(*report));
	while (length < 0 && errno == EINTR);
	return length == sizeof(*report);
}

pid_t spawn_worker(const struct spawn *spawn, pid_t *agent, const char **what)
{
	struct report report;
	pid_t pid, program, parent = getpid();
	int errors[2];

	*agent = 0;
	*what = steps[REPORT_CHANNEL];
	if (pipe2(errors, O_CLOEXEC) < 0)
		return -errno;
	pid = program = fork();
	if (pid == 0)
		run_child(spawn, errors[1], parent);
	close(errors[1]);
	if (pid < 0) {
		int error = errno;

		*what = "cannot fork";
		close(errors[0]);
		return -error;
	}
	setpgid(pid, pid); /* in both processes, so that it is done in whichever comes first */
	while (read_report(errors[0], &report)) {
		if (report.step == REPORT_STARTED && report.value > 0) {
			*agent = pid;
			program = report.value;
			continue;
		}
		close(errors[0]);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		*what = report.step >= 0 && report.step < REPORT_STARTED ? steps[report.step] : steps[REPORT_AGENT];
		return report.value > 0 ? -report.value : -EPROTO;
	}
	close(errors[0]);
	return program;
}
