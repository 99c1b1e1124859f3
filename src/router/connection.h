/* One client connection on its way to a worker: read (by peeking) what its key needs, find its slot, be handed off.
 * The only place that closes client sockets.
 */
#ifndef LIMPET_ROUTER_CONNECTION_H
#define LIMPET_ROUTER_CONNECTION_H

#include "router/router.h"

/* A connection that so many workers have refused is given up. */
#define CONNECTION_TRIES_MAX 8

/* Connections are allocated so many at a time. */
#define CONNECTION_CHUNK 256

enum connection_state {
	CONNECTION_UNUSED,
	CONNECTION_READING,    /* PROXY header and request head, by MSG_PEEK */
	CONNECTION_WAITING,    /* in a slot's queue: the worker is busy or restarting */
	CONNECTION_HANDED_OFF, /* sent, not acknowledged */
	CONNECTION_ANSWERING,  /* will get an error once it is seen to speak HTTP */
	CONNECTION_RESTORED,   /* came from a former router, and waits for connections_resume() */
	CONNECTION_LINGERING,  /* an error was sent: give the client time to read it */
};

/* Clients that were sent an error and may still read it. */
#define CONNECTION_LINGERING_MAX 1024

struct connection {
	TAILQ_ENTRY(connection) entry; /* in the one list that its state says */
	TAILQ_ENTRY(connection) unparked; /* if is_unparked */
	bool is_unparked;          /* WAITING, and to be parked */
	TAILQ_ENTRY(connection) queue_entry; /* if queued */
	bool queued;               /* WAITING, behind a busy worker */
	double queue_deadline;     /* 0: has not waited behind one */
	enum connection_state state;
	uint32_t id;
	int fd;
	struct listener *listener; /* NULL: was closed since */
	struct router *router;
	struct poller_watch watch;
	struct address peer;
	struct address client;
	struct client_count *count;
	size_t peeked;
	size_t parsed;
	size_t proxy_length;       /* still to be read off at hand-off */
	bool proxy_consumed;       /* was read off: the client address cannot be found again */
	bool low_water_raised;
	bool held;
	bool routed; /* restored with a key that is final */
	bool waits;                /* counts as waiting (listener, client prefix) */
	uint64_t parked;           /* its number with the supervisor; 0: not parked */
	double waiting_since;
	double deadline;
	uint64_t hash;
	enum sticky_type key_type; /* the source that the key came from */
	struct router_pool *pool;
	uint16_t port;             /* that the client connected to */
	uint16_t tried[CONNECTION_TRIES_MAX];
	unsigned tried_count;
	bool asks_anew; /* all have refused it once */
	bool send_failed; /* and it waits to hear why */
	enum close_reason answer;
	struct slot *slot;         /* WAITING */
	struct worker *worker;     /* HANDED_OFF */
};

/* Takes over an accepted socket (consumes fd) and carries it as far as it goes now. */
void connection_new(struct listener *listener, int fd, const struct address *peer);

/* A connection as a former router knew it. */
struct connection_past {
	uint32_t id;
	int fd; /* consumed */
	struct listener *listener; /* NULL: is no more */
	struct router_pool *pool;  /* NULL: is no more */
	struct worker *worker;     /* it was handed off to this one and not acknowledged; NULL: it was not handed off, or to one that
				      has ended */
	struct address peer;
	struct address client;
	uint16_t port;
	enum sticky_type key_type;
	uint64_t hash;
	size_t proxy_length;
	double deadline;
	bool routed; /* client and hash are known and final */
};

/* When there are no connections at all: gives the memory back that many at once have taken. Not from within an event of one of them. */
void connections_shrink(struct router *router);

/* The id with the greatest generation, and where a successor's ids begin: an answer to one of the former router's hand-offs that
 * did not come over is no answer to a new one. */
uint32_t connections_last_id(const struct router *router);
void connections_begin_behind(struct router *router, uint32_t id);

/* Is what another process says of a connection within what any can be? The fd is not looked at. */
bool connection_past_is_sane(const struct connection_past *past);

/* Goes on with it. Those handed off must be restored before any other connection, since they keep their ids. The others are only
 * put aside: connections_resume() sets them going. NULL: it was closed. */
struct connection *connection_restore(struct router *router, const struct connection_past *past);
void connections_resume(struct router *router);

/* A successor has them: closes this router's copies of all sockets but the lingering ones'. */
void connections_forget_open(struct router *router);

/* Ends a connection: counts the reason, answers if the reason has a status, closes. */
void connection_close(struct connection *connection, enum close_reason reason);

/* Prepares the socket for its worker: reads off the PROXY header, exactly, and puts SO_RCVLOWAT back. 0 or a negative errno:
 * the client is gone. */
int connection_make_ready(struct connection *connection);

/* State changes that pool.c and worker.c make. */
void connection_waits(struct connection *connection, struct slot *slot);
void connection_waits_first(struct connection *connection, struct slot *slot);
void connection_leaves_queue(struct connection *connection);
void connection_handed_off(struct connection *connection, struct worker *worker);
void connection_taken_back(struct connection *connection);

/* By the id that a channel answers with; NULL if there is none in state HANDED_OFF. */
struct connection *connection_find(struct router *router, uint32_t id);

/* Closes and frees everything: at the router's end. */
void connections_free(struct router *router);

void connections_init(struct router *router);

/* The listener is about to be freed: connections that wait for a worker go on without it. */
void connections_forget_listener(struct router *router, const struct listener *listener);

/* The router's timer that ends lingering. */
void connection_linger_timer(struct ev_loop *loop, ev_timer *timer, int revents);

/* The timer of a listener's request heads. */
void connection_head_timer(struct ev_loop *loop, ev_timer *timer, int revents);

/* Closes those that have been sending their request head for longer than this, at most so many of each listener. */
void connections_evict_slow(struct router *router, double seconds, unsigned most);

#endif
