/* A worker as the router sees it: its channel, its servers, and the hand-offs that it has not acknowledged. */
#ifndef LIMPET_ROUTER_WORKER_H
#define LIMPET_ROUTER_WORKER_H

#include "router/router.h"

struct worker {
	TAILQ_ENTRY(worker) entry;
	struct router *router;
	struct slot *slot;
	uint32_t id;
	uint32_t generation;
	char name[160]; /* "pool chat: worker 2", for the log */
	enum protocol protocol;
	enum flavour flavour;
	bool accepts;            /* is offered to take connections through accept() */
	int fd;                  /* the channel's, until it is open; then -1 */
	struct channel *channel; /* NULL: not open yet */
	struct poller_watch watch;
	TAILQ_HEAD(, server) servers;
	TAILQ_HEAD(, kept) kept; /* data sockets that wait for the channel to open */
	struct connection_list sent; /* in order; each one's socket is kept until the worker has it */
	unsigned sent_count;
	TAILQ_ENTRY(worker) owes; /* while sent_count > 0 */
	bool ready;
	bool left;     /* it was told that the front goes: the supervisor waits until nothing is under way */
	bool drained;  /* was told to finish, or is leaving: no new connections */
	bool lost;     /* the channel is over; the process may still live */
	bool gone;     /* the process has ended: the supervisor knows it no more */
	bool inherited; /* what a former router handed off to it is answered here, or never */
	bool stuck;    /* acknowledged nothing for stuck_timeout */
	double changed_since; /* became ready, or closed a server: it may open more in a moment */
	double last_progress; /* an answer, or the first hand-off after all were answered */
	ev_timer stuck_timer;
	ev_timer heirs_timer; /* the process has ended, others may still take what it was sent */
	double heirs_until;
	ev_timer retry_timer; /* the kernel had no room for one more fd under way */
	uint64_t skipped;
};

/* As told by LINK_WORKER_UP. Takes over the channel's fd (consumed, also on failure). NULL: out of memory. */
struct worker *worker_new(struct router *router, struct slot *slot, const struct link_message *up, int fd);

/* Begins to speak: where a predecessor's image ends (its fds are consumed), or, with NULL, anew. Without memory the worker is
 * lost. */
void worker_open_channel(struct worker *worker, const struct channel_image *image);

/* The process has ended. What it acknowledged before counts; the rest it never read: those connections get a new choice, unless
 * somebody may still take them: an external one that lives keeps them, and others who share the channel of one that has ended have
 * kill_timeout to take them or to end. Frees the worker, then or at once. */
void worker_gone(struct worker *worker, enum link_gone how);

/* A successor speaks to those that live; what others may still take of one that has ended is left to them. */
void workers_forget_gone(struct router *router);

/* A successor speaks to it now: its channel is neither read nor written any more. */
void worker_abandon(struct worker *worker);

/* At the router's end: frees it and its connections' bookkeeping, nothing else. */
void worker_free(struct worker *worker);

struct worker *worker_find(struct router *router, uint32_t id);

/* No more connections; it finishes those it has and ends. why: not NULL: it is told nothing but that the front goes, and that only
 * if the text is not empty. */
void worker_drain(struct worker *worker, const char *why);

/* Of protocol accept, or told that the front goes: if it has taken all that it was sent, the supervisor is told. */
void worker_check_drained(struct worker *worker);

/* Does it have a server for the connection? */
bool worker_serves(const struct worker *worker, const struct connection *connection);

bool worker_can_send(const struct worker *worker);

/* Hands a connection off that is in no list. 0: done, or the client was gone and it is closed; -EAGAIN: not now;
 * another negative errno: the worker is going (or cannot be given this connection), it has not got it. */
int worker_send(struct worker *worker, struct connection *connection);

/* Called by connection.c alone: the connection leaves the list of those sent. */
void worker_forget(struct worker *worker, struct connection *connection);

/* The supervisor's answer to a listen request. fd: a UDP socket, borrowed, or -1. */
void worker_listen_answered(struct worker *worker, const struct link_message *answer, int fd);

/* A server, or that the worker is ready, as a former router learnt it. */
void worker_restore_server(struct worker *worker, const struct link_message *message);
void worker_restore_ready(struct worker *worker);

/* A data socket that a former router learnt of; fd is borrowed. */
void worker_restore_kept(struct worker *worker, const struct link_message *message, int fd);

/* A connection that a former router has handed off to it. */
void worker_restore_sent(struct worker *worker, struct connection *connection);

/* Connections wait for it: makes sure that it is found out if it cannot be sent to for long. */
void worker_awaited(struct worker *worker);

/* Workers are read from again if the supervisor has caught up with what they say. */
void workers_resume(struct router *router);

/* As struct answers has them: the workers of this router. */
void workers_set_quiet(struct answers *answers, bool quiet);
unsigned workers_look(struct answers *answers);

/* The listener is about to be freed. */
void workers_forget_listener(struct router *router, const struct listener *listener);

#endif
