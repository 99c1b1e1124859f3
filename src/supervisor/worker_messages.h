/* What the router tells of workers: their servers, that they are ready, leave, are stuck, or have lost their channel. */
#ifndef LIMPET_SUPERVISOR_WORKER_MESSAGES_H
#define LIMPET_SUPERVISOR_WORKER_MESSAGES_H

#include "supervisor/supervisor.h"

/* message: from a router, not trusted; one about a worker that is no more is ignored. fd: what came with it, borrowed; -1: none. */
void worker_message(struct supervisor *supervisor, const struct link_message *message, int fd);

#endif
