/* Listening sockets: opened here, because here is the privilege for it, and kept here, so that they outlive routers. */
#ifndef LIMPET_SUPERVISOR_LISTENERS_H
#define LIMPET_SUPERVISOR_LISTENERS_H

#include "supervisor/supervisor.h"

/* Opens those listeners of the configuration that have an address and are not open yet. 0, or a negative errno after logging why,
 * with nothing changed. */
int listeners_prepare(struct supervisor *supervisor, const struct config *config);

/* Behind listeners_prepare() and pools_apply(): from now on it is this configuration's listeners that are open; what is in no
 * configuration any more is closed. */
void listeners_commit(struct supervisor *supervisor, const struct config *config);

/* A worker of the pool wants to listen (or, bind_only, will want to): finds the socket that an earlier worker asked for under the
 * same key, or opens it. fd: the worker's own TCP socket, which is then the one that is bound and listens, with the options that
 * it has; borrowed; -1: a new one.
 * 0 with *listening (borrowed), or a positive errno for the worker. */
int listeners_ask(
    struct supervised_pool *pool, const struct link_message *request, int fd, struct listening **listening);

struct listening *listeners_find(struct supervisor *supervisor, uint32_t id);
struct listening *listeners_find_key(struct supervised_pool *pool, const char *key);

/* A socket that the binary before had open. */
struct listening_past {
	uint32_t id;
	int fd; /* consumed; -1: none needed */
	int socket_type;
	bool bound_only;
	bool configured;
	struct supervised_pool *pool; /* NULL: is no more */
	struct address asked;
	struct address address;
	const char *name; /* NULL if not configured */
	const char *given;  /* as in struct listening */
	const char *stored;
	const char *key;  /* NULL if configured */
	const char *data; /* may be NULL */
};

/* 0 or -ENOMEM. Behind it listeners_prepare() and listeners_commit() keep what the configuration still has. */
int listeners_adopt(struct supervisor *supervisor, const struct listening_past *past);

/* Closes one for good: its Unix path is removed, and the service manager keeps it no longer. One that the manager gave goes back
 * to those that nobody has claimed. The caller has told the router. */
void listeners_close(struct supervisor *supervisor, struct listening *listening);

/* All of them, and those that nobody has claimed. */
void listeners_close_all(struct supervisor *supervisor);

/* Closes them, but for the copies that the service manager keeps: another limpet is to have those. */
void listeners_leave_all(struct supervisor *supervisor);

#endif
