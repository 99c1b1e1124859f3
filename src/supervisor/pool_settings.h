/* How the workers of a pool are started: what a reload or an upgrade must not change without starting other workers. */
#ifndef LIMPET_SUPERVISOR_POOL_SETTINGS_H
#define LIMPET_SUPERVISOR_POOL_SETTINGS_H

#include <jansson.h>
#include <stdbool.h>

#include "config/config.h"

/* Must workers that were started for the one be replaced by those of the other? Their protocol is not looked at. */
bool pool_settings_outdate(const struct pool_config *old, const struct pool_config *new);

/* The same over an upgrade: {"has_listeners": BOOLEAN, "settings": {NAME: DIGEST}}, without what may be secret. A new reference, or
 * NULL: out of memory. */
json_t *pool_settings_describe(const struct pool_config *pool);

/* A setting that the description lacks, because that limpet did not know it, was the same. */
bool pool_settings_outdate_described(const json_t *old, const struct pool_config *new);

#endif
