/* The control socket: inherited, shared by every process of the worker. Owns the knowledge of its number. */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "worker/accept/shim.h"

static int number = -1;
static char name[sizeof(
    ((struct sockaddr_un *)0)->sun_path)]; /* of the front's end, without the zero byte before it */
static socklen_t name_length;

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

__attribute__((constructor)) static void read_environment(void)
{
	const char *text = getenv(ACCEPT_ENVIRONMENT);
	char *end;
	long value;

	if (!text)
		return;
	value = strtol(text, &end, 10);
	if (end == text || *end != ':' || value < 0 || value > 1 << 20)
		return;
	for (end++; digit(end[0]) >= 0 && digit(end[1]) >= 0 && name_length < sizeof(name) - 1; end += 2)
		name[name_length++] = (char)(digit(end[0]) << 4 | digit(end[1]));
	number = (int)value;
}

/* The program may have closed it by means that are not seen here, and opened something else under its number.
 */
int control_fd(void)
{
	struct sockaddr_un peer;
	socklen_t length = sizeof(peer);
	int before = errno;

	if (number < 0)
		return -1;
	if (real()->getpeername(number, (struct sockaddr *)&peer, &length) < 0 ||
	    peer.sun_family != AF_UNIX ||
	    length != offsetof(struct sockaddr_un, sun_path) + 1 + name_length || peer.sun_path[0] != '\0' ||
	    memcmp(peer.sun_path + 1, name, name_length) != 0) {
		errno = before;
		return -1;
	}
	return number;
}

bool control_is(int fd)
{
	return fd >= 0 && fd == number;
}

int control_open(int far)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {.space = {0}};
	struct accept_message message = {.type = ACCEPT_OPEN, .number = ACCEPT_VERSION};
	struct iovec iov = {.iov_base = &message, .iov_len = sizeof(message)};
	struct msghdr header = {.msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = control.space,
	    .msg_controllen = sizeof(control.space)};
	ssize_t sent;

	control.header.cmsg_level = SOL_SOCKET;
	control.header.cmsg_type = SCM_RIGHTS;
	control.header.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control.header), &far, sizeof(int));
	do
		sent = sendmsg(number, &header, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : 0;
}
