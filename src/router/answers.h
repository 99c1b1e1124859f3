/* When workers' channels are read. At once, as a rule; but when acknowledgements wake the router hundreds of times a second, they are
 * read along with new connections, which wake it anyway, or after a millisecond: that much longer may the front's copy of a
 * socket keep a connection open that its worker has closed. If it is new connections that wait for that, as those of a client
 * that makes one after the other, they are read at once again.
 */
#ifndef LIMPET_ROUTER_ANSWERS_H
#define LIMPET_ROUTER_ANSWERS_H

#include <ev.h>
#include <stdbool.h>

#include "router/poller.h"

struct answers {
	struct poller poller; /* of the workers' channels */
	ev_timer timer;
	bool delayed;
	unsigned acknowledged; /* so far; the owner counts them. Other messages, as those of workers that start, are no reason for a delay */
	unsigned acknowledged_before;
	unsigned wakeups;     /* by acknowledgements since counted_since */
	double counted_since;
	double hurry_until;
	unsigned with_others; /* read along with new connections, of those that are looked at */
	unsigned waited;      /* read because the time was over */
	unsigned idle;        /* times that it was over, and there were none */
	void (*set_quiet)(struct answers *answers, bool quiet); /* with the delay, and after it; NULL: nobody can be */
	unsigned (*look)(struct answers *answers); /* for what quiet workers have noted: how many had; NULL as well */
	const unsigned *awaiting; /* how many connections wait for acknowledgements: while there are some, these are read at once */
};

/* 0 or a negative errno. The loop is borrowed, and so is what awaiting points to. */
int answers_init(struct answers *answers, struct ev_loop *loop, const unsigned *awaiting);
void answers_deinit(struct answers *answers);

/* The router is awake anyway: reads what is there, if it would have to wait. */
void answers_glance(struct answers *answers);

#endif
