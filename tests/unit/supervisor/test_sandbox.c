/* Children enter the sandbox and try to get out, or to do what a router does. Each part is also tried alone: where all are in
 * force, the first one hides the others. */
#include "supervisor/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/fd_passing.h"
#include "base/log.h"

/* Of a child, behind the errnos. */
enum { NOT_IN_FORCE = 200, CANNOT_BECOME = 201 };

static int ends[2];

static int result(long value)
{
	return value < 0 ? errno : 0;
}

/* ---- ways out ---- */

static int open_file(void)
{
	return result(open("/etc/passwd", O_RDONLY));
}

static int open_here(void)
{
	return result(open(".", O_RDONLY | O_DIRECTORY));
}

static int create_file(void)
{
	return result(open("/limpet-test-sandbox", O_WRONLY | O_CREAT, 0600));
}

static int look_at_file(void)
{
	struct stat status;

	return result(stat("/etc/passwd", &status));
}

static int make_directory(void)
{
	return result(mkdir("/limpet-test-sandbox", 0700));
}

static int start_process(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return result(pid);
}

static int execute(void)
{
	return result(execl("/bin/true", "true", (char *)NULL));
}

static int connect_tcp(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(1)};

	return result(connect(ends[0], (struct sockaddr *)&address, sizeof(address)));
}

static int open_tcp(void)
{
	return result(socket(AF_INET, SOCK_STREAM, 0));
}

static int listen_tcp(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET};

	return result(bind(ends[0], (struct sockaddr *)&address, sizeof(address)));
}

static int signal_parent(void)
{
	return result(kill(getppid(), 0));
}

static int trace_parent(void)
{
	return result(ptrace(PTRACE_ATTACH, getppid(), NULL, NULL));
}

static int make_code(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? errno
														      : 0;
}

static int turn_into_code(void)
{
	void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return result(mprotect(memory, 4096, PROT_READ | PROT_EXEC));
}

static int set_other_option(void)
{
	int on = 1;

	return result(setsockopt(ends[0], SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)));
}

static int become_root(void)
{
	return result(setuid(0));
}

static int leave_root_directory(void)
{
	return result(chroot("."));
}

static int rename_host(void)
{
	return result(sethostname("x", 1));
}

/* ---- what a router does ---- */

static int pass_fd(void)
{
	char byte = 'x';
	int fd = -1;

	if (fd_send(ends[0], &byte, 1, ends[0]) != 1 || fd_receive(ends[1], &byte, 1, &fd, NULL) != 1 || fd < 0)
		return errno ? errno : EPROTO;
	return result(close(fd));
}

static int wait_for_events(void)
{
	struct epoll_event event = {.events = EPOLLOUT};
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, ends[0], &event) < 0)
		return errno;
	return epoll_wait(epoll, &event, 1, 0) == 1 ? 0 : EPROTO;
}

static int use_memory(void)
{
	/* By brk and by mmap, and back. */
	for (size_t size = 100; size < 10000000; size *= 3) {
		char *memory = malloc(size);

		if (!memory)
			return ENOMEM;
		memset(memory, 1, size);
		memory = realloc(memory, size * 2);
		free(memory);
	}
	return 0;
}

static int write_log(void)
{
	log_info("a line from the sandbox");
	return 0;
}

static int open_probe(void)
{
	return result(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

static int copy_fd(void)
{
	return result(fcntl(ends[0], F_DUPFD_CLOEXEC, 0));
}

static int set_low_water(void)
{
	int bytes = 2;

	return result(setsockopt(ends[0], SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof(bytes)));
}

/* ---- ways in ---- */

static int enter_all(struct sandbox_state *state)
{
	int error = sandbox_drop_privileges(NULL, state);

	if (error < 0)
		return CANNOT_BECOME;
	sandbox_close(state);
	return state->system_calls < 0 ? NOT_IN_FORCE : 0;
}

static int enter_privileges(struct sandbox_state *state)
{
	if (sandbox_drop_privileges(NULL, state) < 0)
		return CANNOT_BECOME;
	return state->uid == 0 ? NOT_IN_FORCE : 0; /* a namespace with one user only */
}

static int enter_empty_root(struct sandbox_state *state)
{
	if (sandbox_drop_privileges(NULL, state) < 0)
		return CANNOT_BECOME;
	return state->empty_root < 0 || state->uid == 0 ? NOT_IN_FORCE : 0;
}

static int enter_without_processes(struct sandbox_state *state)
{
	struct rlimit limit;

	if (sandbox_drop_privileges(NULL, state) < 0)
		return CANNOT_BECOME;
	getrlimit(RLIMIT_NPROC, &limit);
	return limit.rlim_cur == 0 && state->uid != 0 ? 0 : NOT_IN_FORCE;
}

static int enter_landlock(struct sandbox_state *state)
{
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	return sandbox_restrict_files() < 0 ? NOT_IN_FORCE : 0;
}

/* Returns the wait status of a child that entered and tried. */
static int attempt(int (*enter)(struct sandbox_state *), int (*try)(void))
{
	struct sandbox_state state;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		int entered;

		close_range(3, ~0u, 0);
		socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
		entered = enter(&state);
		errno = 0;
		_exit(entered ? entered : try());
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static bool not_in_force(int status, const char *what)
{
	if (!WIFEXITED(status) || WEXITSTATUS(status) != NOT_IN_FORCE)
		return false;
	print_message("%s is not in force here\n", what);
	return true;
}

/* ---- tests ---- */

static const struct {
	const char *name;
	int (*try)(void);
} ways_out[] = {{"open", open_file}, {"open .", open_here}, {"create", create_file}, {"stat", look_at_file},
    {"mkdir", make_directory}, {"fork", start_process}, {"exec", execute}, {"connect", connect_tcp},
    {"socket(AF_INET)", open_tcp}, {"bind", listen_tcp}, {"kill", signal_parent}, {"ptrace", trace_parent},
    {"mmap(PROT_EXEC)", make_code}, {"mprotect(PROT_EXEC)", turn_into_code}, {"setsockopt", set_other_option},
    {"setuid", become_root}, {"chroot", leave_root_directory}};

static void test_other_system_calls_kill(void **state)
{
	for (size_t i = 0; i < sizeof(ways_out) / sizeof(ways_out[0]); i++) {
		int status = attempt(enter_all, ways_out[i].try);

		if (not_in_force(status, "the filter of system calls"))
			return;
		print_message("%s\n", ways_out[i].name);
		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), SIGSYS);
	}
}

static void test_a_router_can_work(void **state)
{
	static int (*const work[])(void) = {
	    pass_fd, wait_for_events, use_memory, write_log, open_probe, copy_fd, set_low_water};

	for (size_t i = 0; i < sizeof(work) / sizeof(work[0]); i++) {
		int status = attempt(enter_all, work[i]);

		if (not_in_force(status, "the filter of system calls"))
			return;
		print_message("work %zu\n", i);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 0);
	}
}

static void check_refused(
    int (*enter)(struct sandbox_state *), const char *what, int (*const tries[])(void), size_t count, const int *errors)
{
	for (size_t i = 0; i < count; i++) {
		int status = attempt(enter, tries[i]);

		if (not_in_force(status, what))
			return;
		print_message("%s: %zu\n", what, i);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), errors[i]);
	}
}

static void test_privileges_alone(void **state)
{
	static int (*const tries[])(void) = {become_root, rename_host};
	static const int errors[] = {EPERM, EPERM};

	check_refused(enter_privileges, "privileges", tries, 2, errors);
}

/* Not in builds with sanitizers, which start a process to report. */
static void test_no_processes(void **state)
{
	static int (*const tries[])(void) = {start_process};
	static const int errors[] = {EAGAIN};

	check_refused(enter_without_processes, "the limit of processes", tries, 1, errors);
}

/* That directory is root's alone, too: nobody else may even look for a name in it. */
static void test_empty_root_alone(void **state)
{
	static int (*const tries[])(void) = {open_file, look_at_file, create_file, make_directory, execute};
	static const int errors[] = {EACCES, EACCES, EACCES, EACCES, EACCES};

	check_refused(enter_empty_root, "the empty root directory", tries, 5, errors);
}

static void test_landlock_alone(void **state)
{
	static int (*const tries[])(void) = {open_file, open_here, create_file, make_directory, execute};
	static const int errors[] = {EACCES, EACCES, EACCES, EACCES, EACCES};

	check_refused(enter_landlock, "Landlock", tries, 5, errors);
}

/* What it says of itself is what the kernel says. */
static int compare_state(void)
{
	return 0;
}

static int enter_and_compare(struct sandbox_state *state)
{
	char line[256];
	unsigned found = 0;
	FILE *file = fopen("/proc/self/status", "r");
	int error = sandbox_drop_privileges(NULL, state);

	if (error < 0 || !file)
		return CANNOT_BECOME;
	while (fgets(line, sizeof(line), file)) {
		unsigned long long number;
		unsigned uid;

		if (sscanf(line, "CapEff: %llx", &number) == 1 || sscanf(line, "CapPrm: %llx", &number) == 1)
			found += number == 0 && !state->capabilities;
		if (sscanf(line, "NoNewPrivs: %llx", &number) == 1)
			found += number == 1 && state->no_new_privs;
		if (sscanf(line, "Uid: %*u %u", &uid) == 1)
			found += uid == state->uid;
	}
	return found == 4 ? 0 : EPROTO;
}

static void test_the_state_is_true(void **state)
{
	int status = attempt(enter_and_compare, compare_state);

	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static int enter_as_unknown(struct sandbox_state *state)
{
	return sandbox_drop_privileges("no such user", state) == -ENOENT ? 0 : EPROTO;
}

static void test_a_user_that_is_not_there(void **state)
{
	if (geteuid() == 0)
		assert_int_equal(attempt(enter_as_unknown, compare_state), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_other_system_calls_kill),
	    cmocka_unit_test(test_a_router_can_work), cmocka_unit_test(test_privileges_alone),
	    cmocka_unit_test(test_no_processes), cmocka_unit_test(test_empty_root_alone), cmocka_unit_test(test_landlock_alone),
	    cmocka_unit_test(test_the_state_is_true), cmocka_unit_test(test_a_user_that_is_not_there)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
