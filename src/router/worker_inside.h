/* What worker.c and worker_events.c share. */
#ifndef LIMPET_ROUTER_WORKER_INSIDE_H
#define LIMPET_ROUTER_WORKER_INSIDE_H

#include "router/worker.h"

/* The owner of these is the struct worker. */
extern const struct channel_events worker_events;

/* The supervisor is told about the worker, unless the worker has ended. */
void worker_tell(struct worker *worker, enum link_type type);

/* The channel is polled for what is wanted of it now. */
void worker_update_watch(struct worker *worker);

/* It was listened to: what waits for it may be sent now. */
void worker_was_heard(struct worker *worker);

/* The channel is over, but only the supervisor knows whether the process is. At the end of the stream (error is 0) all answers
 * were read, and what has none waits for the process's end. */
void worker_lose(struct worker *worker, int error, const char *reason);

/* What it will answer is never read: those that it has not taken yet it finds in its socket, and only its death loses them. */
void worker_leave_all_to(struct worker *worker);

#endif
