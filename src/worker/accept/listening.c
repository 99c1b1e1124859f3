/* bind(), listen() and connect() of TCP sockets: the conversation with the front, and the swap.
 *
 * At bind() to a port the front binds (or finds that another worker's socket is bound there already) and a
 * data socket takes the place of the program's; at listen() the front listens. A socket that the kernel is to
 * find a port for is bound as ever, since most of those are clients', and swapped at listen(). A bound socket
 * that connects instead is swapped back.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "worker/accept/shim.h"

/* A front that was replaced in the middle of a question does not know it: it is asked again. */
#define ASK_MILLISECONDS 2000
#define ASK_TRIES 5

/* Processes that share a socket may read each other's answers: look again whether there is one left to wait
 * for. */
#define LOOK_MILLISECONDS 50

/* ---- the conversation ---- */

static int say(int near, const struct accept_message *message, int fd)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {.space = {0}};
	struct iovec iov = {.iov_base = (void *)message, .iov_len = sizeof(*message)};
	struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t sent;

	if (fd >= 0) {
		header.msg_control = control.space;
		header.msg_controllen = sizeof(control.space);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(int));
	}
	do
		sent = sendmsg(near, &header, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : 0;
}

static long long now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (long long)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

/* The front's answer: 0 or a negative errno; -ETIMEDOUT: none came. A connection that is there already, or the memory that comes
 * before the first, says that another process got the answer, which was good; it is left where it is. */
static int hear(int near, struct accept_message *answer)
{
	long long end = now() + ASK_MILLISECONDS, left;

	while ((left = end - now()) > 0) {
		struct pollfd readable = {.fd = near, .events = POLLIN};
		ssize_t length;

		if (swapped_listens(near)) {
			memset(answer, 0, sizeof(*answer));
			return 0;
		}
		if (poll(&readable, 1, (int)(left < LOOK_MILLISECONDS ? left : LOOK_MILLISECONDS)) <= 0)
			continue;
		length = recv(near, answer, sizeof(*answer), MSG_PEEK | MSG_DONTWAIT);
		if (length == sizeof(*answer) &&
		    (answer->type == ACCEPT_CONNECTION || answer->type == ACCEPT_MEMORY))
			return 0;
		length = recv(near, answer, sizeof(*answer), MSG_DONTWAIT);
		if (length == sizeof(*answer) && answer->type == ACCEPT_ANSWER)
			return -answer->value;
		if (length == 0)
			return -ECONNRESET;
	}
	return -ETIMEDOUT;
}

/* ---- the swap ---- */

static int option_of(int fd, int level, int name)
{
	int value = -1;
	socklen_t length = sizeof(value);

	return real()->getsockopt(fd, level, name, &value, &length) < 0 ? -1 : value;
}

static bool is_tcp(int fd)
{
	int domain = option_of(fd, SOL_SOCKET, SO_DOMAIN);

	return (domain == AF_INET || domain == AF_INET6) &&
	       option_of(fd, SOL_SOCKET, SO_TYPE) == SOCK_STREAM &&
	       option_of(fd, SOL_SOCKET, SO_PROTOCOL) == IPPROTO_TCP;
}

/* One open file takes the place of another under the number fd, also in epoll sets; what belongs to the fd,
 * and O_NONBLOCK, stay as they are. */
static int replace(int fd, int by, int flags)
{
	int fd_flags = fcntl(fd, F_GETFD), result = 0;
	struct registered registered;

	if (flags < 0 || fd_flags < 0 || fcntl(by, F_SETFL, O_RDWR | (flags & (O_NONBLOCK | O_ASYNC))) < 0)
		return -errno;
	registered_take_out(fd, &registered);
	if (real()->dup3(by, fd, fd_flags & FD_CLOEXEC ? O_CLOEXEC : 0) < 0)
		result = -errno;
	registered_put_back(fd, &registered);
	return result;
}

/* Makes a pair and asks whether the socket may be bound there. The near end has its name then, and *far is
 * the other one. Returns the near end, or a negative errno. */
static int ask_to_bind(int fd, const struct sockaddr *address, socklen_t length, unsigned flags, int *far)
{
	struct accept_message message = {.type = ACCEPT_BIND, .flags = flags, .address_length = length},
	                      answer;
	struct swapped info = {.ipv6_only = flags & ACCEPT_IPV6_ONLY};
	int ends[2], result;

	memcpy(&message.address, address, length);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	result = control_open(ends[1]);
	if (!result)
		result = say(ends[0], &message, fd);
	if (!result)
		result = hear(ends[0], &answer);
	if (!result) {
		if (answer.address_length > sizeof(answer.address))
			answer.address_length = sizeof(answer.address);
		info.address = answer.address;
		info.length = answer.address_length;
		result = swapped_name(ends[0], &info);
	}
	if (result) {
		real()->close(ends[0]);
		real()->close(ends[1]);
		return result;
	}
	*far = ends[1];
	return ends[0];
}

/* The socket is bound by the front, and a data socket is in its place. 0 or a negative errno. */
static int swap(int fd, const struct sockaddr *address, socklen_t length, bool bound)
{
	unsigned flags = bound ? ACCEPT_BOUND : 0;
	int own_flags = fcntl(fd, F_GETFL); /* the front may change them: the open file is one */
	int far = -1, near = -ETIMEDOUT, own, result;

	if (option_of(fd, IPPROTO_IPV6, IPV6_V6ONLY) == 1)
		flags |= ACCEPT_IPV6_ONLY;
	for (int tries = 0; near == -ETIMEDOUT && tries < ASK_TRIES; tries++)
		near = ask_to_bind(fd, address, length, flags, &far);
	if (near < 0)
		return near;
	own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	result = own < 0 ? -errno : replace(fd, near, own_flags);
	real()->close(near);
	if (result < 0) {
		real()->close(far);
		if (own >= 0)
			real()->close(own);
		return result;
	}
	kept_add(fd, own, far);
	swapped_remember(fd);
	return 0;
}

void listening_option(int fd, int level, int name, const void *value, socklen_t length)
{
	struct accept_message message = {.type = ACCEPT_OPTION,
	    .number = (uint32_t)level,
	    .flags = (uint32_t)name,
	    .address_length = length};
	int before = errno;

	if (!value || length > sizeof(message.address))
		return;
	memcpy(&message.address, value, length);
	send(fd, &message, sizeof(message), MSG_DONTWAIT | MSG_NOSIGNAL);
	errno = before;
}

static int listen_at_front(int fd, int backlog)
{
	struct accept_message question = {.type = ACCEPT_LISTEN, .value = backlog}, answer;
	struct accept_message done = {.type = ACCEPT_LISTENING};
	int result = -ETIMEDOUT;

	if (swapped_listens(fd))
		return 0;
	for (int tries = 0; result == -ETIMEDOUT && tries < ASK_TRIES; tries++) {
		result = say(fd, &question, -1);
		if (!result)
			result = hear(fd, &answer);
	}
	if (result < 0)
		return result;
	swapped_set_listens(fd);
	kept_give_own(fd);
	return say(fd, &done, -1);
}

static int finish(int result, int before)
{
	errno = result < 0 ? -result : before;
	return result < 0 ? -1 : 0;
}

/* ---- what is called ---- */

static bool is_port(const struct sockaddr *address, socklen_t length)
{
	if (!address)
		return false;
	if (address->sa_family == AF_INET && length >= sizeof(struct sockaddr_in))
		return ((const struct sockaddr_in *)address)->sin_port != 0;
	return address->sa_family == AF_INET6 && length >= sizeof(struct sockaddr_in6) &&
	       ((const struct sockaddr_in6 *)address)->sin6_port != 0;
}

bool listening_bind(int fd, const struct sockaddr *address, socklen_t length, int *result)
{
	int before = errno;

	if (!is_port(address, length) || control_fd() < 0)
		return false;
	if (swapped_is(fd, NULL)) {
		*result = finish(-EINVAL, before); /* bound already */
		return true;
	}
	if (!is_tcp(fd)) {
		errno = before;
		return false;
	}
	if (length > sizeof(union accept_address))
		length =
		    address->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
	*result = finish(swap(fd, address, length, false), before);
	return true;
}

bool listening_listen(int fd, int backlog, int *result)
{
	union accept_address address;
	socklen_t length = sizeof(address);
	int before = errno;

	if (swapped_is(fd, NULL)) {
		*result = finish(listen_at_front(fd, backlog), before);
		return true;
	}
	if (control_fd() < 0 || !is_tcp(fd) || option_of(fd, SOL_SOCKET, SO_ACCEPTCONN) != 0 ||
	    real()->getsockname(fd, &address.sa, &length) < 0) {
		errno = before;
		return false;
	}
	*result = swap(fd, &address.sa, length, true);
	if (!*result)
		*result = listen_at_front(fd, backlog);
	*result = finish(*result, before);
	return true;
}

bool listening_connect(int fd, const struct sockaddr *address, socklen_t length, int *result)
{
	int own, copy, error;

	if (!swapped_known(fd) || swapped_listens(fd))
		return false;
	own = kept_own(fd);
	if (own < 0)
		return false;
	copy = fcntl(own, F_DUPFD_CLOEXEC, 0);
	if (copy < 0)
		return false;
	kept_drop(fd);
	error = replace(fd, copy, fcntl(fd, F_GETFL));
	real()->close(copy);
	swapped_forget(fd);
	if (error < 0)
		*result = finish(error, 0);
	else
		*result = real()->connect(fd, address, length);
	return true;
}
