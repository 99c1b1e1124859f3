/* External workers: processes that limpet did not start, and that joined a pool at its socket (join.h). What process.h does for
 * limpet's own is done here for them; its functions come here by themselves for a process that is external.
 *
 * The life of such a worker is that of its channel. limpet never signals it. What it was sent and has not acknowledged goes to
 * another one only when nobody can take it from the channel any more: its end is closed, or has sent its last and is empty.
 */
#ifndef LIMPET_SUPERVISOR_EXTERNAL_H
#define LIMPET_SUPERVISOR_EXTERNAL_H

#include "supervisor/hello.h"
#include "supervisor/process.h"

struct external_joiner {
	const struct hello *hello;
	pid_t pid;   /* as the kernel says */
	int channel; /* consumed */
	int escort;  /* where limpet-join listens, who passed the channel; consumed; -1: the worker speaks for itself */
};

/* The slot's worker from now on, unless there is no memory: then NULL, with everything closed. The router is told later, by
 * external_begin(), when the worker has been welcomed. */
struct process *external_new(struct supervised_slot *slot, const struct external_joiner *joiner);
void external_begin(struct process *process);

/* The channel has ended: at the end of the stream, or with an error. */
void external_lost(struct process *process, int error);

/* limpet speaks to it no more; what it was sent is its own. It goes in a later turn of the loop: the caller may go on with it. */
void external_let_go(struct process *process, const char *why);

/* Tells it to finish what it has and to end; or, if limpet is stopping, that limpet goes, so that it can stay and join the next. */
void external_drain(struct process *process);

/* It has taken all that it was sent. */
void external_drained(struct process *process);

/* It has become ready. */
void external_is_ready(struct process *process);

void external_end_timer(struct process *process);

#endif
