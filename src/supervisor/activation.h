/* Sockets that come from the service manager, and those that are left with it.
 *
 * There are two kinds, and both come at the start as sd_listen_fds(3) describes (LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES, fds from
 * 3 on). Sockets that are *given* are the manager's own, made by a .socket unit: they keep their path and their backlog, and when
 * limpet has no use for one any more it is put back here, because the manager goes on listening. Sockets that were *stored* are
 * those that a limpet before this one opened and left with the manager (FDSTORE=1) under a name that begins with
 * ACTIVATION_STORED: they are limpet's own again.
 *
 * Owns the sockets that nobody has claimed yet. What listens where is listeners.h's.
 */
#ifndef LIMPET_SUPERVISOR_ACTIVATION_H
#define LIMPET_SUPERVISOR_ACTIVATION_H

#include <stdbool.h>
#include <sys/queue.h>

#include "base/address.h"
#include "supervisor/notify.h"

#define ACTIVATION_STORED "limpet-stored/"

/* The longest name of an fd that systemd takes. */
#define ACTIVATION_NAME_MAX 255

struct inherited {
	TAILQ_ENTRY(inherited) entry;
	int fd;
	int socket_type;        /* SOCK_STREAM (listening) or SOCK_DGRAM */
	struct address address; /* where it is bound */
	bool stored;            /* else given */
	char *name;
};

struct activation {
	struct notify *notify;
	TAILQ_HEAD(inherited_list, inherited) sockets;
};

/* What a listener is looking for. */
struct activation_wanted {
	const char *stored;   /* the name that it stores its socket under; NULL: none */
	const char *listener; /* the listener's name in the configuration; NULL: it has none */
	const struct address *address;
	int socket_type;
	bool ipv6_only;
};

/* notify: borrowed. */
void activation_init(struct activation *activation, struct notify *notify);

/* Closes what is left; what was stored stays with the manager. */
void activation_deinit(struct activation *activation);

/* Takes the fds that the environment names for this process, makes them close-on-exec and non-blocking, and removes the variables
 * from the environment. 0, also if there are none, or a negative errno after logging (-EINVAL: the variables are malformed, or an
 * fd is no listening stream socket and no datagram socket, with an address of its own). */
int activation_take(struct activation *activation);

/* Adds one that is not claimed (any more). fd: consumed, also on failure. name: copied. 0, or a negative errno after logging as above. */
int activation_add(struct activation *activation, int fd, const char *name);

/* The socket for a listener: the one that was stored under its name; else one at its address; else one that was given under the
 * listener's name in the configuration, wherever it is bound. A stored socket whose path is gone is of no use: it is dropped.
 * The caller owns the result and frees it with inherited_free(). NULL: there is none. */
struct inherited *activation_claim(struct activation *activation, const struct activation_wanted *wanted);

/* Frees the struct and its name; closes the fd unless it is -1. */
void inherited_free(struct inherited *inherited);

/* Writes the name under which a listener's socket is stored: ACTIVATION_STORED, then the kind, a first and a second name with
 * slashes between them, escaped where the manager or a slash would be in the way (not in the second). The kinds are "listener" (the
 * listener's name in the configuration, its address there) and "pool" (the pool's name, the workers' key for the socket).
 * False: it would be too long, such a socket cannot be stored. */
bool activation_name(char name[ACTIVATION_NAME_MAX + 1], const char *kind, const char *first, const char *second);

/* Leaves a copy of the socket (borrowed) with the service manager, or takes it away from there. */
int activation_store(struct activation *activation, int fd, const char *name);
void activation_forget(struct activation *activation, const char *name);

/* Closes what nobody has claimed; the manager keeps none of it that was stored. */
void activation_close(struct activation *activation);

/* All workers have said where they listen: closes stored sockets that nobody claimed, and warns of given ones. */
void activation_settle(struct activation *activation);

#endif
