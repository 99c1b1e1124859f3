/* The control socket: status for limpetctl and for scripts. One request a connection, one JSON answer. */
#ifndef LIMPET_SUPERVISOR_CONTROL_H
#define LIMPET_SUPERVISOR_CONTROL_H

#include "supervisor/supervisor.h"

/* Opens config->control if it is set. former: the socket of the binary before an upgrade (consumed; -1: none), which is kept if
 * its address is the same. 0, or a negative errno after logging why. */
int control_open(struct supervisor *supervisor, int former);

/* The socket's fd, owned by the control; -1: there is none. */
int control_fd(const struct supervisor *supervisor);

/* The oldest reload that is awaited is over, with this result: those who asked for it get their answer. */
void control_reloaded(struct supervisor *supervisor, int result);

/* NULL-safe; removes the path. */
void control_close(struct supervisor *supervisor);

#endif
