/* The socket to the front: a Unix socket of type SEQPACKET. How it is had, and one datagram at a time. Never
 * blocks. */
#ifndef LIMPET_WORKER_LIBLIMPET_CHANNEL_H
#define LIMPET_WORKER_LIBLIMPET_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Connects to a path or, with a leading "@", to an abstract name. Returns an fd (close-on-exec) or a negative
 * errno: -ENAMETOOLONG; -EAGAIN if the front's queue is full; others of socket() and connect(). */
int limpet_channel_connect(const char *name);

/* Can this fd, which is borrowed, be a channel? 0, or -EBADF, -ENOTSOCK, -EPROTOTYPE. Sets close-on-exec. */
int limpet_channel_adopt(int fd);

/* 0 or a negative errno: -EAGAIN if the front has to read first. */
int limpet_channel_send(int fd, const void *bytes, size_t length);

/* What came with a datagram. */
struct limpet_received {
	int fd;       /* close-on-exec, the caller's; -1: none. If more than one came, all were closed. */
	bool no_room; /* the kernel had none for an fd: this process has too many open */
	bool cut;     /* the datagram is longer than the buffer */
};

/* Returns the datagram's length (what fits of it), 0 at the end, or a negative errno; then nothing came with
 * it. A datagram of no bytes cannot be told from the end. */
ssize_t limpet_channel_receive(int fd, void *bytes, size_t size, struct limpet_received *received);

#endif
