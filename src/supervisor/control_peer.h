/* Who may use the control socket. Owns nothing. */
#ifndef LIMPET_SUPERVISOR_CONTROL_PEER_H
#define LIMPET_SUPERVISOR_CONTROL_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>

struct control_owner {
	uid_t uid;   /* limpet's */
	gid_t group; /* the socket's */
	bool group_allowed;
};

/* Root, limpet's own user, and, if it is allowed, the members of the group: by their primary group or by one of these. */
bool control_peer_allowed(const struct control_owner *owner, uid_t uid, gid_t gid, const gid_t *groups, size_t count);

/* The same for whoever is at the other end of a socket. *peer: who that is, as the kernel knows it (pid 0: unknown). */
bool control_peer_check(const struct control_owner *owner, int fd, struct ucred *peer);

#endif
