/* The functions of the C library that stand before the real ones: each asks whether it concerns us, and else
 * does what it always did. Only this file and interpose_calls.c have symbols that a program sees. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "worker/accept/shim.h"

#define EXPORTED __attribute__((visibility("default")))

EXPORTED int bind(int fd, const struct sockaddr *address, socklen_t length)
{
	int result;

	return listening_bind(fd, address, length, &result) ? result : real()->bind(fd, address, length);
}

EXPORTED int listen(int fd, int backlog)
{
	int result;

	return listening_listen(fd, backlog, &result) ? result : real()->listen(fd, backlog);
}

EXPORTED int connect(int fd, const struct sockaddr *address, socklen_t length)
{
	int result;

	return listening_connect(fd, address, length, &result) ? result
	                                                       : real()->connect(fd, address, length);
}

/* A swapped socket that this process has not seen before fails as no TCP socket would. */
static bool may_be_swapped(int fd, int result)
{
	if (result >= 0 || (errno != EINVAL && errno != EOPNOTSUPP && errno != ENOPROTOOPT) ||
	    !swapped_is(fd, NULL))
		return false;
	swapped_remember(fd);
	return true;
}

EXPORTED int accept(int fd, struct sockaddr *address, socklen_t *length)
{
	int result;

	if (swapped_known(fd))
		return accepted_take(fd, address, length, 0);
	result = real()->accept(fd, address, length);
	return may_be_swapped(fd, result) ? accepted_take(fd, address, length, 0) : result;
}

EXPORTED int accept4(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
	int result;

	if (swapped_known(fd))
		return accepted_take(fd, address, length, flags);
	result = real()->accept4(fd, address, length, flags);
	return may_be_swapped(fd, result) ? accepted_take(fd, address, length, flags) : result;
}

EXPORTED int getsockname(int fd, struct sockaddr *address, socklen_t *length)
{
	struct swapped info;
	socklen_t room = length ? *length : 0;
	int result = real()->getsockname(fd, address, length);

	if (result == 0 && address && room >= sizeof(address->sa_family) && address->sa_family == AF_UNIX &&
	    (swapped_is(fd, &info) ||
	        (*length == sizeof(address->sa_family) && given_take_on(fd) && swapped_is(fd, &info)))) {
		*length = room;
		return faked_sockname(&info, address, length);
	}
	return result;
}

EXPORTED int getpeername(int fd, struct sockaddr *address, socklen_t *length)
{
	socklen_t room = length ? *length : 0, client_length;
	int result = real()->getpeername(fd, address, length);
	union accept_address client;

	if (result == 0 && address && peer_find(fd, &client, &client_length)) {
		*length = room;
		copy_address(&client, client_length, address, length);
		return 0;
	}
	if (result == 0 && address && room >= sizeof(address->sa_family) && address->sa_family == AF_UNIX &&
	    swapped_is(fd, NULL)) {
		errno = ENOTCONN;
		return -1;
	}
	return result;
}

EXPORTED int getsockopt(int fd, int level, int name, void *value, socklen_t *length)
{
	int result;

	if (faked_getsockopt(fd, level, name, value, length, &result))
		return result;
	return real()->getsockopt(fd, level, name, value, length);
}

EXPORTED int setsockopt(int fd, int level, int name, const void *value, socklen_t length)
{
	int result;

	if (faked_setsockopt(fd, level, name, value, length, &result))
		return result;
	result = real()->setsockopt(fd, level, name, value, length);
	if (may_be_swapped(fd, result) && faked_setsockopt(fd, level, name, value, length, &result))
		return result;
	return result;
}

/* ---- closing: connections leave their epoll sets, and the control socket stays open, also over the loops
 * that close all that a program does not know ---- */

EXPORTED int close(int fd)
{
	if (control_is(fd) && control_fd() >= 0)
		return 0;
	swapped_forget(fd);
	peer_forget(fd);
	polled_close(fd);
	return real()->close(fd);
}

/* The C library closes what is in it unseen. */
EXPORTED int fclose(FILE *stream)
{
	int before = errno;

	polled_close(fileno(stream));
	errno = before;
	return real()->fclose(stream);
}

/* musl has none of its own. */
static int real_close_range(unsigned first, unsigned last, int flags)
{
	if (real()->close_range)
		return real()->close_range(first, last, flags);
	return (int)real()->syscall(SYS_close_range, first, last, flags);
}

/* With flags they stay open, or only another copy of the table of fds loses them. Nor are they closed where
 * the call fails. */
static void take_range_out(unsigned first, unsigned last, int flags)
{
	if (flags == 0 && real_close_range(UINT_MAX, UINT_MAX, 0) == 0)
		polled_close_range(first, last);
}

/* All but the control socket. */
static int close_around(unsigned first, unsigned last, int flags)
{
	unsigned control = (unsigned)control_fd();
	int result = 0;

	if (first < control)
		result = real_close_range(first, control - 1, flags);
	if (result == 0 && control < last)
		result = real_close_range(control + 1, last, flags);
	return result;
}

static bool holds_control(unsigned first, unsigned last)
{
	int control = control_fd();

	return control >= 0 && (unsigned)control >= first && (unsigned)control <= last;
}

EXPORTED int close_range(unsigned first, unsigned last, int flags)
{
	take_range_out(first, last, flags);
	return holds_control(first, last) ? close_around(first, last, flags)
	                                  : real_close_range(first, last, flags);
}

EXPORTED void closefrom(int first)
{
	unsigned from = first < 0 ? 0 : (unsigned)first;

	polled_close_range(from, UINT_MAX);
	if (holds_control(from, UINT_MAX))
		close_around(from, UINT_MAX, 0);
	else if (real()->closefrom)
		real()->closefrom(first);
	else
		real_close_range(from, UINT_MAX, 0);
}

EXPORTED int dup(int fd)
{
	int copy = real()->dup(fd);

	polled_copied(fd, copy);
	return copy;
}

static bool is_control_overwritten(int from, int to)
{
	if (!control_is(to) || from == to || control_fd() < 0)
		return false;
	errno = EBUSY;
	return true;
}

EXPORTED int dup2(int from, int to)
{
	int copy;

	if (is_control_overwritten(from, to))
		return -1;
	swapped_forget(to);
	polled_replace(from, to);
	copy = real()->dup2(from, to);
	polled_copied(from, copy);
	return copy;
}

EXPORTED int dup3(int from, int to, int flags)
{
	int copy;

	if (is_control_overwritten(from, to))
		return -1;
	swapped_forget(to);
	if ((flags & ~O_CLOEXEC) == 0)
		polled_replace(from, to);
	copy = real()->dup3(from, to, flags);
	polled_copied(from, copy);
	return copy;
}

EXPORTED int epoll_ctl(int set, int operation, int fd, struct epoll_event *event)
{
	int result;

	if (operation == EPOLL_CTL_ADD)
		polled_add(set, fd);
	result = real()->epoll_ctl(set, operation, fd, event);
	if (operation == EPOLL_CTL_DEL)
		polled_taken_out(set, fd);
	return result;
}
