/* The pools and slots that a configuration asks for; a new configuration takes over what it shares with the old one. */
#ifndef LIMPET_SUPERVISOR_POOLS_H
#define LIMPET_SUPERVISOR_POOLS_H

#include "supervisor/supervisor.h"

/* Makes the configuration's pools the supervisor's. Slots keep their workers if pool and slot have the same names and
 * pools_may_keep() says so; slots whose pool's workers are to speak another protocol, or to be started otherwise (pool_settings.h),
 * are marked outdated; workers of slots that are gone are retired. The listenings of a pool that is gone are closed unless they are the configuration's.
 * 0, or -ENOMEM with nothing changed. */
int pools_apply(struct supervisor *supervisor, const struct config *config);

/* May workers of this protocol go on in the pool until others take over? Those of another protocol only if the pool's sockets are
 * the configuration's: workers' own have names that depend on it, and an address cannot be opened twice. */
bool pools_may_keep(const struct pool_config *now, enum protocol protocol, enum flavour flavour);

void pools_free(struct supervisor *supervisor);

/* NULL if there is none. */
struct supervised_pool *pools_find(struct supervisor *supervisor, const char *name);

#endif
