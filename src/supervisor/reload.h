/* Reload: the configuration is read again; what it keeps goes on, and the router is replaced. */
#ifndef LIMPET_SUPERVISOR_RELOAD_H
#define LIMPET_SUPERVISOR_RELOAD_H

#include "supervisor/supervisor.h"

/* A bad file, or an address that cannot be opened, is logged and changes nothing. During a succession the reload is put off until
 * that is over. 0 (done or put off), or a negative errno. */
int reload(struct supervisor *supervisor);

#endif
