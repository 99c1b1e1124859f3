#include "supervisor/router_child.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"
#include "router/router.h"
#include "supervisor/sandbox.h"

/* In a router. */
#define LINK_FD 3
#define LOG_FD 4
#define SUCCESSION_FD 5

/* Keeps standard error, link, log and succession (-1: none); closes what else the supervisor has open. */
static int arrange_fds(int link, int log, int succession)
{
	int from[] = {link, log, succession};

	/* Out of the way of the numbers that they replace. */
	for (int i = 0; i < 3; i++) {
		if (from[i] >= 0 && (from[i] = fcntl(from[i], F_DUPFD, SUCCESSION_FD + 1)) < 0)
			return -errno;
	}
	for (int i = 0; i < 3; i++) {
		if (from[i] < 0)
			close(LINK_FD + i);
		else if (dup3(from[i], LINK_FD + i, O_CLOEXEC) < 0)
			return -errno;
	}
	close_range(SUCCESSION_FD + 1, ~0u, 0);
	return 0;
}

static void reset_signals(void)
{
	static const int ignored[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGPIPE, SIGXFSZ};
	sigset_t none;

	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL);
	/* Meant for the supervisor, but a terminal sends them to the whole group. */
	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Where every CPU is busy, a router that wakes up waits for its turn (a time slice: some milliseconds) instead of putting a worker
 * off its CPU for each few connections: what has come meanwhile it takes in at once. A CPU that is idle takes it as before. What
 * whoever started limpet has chosen stays. */
static void let_workers_finish(void)
{
	static const struct sched_param none = {0};

	if (sched_getscheduler(0) == SCHED_OTHER)
		sched_setscheduler(0, SCHED_BATCH, &none);
}

static struct slot_stats *const *const *collect_stats(struct supervisor *supervisor)
{
	struct slot_stats ***stats = calloc(supervisor->pools_count, sizeof(struct slot_stats **));

	for (size_t i = 0; stats && i < supervisor->pools_count; i++)
		stats[i] = supervisor->pools[i]->slot_stats;
	return (struct slot_stats *const *const *)stats;
}

static int run_router(struct supervisor *supervisor, int link, int succession, pid_t parent)
{
	const struct config *config = supervisor->config;
	struct router_start start = {.config = config,
	    .stats = supervisor->stats,
	    .slot_stats = collect_stats(supervisor),
	    .seed = supervisor->seed,
	    .files = RLIM_INFINITY,
	    .link = LINK_FD,
	    .succession = succession < 0 ? -1 : SUCCESSION_FD};
	bool own_log = log_fd() != STDERR_FILENO;
	struct rlimit files;
	int result;

	prctl(PR_SET_NAME, "limpet-router");
	reset_signals();
	let_workers_finish();
	result = arrange_fds(link, log_fd(), succession);
	if (result < 0 || !start.slot_stats)
		return 2;
	if (own_log)
		log_adopt_inherited(LOG_FD);
	log_configure("limpet-router", config->log_level, config->log_format);
	result = sandbox_drop_privileges(config->user, &supervisor->stats->sandbox);
	if (result < 0) {
		log_error("cannot become user %s: %s", config->user ? config->user : "nobody", strerror(-result));
		return 2;
	}
	/* Behind setuid(), which clears it. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		return 2;
	if (getrlimit(RLIMIT_NOFILE, &files) == 0)
		start.files = files.rlim_cur;
	sandbox_close(&supervisor->stats->sandbox);
	if (!supervisor->sandbox_known)
		sandbox_warn(&supervisor->stats->sandbox);
	return router_run(&start);
}

#ifdef LIMPET_COVERAGE
void __gcov_dump(void); /* of gcc's and clang's run time */
#endif

/* Without exit(), which would end for a second time what the supervisor began. */
static void __attribute__((noreturn)) leave(int status)
{
#ifdef LIMPET_COVERAGE
	__gcov_dump();
#endif
	_exit(status);
}

void router_child_run(struct supervisor *supervisor, int link, int succession, pid_t parent)
{
	leave(run_router(supervisor, link, succession, parent));
}
