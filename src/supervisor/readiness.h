/* What the service manager is told of limpet's state: that it is ready, reloads, stops, lives, and one line of status.
 * The messages are those of sd_notify(3).
 *
 * limpet is ready when every pool has a ready worker. A pool that has none when the longest start_timeout is over is waited for
 * no longer if another pool has one: a broken application must not take the others down.
 */
#ifndef LIMPET_SUPERVISOR_READINESS_H
#define LIMPET_SUPERVISOR_READINESS_H

#include "supervisor/supervisor.h"

/* Starts to watch the supervisor, whose pools must exist. told: the manager knows already that limpet is ready (from before an
 * upgrade). 0 or -ENOMEM. */
int readiness_open(struct supervisor *supervisor, bool told);
void readiness_close(struct supervisor *supervisor);

/* Was the manager told? */
bool readiness_told(const struct supervisor *supervisor);

/* Around a reload. result: 0, or a negative errno: nothing was changed. */
void readiness_reloading(struct supervisor *supervisor);
void readiness_reloaded(struct supervisor *supervisor, int result);

/* limpet drains or stops. It asks for as long as its configuration may take, so that the manager's own limit need not be set. */
void readiness_stopping(struct supervisor *supervisor);

/* How long after WATCHDOG=1 the next one is due, from WATCHDOG_USEC and WATCHDOG_PID (NULL: not set): half of what the manager
 * waits, in seconds; 0: it does not wait for any. */
double readiness_watchdog_interval(const char *usec, const char *pid);

#endif
