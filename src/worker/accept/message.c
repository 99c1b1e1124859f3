/* Receiving messages of the front, with the one fd that may come with each. */
#include <string.h>

#include "worker/accept/shim.h"

ssize_t message_receive(int fd, struct accept_message *message, int flags, int *received)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = {.iov_base = message, .iov_len = sizeof(*message)};
	struct msghdr header = {.msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = control.space,
	    .msg_controllen = sizeof(control.space)};
	struct cmsghdr *first;
	ssize_t length = recvmsg(fd, &header, flags);

	*received = -1;
	if (length < 0)
		return length;
	first = CMSG_FIRSTHDR(&header);
	if (first && first->cmsg_level == SOL_SOCKET && first->cmsg_type == SCM_RIGHTS &&
	    first->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(received, CMSG_DATA(first), sizeof(int));
	return length;
}
