/* Rolling restart: slots that are outdated get a worker of a new generation, at most `surge` of a pool at a time. The new one is
 * ready before the old one is told to finish; one that does not become ready ends the roll and leaves the old ones serving.
 */
#ifndef LIMPET_SUPERVISOR_ROLL_H
#define LIMPET_SUPERVISOR_ROLL_H

#include "supervisor/supervisor.h"

/* Marks all slots of the pool outdated and begins. */
void roll_pool(struct supervised_pool *pool);

/* The slot's worker is to be replaced; so is one that is just starting to take over from it, which ends at once. May leave the slot
 * with no worker at all: process_start_missing(). */
void roll_outdate(struct supervised_slot *slot);

/* Goes on where it can: starts new generations for outdated slots. */
void roll_on(struct supervised_pool *pool);

/* An incoming worker is ready: it takes over, the old one finishes. */
void roll_ready(struct supervised_slot *slot);

/* An incoming worker has ended, or was not ready in time: the roll is over. */
void roll_abort(struct supervised_slot *slot, const char *why);

/* Slots of the pool that still wait for their new generation. */
size_t roll_outdated(const struct supervised_pool *pool);

#endif
