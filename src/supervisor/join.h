/* The sockets at which external workers join their pools, and what happens there until they are welcome: who may, what they ask
 * for, which slot they get. What comes after is external.h's.
 */
#ifndef LIMPET_SUPERVISOR_JOIN_H
#define LIMPET_SUPERVISOR_JOIN_H

#include <jansson.h>

#include "supervisor/supervisor.h"

/* As listeners_prepare() and listeners_commit() for the sockets of pools, around pools_apply(). */
int join_prepare(struct supervisor *supervisor, const struct config *config);
void join_commit(struct supervisor *supervisor, const struct config *config);

/* Instead of the commit: closes what was opened. */
void join_roll_back(struct supervisor *supervisor);

/* A socket that the binary before had open; consumed. Before join_prepare(). */
void join_adopt(struct supervisor *supervisor, int fd);

/* For the state: a new array of {"fd"}. NULL: out of memory. */
json_t *join_doors(struct supervisor *supervisor);

/* Closes them, and removes their paths. */
void join_close_all(struct supervisor *supervisor);

#endif
