/* The pools and slots that a configuration asks for; a new configuration takes over what it shares with the old one. */
#ifndef LIMPET_SUPERVISOR_POOLS_H
#define LIMPET_SUPERVISOR_POOLS_H

#include "supervisor/supervisor.h"

/* Makes the configuration's pools the supervisor's. Slots keep their workers if pool and slot have the same names and the pool
 * the same protocol; slots whose pool has another command, environment, directory or user now are marked outdated; workers of
 * slots that are gone are retired. The listenings of a pool that is gone are closed unless they are the configuration's.
 * 0, or -ENOMEM with nothing changed. */
int pools_apply(struct supervisor *supervisor, const struct config *config);

void pools_free(struct supervisor *supervisor);

/* NULL if there is none. */
struct supervised_pool *pools_find(struct supervisor *supervisor, const char *name);

#endif
