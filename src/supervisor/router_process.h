/* The router process: forked, told what changes, replaced when it crashed or when the configuration is another. */
#ifndef LIMPET_SUPERVISOR_ROUTER_PROCESS_H
#define LIMPET_SUPERVISOR_ROUTER_PROCESS_H

#include "supervisor/supervisor.h"

/* Forks a router and tells it all there is: listeners, workers, their servers. If there is a router already, that one hands its
 * connections over and ends. 0 or a negative errno after logging. */
int router_start(struct supervisor *supervisor);

/* The configuration is another one: starts a router, if not now, then as soon as that is possible. */
void router_replace(struct supervisor *supervisor);

/* Takes over a router that runs already (at an upgrade). link: consumed. NULL: out of memory. */
struct router_process *router_adopt(struct supervisor *supervisor, pid_t pid, int link);

/* Is one router just handing over to the other? */
bool router_succession_under_way(const struct supervisor *supervisor);

/* Sends a message; a router that does not read is killed (and replaced). Does nothing while there is none. */
void router_send(struct supervisor *supervisor, const struct link_message *message, int fd);

/* LINK_WORKER_UP, LINK_WORKER_GONE or LINK_WORKER_DRAIN for this worker. */
void router_tell_worker(struct supervisor *supervisor, enum link_type type, const struct process *process);

/* LINK_LISTENER_UP for this socket. */
void router_tell_listener(struct supervisor *supervisor, const struct listening *listening);

/* Nobody serves this socket any more: the router is told, and it is closed. */
void router_forget_listening(struct supervisor *supervisor, uint32_t id);

/* Closes the link: the router ends, and is not started again. */
void router_end(struct supervisor *supervisor);

#endif
