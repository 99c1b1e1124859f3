/* A worker of node:cluster asks its primary for what it listens on, and gets a data socket that the front has
 * made, in place of a TCP or Unix socket. Node.js looks at once what kind of socket it is: then it is given its
 * name, and is a swapped socket like those that listening.c makes. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "worker/accept/shim.h"

/* The first message in it: what it stands for, and its far end, without which the front's end would be an end of
 * file for the program. Returns false if it is something else. */
static bool read_message(int fd, struct accept_message *message, int *far)
{
	ssize_t length = message_receive(fd, message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC, far);

	return length == sizeof(*message) && message->type == ACCEPT_GIVEN &&
	       message->number == ACCEPT_VERSION && message->address_length <= sizeof(message->address);
}

static bool take_on(int fd)
{
	struct swapped info = {.given = true};
	struct accept_message message;
	int far;

	if (!read_message(fd, &message, &far)) {
		if (far >= 0)
			real()->close(far);
		return false;
	}
	info.ipv6_only = message.flags & ACCEPT_IPV6_ONLY;
	info.address = message.address;
	info.length = message.address_length;
	if (!info.length) {
		memset(&info.address, 0, sizeof(info.address));
		info.address.sa.sa_family = AF_UNIX;
		info.length = sizeof(info.address.sa.sa_family);
	}
	/* Without its far end (there was no free fd) it does as long as the front lives. */
	if (far >= 0)
		kept_add(fd, -1, far);
	if (swapped_name(fd, &info) < 0)
		return false;
	swapped_remember(fd);
	return true;
}

static int option_of(int fd, int name)
{
	int value = -1;
	socklen_t length = sizeof(value);

	return real()->getsockopt(fd, SOL_SOCKET, name, &value, &length) < 0 ? -1 : value;
}

bool given_take_on(int fd)
{
	int before = errno;
	bool taken = false;

	/* The program's own sockets may have a priority. */
	if (swapped_mark(fd) == ACCEPT_MARK_GIVEN && option_of(fd, SO_DOMAIN) == AF_UNIX) {
		if (option_of(fd, SO_TYPE) == SOCK_SEQPACKET)
			taken = take_on(fd);
		swapped_set_mark(fd, taken ? 0 : ACCEPT_MARK_SEEN);
	}
	errno = before;
	return taken;
}
