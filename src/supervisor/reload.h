/* Reload: the configuration is read again; what it keeps goes on, and the router is replaced. */
#ifndef LIMPET_SUPERVISOR_RELOAD_H
#define LIMPET_SUPERVISOR_RELOAD_H

#include "supervisor/supervisor.h"

#define RELOAD_FOLLOWS 1

/* A bad file, or an address that cannot be opened, is logged and changes nothing. It is over when the former router has handed
 * over, as until then connections may be accepted by the former configuration; and it is put off until another succession is
 * over. control_reloaded() is told then. 0, RELOAD_FOLLOWS, or a negative errno. */
int reload(struct supervisor *supervisor);

/* The former router has handed over, or is gone. */
void reload_settled(struct supervisor *supervisor);

#endif
