/* The system calls that a router makes, and no other. A new one in src/router, src/channel or below needs a line here: without
 * it the router is killed at its first use (SIGSYS, in the log and in the kernel's audit log with the number).
 */
#include "supervisor/sandbox.h"

#include <errno.h>

#ifdef HAVE_SECCOMP

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static const int allowed[] = {
    /* Clients, channels, link, succession; all of them exist already, or are accepted or received. */
    SCMP_SYS(accept4),
    SCMP_SYS(close),
    SCMP_SYS(getsockopt),
    SCMP_SYS(read),
    SCMP_SYS(recv),
    SCMP_SYS(recvfrom),
    SCMP_SYS(recvmsg),
    SCMP_SYS(send),
    SCMP_SYS(sendmsg),
    SCMP_SYS(sendto),
    SCMP_SYS(shutdown),
    SCMP_SYS(write),
    /* The event loop. */
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_gettime64),
    SCMP_SYS(epoll_create1),
    SCMP_SYS(epoll_ctl),
    SCMP_SYS(epoll_pwait),
    SCMP_SYS(epoll_wait),
    SCMP_SYS(eventfd2),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(ppoll_time64),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(timerfd_create),
    SCMP_SYS(timerfd_settime),
    SCMP_SYS(timerfd_settime64),
    /* Memory; that none of it becomes code is seen to below. */
    SCMP_SYS(brk),
    SCMP_SYS(madvise),
    SCMP_SYS(mremap),
    SCMP_SYS(munmap),
    /* Seeds of hash tables, the log's pid, and the end, also that by abort(). */
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(getpid),
    SCMP_SYS(getrandom),
    SCMP_SYS(gettid),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sigreturn),
};

static int allow_all(scmp_filter_ctx filter)
{
	int result = 0;

	for (size_t i = 0; result == 0 && i < sizeof(allowed) / sizeof(allowed[0]); i++)
		result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
	return result;
}

/* Those whose arguments say more than their number. */
static int allow_some(scmp_filter_ctx filter)
{
	static const int commands[] = {F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC};
	static const int options[][2] = {{SOL_SOCKET, SO_RCVLOWAT}, {IPPROTO_TCP, TCP_NODELAY}};
	static const int mapping[] = {SCMP_SYS(mmap), SCMP_SYS(mmap2), SCMP_SYS(mprotect)};
	static const int fcntls[] = {SCMP_SYS(fcntl), SCMP_SYS(fcntl64)};
	int result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_EQ, AF_UNIX));

	if (result == 0) /* abort() */
		result = seccomp_rule_add(
		    filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()));
	for (size_t i = 0; result == 0 && i < sizeof(mapping) / sizeof(mapping[0]); i++)
		result = seccomp_rule_add(
		    filter, SCMP_ACT_ALLOW, mapping[i], 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	for (size_t i = 0; result == 0 && i < 2 * (sizeof(commands) / sizeof(commands[0])); i++)
		result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, fcntls[i % 2], 1,
		    SCMP_A1(SCMP_CMP_EQ, (scmp_datum_t)commands[i / 2]));
	for (size_t i = 0; result == 0 && i < sizeof(options) / sizeof(options[0]); i++)
		result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(setsockopt), 2,
		    SCMP_A1(SCMP_CMP_EQ, (scmp_datum_t)options[i][0]),
		    SCMP_A2(SCMP_CMP_EQ, (scmp_datum_t)options[i][1]));
	return result;
}

int sandbox_filter_system_calls(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int result;

	if (!filter)
		return -ENOSYS;
	/* System calls of another word size, too. */
	result = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (result == 0)
		result = allow_all(filter);
	if (result == 0)
		result = allow_some(filter);
	if (result == 0)
		result = seccomp_load(filter);
	seccomp_release(filter);
	return result;
}

#else

int sandbox_filter_system_calls(void)
{
	return -ENOPKG;
}

#endif
