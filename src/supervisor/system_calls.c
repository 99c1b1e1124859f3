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

#include "channel/accept_cells.h"

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
    SCMP_SYS(writev), /* the last words of assert() and malloc() */
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

#define EQUALS(n, value) {.arg = n, .op = SCMP_CMP_EQ, .datum_a = value}
#define WITHOUT(n, bits) {.arg = n, .op = SCMP_CMP_MASKED_EQ, .datum_a = bits, .datum_b = 0}

/* Those whose arguments say more than their number. */
static const struct {
	int number;
	unsigned count;
	struct scmp_arg_cmp conditions[2];
} conditional[] = {
    {SCMP_SYS(socket), 1, {EQUALS(0, AF_UNIX)}},
    {SCMP_SYS(socketpair), 1, {EQUALS(0, AF_UNIX)}},
    {SCMP_SYS(setsockopt), 2, {EQUALS(1, SOL_SOCKET), EQUALS(2, SO_PRIORITY)}},
    {SCMP_SYS(setsockopt), 2, {EQUALS(1, SOL_SOCKET), EQUALS(2, SO_RCVLOWAT)}},
    {SCMP_SYS(setsockopt), 2, {EQUALS(1, IPPROTO_TCP), EQUALS(2, TCP_NODELAY)}},
    {SCMP_SYS(fcntl), 1, {EQUALS(1, F_DUPFD_CLOEXEC)}},
    {SCMP_SYS(fcntl), 1, {EQUALS(1, F_GETFD)}},
    {SCMP_SYS(fcntl), 1, {EQUALS(1, F_SETFD)}},
    {SCMP_SYS(fcntl), 1, {EQUALS(1, F_GETFL)}},
    {SCMP_SYS(fcntl), 1, {EQUALS(1, F_SETFL)}},
    {SCMP_SYS(fcntl64), 1, {EQUALS(1, F_DUPFD_CLOEXEC)}},
    {SCMP_SYS(fcntl64), 1, {EQUALS(1, F_GETFD)}},
    {SCMP_SYS(fcntl64), 1, {EQUALS(1, F_SETFD)}},
    {SCMP_SYS(fcntl64), 1, {EQUALS(1, F_GETFL)}},
    {SCMP_SYS(fcntl64), 1, {EQUALS(1, F_SETFL)}},
    /* Memory that workers note in what they have taken. */
    {SCMP_SYS(memfd_create), 1, {EQUALS(1, CELLS_MEMFD_FLAGS)}},
    {SCMP_SYS(memfd_create), 1, {EQUALS(1, CELLS_MEMFD_FLAGS | CELLS_MEMFD_NOEXEC)}},
    {SCMP_SYS(fcntl), 1, {EQUALS(1, F_ADD_SEALS)}},
    {SCMP_SYS(fcntl64), 1, {EQUALS(1, F_ADD_SEALS)}},
    {SCMP_SYS(mmap), 1, {WITHOUT(2, PROT_EXEC)}},
    {SCMP_SYS(mmap2), 1, {WITHOUT(2, PROT_EXEC)}},
    {SCMP_SYS(mprotect), 1, {WITHOUT(2, PROT_EXEC)}},
};

static int add_rules(scmp_filter_ctx filter)
{
	const struct scmp_arg_cmp own = EQUALS(0, (scmp_datum_t)getpid());
	int result = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, &own); /* abort() */

	for (size_t i = 0; result == 0 && i < sizeof(allowed) / sizeof(allowed[0]); i++)
		result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
	for (size_t i = 0; result == 0 && i < sizeof(conditional) / sizeof(conditional[0]); i++)
		result = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, conditional[i].number, conditional[i].count,
		    conditional[i].conditions);
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
		result = add_rules(filter);
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
