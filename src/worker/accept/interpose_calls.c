/* syscall(), through which some programs and libraries (Rust's, musl's, Boost's) make the calls that
 * interpose.c stands before, and fcntl(), by which Ruby's close_others lets an exec() close what it does not
 * know. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "worker/accept/shim.h"

#define EXPORTED __attribute__((visibility("default")))

/* musl's headers have it not; interpose.c has. */
int close_range(unsigned first, unsigned last, int flags);

/* The system calls whose functions are interposed. False: another, or one that this architecture has not. */
static bool is_interposed_for_sockets(long number, const long a[6], long *result)
{
	switch (number) {
	case SYS_bind:
		*result = bind((int)a[0], (const struct sockaddr *)a[1], (socklen_t)a[2]);
		return true;
	case SYS_listen:
		*result = listen((int)a[0], (int)a[1]);
		return true;
	case SYS_connect:
		*result = connect((int)a[0], (const struct sockaddr *)a[1], (socklen_t)a[2]);
		return true;
#ifdef SYS_accept
	case SYS_accept:
		*result = accept((int)a[0], (struct sockaddr *)a[1], (socklen_t *)a[2]);
		return true;
#endif
	case SYS_accept4:
		*result = accept4((int)a[0], (struct sockaddr *)a[1], (socklen_t *)a[2], (int)a[3]);
		return true;
	case SYS_getsockname:
		*result = getsockname((int)a[0], (struct sockaddr *)a[1], (socklen_t *)a[2]);
		return true;
	case SYS_getpeername:
		*result = getpeername((int)a[0], (struct sockaddr *)a[1], (socklen_t *)a[2]);
		return true;
	case SYS_getsockopt:
		*result = getsockopt((int)a[0], (int)a[1], (int)a[2], (void *)a[3], (socklen_t *)a[4]);
		return true;
	case SYS_setsockopt:
		*result = setsockopt((int)a[0], (int)a[1], (int)a[2], (const void *)a[3], (socklen_t)a[4]);
		return true;
	default:
		return false;
	}
}

static bool is_interposed_for_any_fd(long number, const long a[6], long *result)
{
	switch (number) {
	case SYS_close:
		*result = close((int)a[0]);
		return true;
#ifdef SYS_close_range
	case SYS_close_range:
		*result = close_range((unsigned)a[0], (unsigned)a[1], (int)a[2]);
		return true;
#endif
	case SYS_dup:
		*result = dup((int)a[0]);
		return true;
#ifdef SYS_dup2
	case SYS_dup2:
		*result = dup2((int)a[0], (int)a[1]);
		return true;
#endif
	case SYS_dup3:
		*result = dup3((int)a[0], (int)a[1], (int)a[2]);
		return true;
	case SYS_epoll_ctl:
		*result = epoll_ctl((int)a[0], (int)a[1], (int)a[2], (struct epoll_event *)a[3]);
		return true;
	default:
		return false;
	}
}

EXPORTED long syscall(long number, ...)
{
	va_list list;
	long a[6], result;

	va_start(list, number);
	for (size_t i = 0; i < 6; i++)
		a[i] = va_arg(list, long);
	va_end(list);
	if (is_interposed_for_sockets(number, a, &result) || is_interposed_for_any_fd(number, a, &result))
		return result;
	return real()->syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* The control socket is for whatever the program executes, too. */
static bool keeps_control(int fd, int command)
{
	return command == F_SETFD && control_is(fd) && control_fd() >= 0;
}

static int call_fcntl(int (*function)(int, int, ...), int fd, int command, void *argument)
{
	int result;

	if (keeps_control(fd, command))
		return 0;
	result = function(fd, command, argument);
	if (command == F_DUPFD || command == F_DUPFD_CLOEXEC)
		polled_copied(fd, result);
	return result;
}

/* Programs call either name, whatever the headers made of it here. */
EXPORTED int fcntl_small(int fd, int command, ...) __asm__("fcntl");
EXPORTED int fcntl_large(int fd, int command, ...) __asm__("fcntl64");

EXPORTED int fcntl_small(int fd, int command, ...)
{
	va_list list;
	void *argument;

	va_start(list, command);
	argument = va_arg(list, void *);
	va_end(list);
	return call_fcntl(real()->fcntl, fd, command, argument);
}

EXPORTED int fcntl_large(int fd, int command, ...)
{
	va_list list;
	void *argument;

	va_start(list, command);
	argument = va_arg(list, void *);
	va_end(list);
	return call_fcntl(real()->fcntl64 ? real()->fcntl64 : real()->fcntl, fd, command, argument);
}
