/* The link between supervisor and router: what changes after the router was forked. A SEQPACKET socketpair, one message a
 * datagram, at most one fd with it. Both ends are the same binary, forked from one another, so messages are C structs; the
 * supervisor still checks every field, because the router parses what clients send and is trusted less.
 */
#ifndef LIMPET_ROUTER_LINK_H
#define LIMPET_ROUTER_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "channel/channel.h"

enum link_type {
	/* supervisor -> router */
	LINK_WORKER_UP = 1, /* worker, pool, slot, generation, protocol, flavour, accepts, key: its name, fd: its channel */
	LINK_WORKER_GONE,   /* worker: it has ended: what it did not acknowledge it never read; error: an enum link_gone */
	LINK_WORKER_DRAIN,  /* worker: no more connections to it, let it finish; data: the front goes instead, why; empty: tell nobody */
	LINK_LISTENER_UP,   /* listener, pool, index (LINK_INDEX_WORKERS: opened for workers), address, key, fd */
	LINK_LISTENER_GONE, /* listener */
	LINK_LISTEN_ANSWER, /* worker, request, error, listener, address: where it really is, data; UDP: the fd */
	LINK_KEPT,          /* worker, request, key, fd: from a former router's LINK_KEEP */
	LINK_SERVER,        /* worker, listener, key: known from a former router's LINK_LISTENING */
	LINK_READY_BEFORE,  /* worker: known from a former router's LINK_READY */
	LINK_STOP,          /* accept no more; answered with LINK_IDLE once nothing waits */
	LINK_LOG,           /* fd: the log file, opened again */
	LINK_REPLAYED,      /* all that was known when the router was started has been told */
	LINK_SUCCEED,       /* fd: hand everything over through it, then end */
	LINK_PARKED,        /* as LINK_PARK: what a router that has crashed had parked */
	/* router -> supervisor */
	LINK_LISTEN,        /* worker, request, socket_type, address, any_address, ipv6_only, bind_only, backlog, key, data; fd: a
			       TCP socket that is to be used, or none */
	LINK_LISTENING,     /* worker, listener, key */
	LINK_OPTION,        /* worker, key, option_level, option_name, option_length bytes of option_value */
	LINK_UNLISTEN,      /* worker, key */
	LINK_KEEP,          /* worker, request: its number, key, fd: a data socket that must outlive the router */
	LINK_DROP,          /* worker, request: it is over */
	LINK_READY,         /* worker */
	LINK_LEAVING,       /* worker: it takes no more connections and ends by itself */
	LINK_DRAINED,       /* worker: after LINK_WORKER_DRAIN, of protocol accept or told that the front goes: it has taken all that it
			       was sent */
	LINK_CHANNEL_LOST,  /* worker: its channel ended, error; data: why */
	LINK_STUCK,         /* worker: it has acknowledged nothing for stuck_timeout */
	LINK_PARK,          /* request: its number, fd: a connection that waits; listener, index: port, address: the peer's,
			       client, hash, proxy_length, deadline, key_type, routed, key: its pool */
	LINK_UNPARK,        /* request: it waits no more */
	LINK_IDLE,          /* after LINK_STOP */
	LINK_HANDED_OVER,   /* after LINK_SUCCEED */
};

/* To be raised when struct link_message or its meaning changes: after an upgrade the old router is told to hand over by a
 * supervisor of the new binary, which it can only if both mean the same. */
#define LINK_VERSION 8

/* Who may still take what a worker was sent, when it has ended. */
enum link_gone {
	LINK_GONE_ALONE_OR_NOT, /* whoever else holds its channel, as the router sees by that */
	LINK_GONE_MAY_HAVE_READ, /* itself: an external one that lives */
	LINK_GONE_NOBODY,
};

#define LINK_INDEX_WORKERS UINT32_MAX

/* The pool of workers that finish their connections and belong to no slot any more. */
#define LINK_POOL_RETIRED UINT32_MAX

struct link_message {
	uint32_t type;
	uint32_t worker;
	uint32_t listener;
	uint32_t pool;
	uint32_t slot;
	uint32_t generation;
	uint32_t index; /* LISTENER_UP: of the listener in the configuration */
	int32_t error;
	int32_t socket_type;
	uint32_t protocol;
	uint32_t flavour;
	int32_t backlog;
	uint64_t request;
	uint64_t hash;
	uint64_t proxy_length;
	double deadline;
	uint32_t key_type;
	uint32_t routed; /* 0 or 1 */
	int32_t option_level;
	int32_t option_name;
	uint32_t option_length;
	unsigned char option_value[CHANNEL_OPTION_MAX];
	bool any_address;
	bool ipv6_only;
	bool bind_only;
	bool has_data;
	bool accepts; /* WORKER_UP: it is to take connections through accept(), if it can */
	bool drained; /* WORKER_UP: it was told to finish before */
	struct address address;
	struct address client;
	char key[CHANNEL_KEY_MAX + 1];
	char data[CHANNEL_DATA_MAX + 1];
};

struct link;

/* Takes the fd (consumed). NULL: out of memory, the fd is closed. */
struct link *link_new(int fd);
void link_free(struct link *link); /* NULL is allowed */
int link_fd(const struct link *link);
bool link_wants_write(const struct link *link);

/* So much is queued that whatever makes more of it should pause until link_flush() has sent some: far below the bound, past
 * which link_send() fails. */
bool link_is_congested(const struct link *link);

/* Clears a message and sets its type. */
void link_message_init(struct link_message *message, enum link_type type);

/* Sends, or queues if the other end is slow (the fd is borrowed; a queued one is duplicated).
 * 0, -ENOBUFS (the other end does not read: the queue's bound is reached), or another negative errno: the other end is gone. */
int link_send(struct link *link, const struct link_message *message, int fd);

/* As link_send(), but never queues: with 0 the message is where it outlives this process. -EAGAIN: not now. */
int link_send_now(struct link *link, const struct link_message *message, int fd);

/* Sends what is queued as far as possible. 0 or a negative errno as above. */
int link_flush(struct link *link);

/* The next message: 1, with *fd owned by the caller (-1: none, or, with LINK_PARK, that there was no room for it); 0: none yet;
 * -ECONNRESET: the other end is gone;
 * -EPROTO: it was not a well-formed message. */
int link_receive(struct link *link, struct link_message *message, int *fd);

#endif
