/* What happens in the forked process before it is a router. */
#ifndef LIMPET_SUPERVISOR_ROUTER_CHILD_H
#define LIMPET_SUPERVISOR_ROUTER_CHILD_H

#include "supervisor/supervisor.h"

/* To be called in the child: leaves all that is the supervisor's behind, privileges included, and runs the router over this end
 * of the link, until it ends. succession: from its predecessor; -1: none. parent: the supervisor's pid, with which it ends. */
void router_child_run(struct supervisor *supervisor, int link, int succession, pid_t parent) __attribute__((noreturn));

#endif
