/* Unix sockets that limpet listens on besides its clients': the control socket, and those of pools that external workers join at. */
#ifndef LIMPET_SUPERVISOR_UNIX_SOCKET_H
#define LIMPET_SUPERVISOR_UNIX_SOCKET_H

#include <sys/types.h>

#include "base/address.h"

/* Of a path. */
struct permissions {
	unsigned mode;
	gid_t group; /* (gid_t)-1: as the system makes it */
};

/* Opens a socket that listens: type SOCK_STREAM or SOCK_SEQPACKET, non-blocking, close-on-exec. A path that nobody answers at any
 * more, left by a limpet that was killed, is replaced; what is no socket is left alone.
 * The fd, or a negative errno (-EADDRINUSE: somebody answers there). */
int unix_socket_open(const struct address *address, int type, const struct permissions *permissions, int backlog);

/* For one from before an upgrade. 0, also if there is no path, or a negative errno. */
int unix_socket_permit(const struct address *address, const struct permissions *permissions);

/* Is fd, from before an upgrade, the socket of this address? */
bool unix_socket_is(int fd, const struct address *address);

/* Removes the path, if it has one. */
void unix_socket_remove(const struct address *address);

#endif
