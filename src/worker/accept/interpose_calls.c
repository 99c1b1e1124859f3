/* syscall(), through which some programs and libraries (Rust's, musl's, Boost's) make the calls that interpose.c stands before,
 * and fcntl(), by which Ruby's close_others lets an exec() close what it does not know. */
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
static bool is_interposed(long number, const long a[6], long *result)
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
	case SYS_close:
		*result = close((int)a[0]);
		return true;
#ifdef SYS_close_range
	case SYS_close_range:
		*result = close_range((unsigned)a[0], (unsigned)a[1], (int)a[2]);
		return true;
#endif
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
	return is_interposed(number, a, &result) ? result
	                                         : real()->syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* The control socket is for whatever the program executes, too. */
static bool keeps_control(int fd, int command)
{
	return command == F_SETFD && control_is(fd) && control_fd() >= 0;
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
	return keeps_control(fd, command) ? 0 : real()->fcntl(fd, command, argument);
}

EXPORTED int fcntl_large(int fd, int command, ...)
{
	va_list list;
	void *argument;

	va_start(list, command);
	argument = va_arg(list, void *);
	va_end(list);
	if (keeps_control(fd, command))
		return 0;
	return (real()->fcntl64 ? real()->fcntl64 : real()->fcntl)(fd, command, argument);
}
