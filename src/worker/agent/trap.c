/* The filter, and the ioctl()s of its fd: seccomp_unotify(2). */
#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "worker/agent/agent.h"

/* Linux 6.6; whoever is woken is about to wait in turn, so the scheduler need not look for another CPU. */
#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (1UL << 0)
#endif

/* The kernel's structures may be longer than those that this was compiled with. */
#define NOTIFICATION_BYTES 512

/* ---- the filter ---- */

/* What connections are asked as well is trapped only as far as it must be: each costs two switches. */
static const struct {
	int call, level, option;
} options[] = {
    {SCMP_SYS(getsockopt), SOL_SOCKET, SO_TYPE},
    {SCMP_SYS(getsockopt), SOL_SOCKET, SO_DOMAIN},
    {SCMP_SYS(getsockopt), SOL_SOCKET, SO_PROTOCOL},
    {SCMP_SYS(getsockopt), SOL_SOCKET, SO_ACCEPTCONN},
    {SCMP_SYS(getsockopt), IPPROTO_IPV6, IPV6_V6ONLY},
    {SCMP_SYS(setsockopt), IPPROTO_IPV6, IPV6_V6ONLY},
    {SCMP_SYS(setsockopt), IPPROTO_IP, IP_FREEBIND},
    {SCMP_SYS(setsockopt), IPPROTO_TCP, TCP_DEFER_ACCEPT},
    {SCMP_SYS(setsockopt), IPPROTO_TCP, TCP_FASTOPEN},
    {SCMP_SYS(setsockopt), IPPROTO_TCP, TCP_MAXSEG},
    {SCMP_SYS(setsockopt), IPPROTO_TCP, TCP_CONGESTION},
};

static int fill(scmp_filter_ctx filter)
{
	static const int calls[] = {SCMP_SYS(bind), SCMP_SYS(listen), SCMP_SYS(accept), SCMP_SYS(accept4),
	    SCMP_SYS(connect), SCMP_SYS(getsockname)};
	int result = 0;

	for (size_t i = 0; !result && i < sizeof(calls) / sizeof(calls[0]); i++)
		result = seccomp_rule_add(filter, SCMP_ACT_NOTIFY, calls[i], 0);
	/* They are ints: the upper half of a register is of no account. */
	for (size_t i = 0; !result && i < sizeof(options) / sizeof(options[0]); i++)
		result = seccomp_rule_add(filter, SCMP_ACT_NOTIFY, options[i].call, 2,
		    SCMP_A1(SCMP_CMP_MASKED_EQ, UINT32_MAX, (scmp_datum_t)options[i].level),
		    SCMP_A2(SCMP_CMP_MASKED_EQ, UINT32_MAX, (scmp_datum_t)options[i].option));
	return result;
}

int trap_install(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	int result;

	if (!filter)
		return -ENOMEM;
	/* A 32-bit program is not reached, but it runs. */
	result = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ALLOW);
	if (!result)
		result = fill(filter);
	if (!result)
		result = seccomp_load(filter);
	if (!result)
		result = seccomp_notify_fd(filter);
	seccomp_release(filter);
	return result;
}

int trap_probe(int notify)
{
	struct seccomp_notif_sizes sizes;
	struct seccomp_notif_addfd none = {
	    .flags = SECCOMP_ADDFD_FLAG_SEND, .srcfd = (uint32_t)STDERR_FILENO};

	if (syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes) < 0)
		return -errno;
	if (sizes.seccomp_notif > NOTIFICATION_BYTES || sizes.seccomp_notif_resp > NOTIFICATION_BYTES)
		return -E2BIG;
	/* Nobody waits for call 0; a kernel that does not know the flag says so first. */
	if (ioctl(notify, SECCOMP_IOCTL_NOTIF_ADDFD, &none) < 0 && errno != ENOENT)
		return -ENOSYS;
	ioctl(notify, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
	return 0;
}

/* ---- calls ---- */

int trap_receive(int notify, struct call *call)
{
	union {
		struct seccomp_notif notification;
		char space[NOTIFICATION_BYTES];
	} got;

	memset(&got, 0, sizeof(got));
	if (ioctl(notify, SECCOMP_IOCTL_NOTIF_RECV, &got.notification) < 0)
		return -errno;
	call->id = got.notification.id;
	call->thread = (pid_t)got.notification.pid;
	call->number = got.notification.data.nr;
	for (size_t i = 0; i < 6; i++)
		call->arguments[i] = got.notification.data.args[i];
	return 0;
}

bool trap_waits(int notify, const struct call *call)
{
	uint64_t id = call->id;

	return ioctl(notify, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
}

static int end(int notify, const struct call *call, int64_t value, uint32_t flags)
{
	union {
		struct seccomp_notif_resp response;
		char space[NOTIFICATION_BYTES];
	} given;

	memset(&given, 0, sizeof(given));
	given.response.id = call->id;
	given.response.val = value < 0 ? 0 : value;
	given.response.error = value < 0 ? (int32_t)value : 0;
	given.response.flags = flags;
	return ioctl(notify, SECCOMP_IOCTL_NOTIF_SEND, &given.response) < 0 ? -errno : 0;
}

int trap_return(int notify, const struct call *call, int64_t value)
{
	return end(notify, call, value, 0);
}

int trap_continue(int notify, const struct call *call)
{
	return end(notify, call, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE);
}

static int give(int notify, const struct call *call, int fd, int at, bool cloexec, uint32_t flags)
{
	struct seccomp_notif_addfd given = {.id = call->id,
	    .flags = flags | (at >= 0 ? SECCOMP_ADDFD_FLAG_SETFD : 0),
	    .srcfd = (uint32_t)fd,
	    .newfd = at >= 0 ? (uint32_t)at : 0,
	    .newfd_flags = cloexec ? O_CLOEXEC : 0};
	int number;

	do
		number = ioctl(notify, SECCOMP_IOCTL_NOTIF_ADDFD, &given);
	while (number < 0 && errno == EINTR);
	return number < 0 ? -errno : number;
}

int trap_return_fd(int notify, const struct call *call, int fd, bool cloexec)
{
	return give(notify, call, fd, -1, cloexec, SECCOMP_ADDFD_FLAG_SEND);
}

int trap_give_fd(int notify, const struct call *call, int fd, int at, bool cloexec)
{
	return give(notify, call, fd, at, cloexec, 0);
}
