#include "supervisor/control_peer.h"

bool control_peer_allowed(const struct control_owner *owner, uid_t uid, gid_t gid, const gid_t *groups, size_t count)
{
	if (uid == 0 || uid == owner->uid)
		return true;
	if (!owner->group_allowed)
		return false;
	if (gid == owner->group)
		return true;
	for (size_t i = 0; i < count; i++)
		if (groups[i] == owner->group)
			return true;
	return false;
}

bool control_peer_check(const struct control_owner *owner, int fd, struct ucred *peer)
{
	gid_t groups[1024]; /* of a user with more, the primary group counts only */
	socklen_t length = sizeof(*peer), size = sizeof(groups);

	*peer = (struct ucred){.uid = (uid_t)-1, .gid = (gid_t)-1};
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, peer, &length) < 0)
		return false;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) < 0)
		size = 0;
	return control_peer_allowed(owner, peer->uid, peer->gid, groups, size / sizeof(gid_t));
}
