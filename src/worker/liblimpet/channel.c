#include "channel.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* The kernel's SCM_MAX_FD: what does not fit in here was not sent. */
#define FDS_MAX 253

int limpet_channel_connect(const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t length = strlen(name);
	socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
	int fd, error;

	if (length == 0 || length >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, name, length);
	if (name[0] == '@')
		address.sun_path[0] = '\0';
	else
		size++;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&address, size) < 0) {
		error = errno;
		close(fd);
		return -error;
	}
	return fd;
}

int limpet_channel_adopt(int fd)
{
	int type = 0, domain = 0;
	socklen_t size = sizeof(type);

	if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return -errno;
	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0)
		return -errno;
	size = sizeof(domain);
	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) < 0)
		return -errno;
	return type == SOCK_SEQPACKET && domain == AF_UNIX ? 0 : -EPROTOTYPE;
}

int limpet_channel_send(int fd, const void *bytes, size_t length)
{
	ssize_t sent;

	do
		sent = send(fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : 0;
}

static void take_fds(struct msghdr *message, struct limpet_received *received)
{
	unsigned taken = 0;

	for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header; header = CMSG_NXTHDR(message, header)) {
		size_t count;

		if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
			continue;
		count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
			if (taken++ == 0)
				received->fd = fd;
			else
				close(fd);
		}
	}
	if (taken > 1) {
		close(received->fd);
		received->fd = -1;
	}
}

ssize_t limpet_channel_receive(int fd, void *bytes, size_t size, struct limpet_received *received)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(FDS_MAX * sizeof(int))];
	} control;
	struct iovec iov = {.iov_base = bytes, .iov_len = size};
	struct msghdr message = {.msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = control.space,
	    .msg_controllen = sizeof(control.space)};
	ssize_t length;

	*received = (struct limpet_received){.fd = -1};
	do
		length = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (length < 0 && errno == EINTR);
	if (length < 0)
		return -errno;
	take_fds(&message, received);
	received->no_room = message.msg_flags & MSG_CTRUNC;
	received->cut = message.msg_flags & MSG_TRUNC;
	/* The end comes without one. */
	if (length == 0 && received->fd >= 0) {
		close(received->fd);
		received->fd = -1;
	}
	return length;
}
