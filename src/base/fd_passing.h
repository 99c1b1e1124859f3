/* Passing file descriptors over Unix sockets: the only place that knows SCM_RIGHTS. */
#ifndef LIMPET_BASE_FD_PASSING_H
#define LIMPET_BASE_FD_PASSING_H

#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

/* Sends the bytes with one fd (or none: fd -1) in one sendmsg(), never blocking, never raising SIGPIPE.
 * The fd is borrowed: the receiver gets a copy. On a stream socket fewer bytes than given may be taken; the fd went with
 * the first of them.
 * Returns the number of bytes sent, or a negative errno (-EAGAIN: full; -ETOOMANYREFS: too many fds under way;
 * -EPIPE or -ECONNRESET: the other end is gone). */
ssize_t fd_send(int channel, const void *bytes, size_t length, int fd);

/* Receives bytes and at most one fd, never blocking. *fd becomes the fd (close-on-exec, owned by the caller) or -1;
 * further fds in the message are closed. fd == NULL: every fd that comes is dropped.
 * *truncated (may be NULL) is set if the message or its fds did not fit (MSG_TRUNC, MSG_CTRUNC: an fd was lost).
 * Returns the number of bytes, 0 at the end of the stream, or a negative errno. */
ssize_t fd_receive(int channel, void *bytes, size_t size, int *fd, int *truncated);

#endif
