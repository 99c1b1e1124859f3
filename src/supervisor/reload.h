/* Reload: the configuration is read again; what it keeps goes on, and the router is replaced. */
#ifndef LIMPET_SUPERVISOR_RELOAD_H
#define LIMPET_SUPERVISOR_RELOAD_H

#include "supervisor/supervisor.h"

#define RELOAD_PUT_OFF 1

/* A bad file, or an address that cannot be opened, is logged and changes nothing. During a succession the reload is put off until
 * that is over; control_reloaded() is told then. 0, RELOAD_PUT_OFF, or a negative errno. */
int reload(struct supervisor *supervisor);

#endif
