/* What goes on between a worker and its front: joining, messages in both directions, the end, and joining
 * again. Owns the channel, and the epoll set and timer that make one fd of whatever may happen.
 *
 * No lock and no waiting: that is limpet.c's. `now` is CLOCK_MONOTONIC in milliseconds.
 *
 * Nothing is queued. What is to be sent is a set of facts (an answer is due, a pong, so many have ended), of
 * which messages are made when the front reads. While one cannot be sent, nothing is read.
 */
#ifndef LIMPET_WORKER_LIBLIMPET_SESSION_H
#define LIMPET_WORKER_LIBLIMPET_SESSION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "message.h"

/* How long a front may take to answer a hello, and to tell that a leave was heard. */
#define LIMPET_WELCOME_MS 10000
#define LIMPET_LEAVE_MS 1000
/* At most one message for ended connections in this time. */
#define LIMPET_CLOSED_MS 100
/* A front that took the worker in for less than this counts as one that was not there. */
#define LIMPET_STABLE_MS 10000
#define LIMPET_STATS_BYTES 2048

enum limpet_session_state {
	LIMPET_SESSION_APART,    /* no channel; tried again at `due` */
	LIMPET_SESSION_GREETING, /* the welcome is awaited up to `due` */
	LIMPET_SESSION_JOINED,
	LIMPET_SESSION_DRAINING, /* takes no more */
	LIMPET_SESSION_OVER,
};

enum limpet_answer { LIMPET_ANSWER_NONE, LIMPET_ANSWER_ACK, LIMPET_ANSWER_REFUSE };

struct limpet_session {
	enum limpet_session_state state;
	int fd;           /* the channel, or -1 */
	int epoll, timer; /* -1 before limpet_session_init() */
	uint32_t interest;
	int64_t armed; /* what the timer is set to, or -1 */
	bool inherited;
	bool broken; /* nothing can be sent; what the front said before its end is still read */
	bool urgent; /* the fd is to be readable at once: as long as its owner wants that, and up to the first
	                step */
	bool more;   /* the last step had its fill */
	bool wanted; /* the worker is ready */
	bool asked_for_slot;
	char socket[LIMPET_CLIENT_MAX];
	char pool[LIMPET_NAME_MAX], slot[LIMPET_NAME_MAX];
	char reason[LIMPET_REASON_MAX];
	int64_t due, welcomed;
	unsigned failed; /* tries in a row */

	/* To be sent. */
	bool hello_due, ready_due, pong_due, stats_due, bye_due, ping_due;
	enum limpet_answer answer;
	uint32_t answer_id, pong;
	uint64_t closed;      /* ended, and not told yet */
	int64_t closed_after; /* not before */
	uint64_t open_here;   /* taken from this channel and not told to have ended */
	bool blocked;         /* the front has to read first */
	char stats[LIMPET_STATS_BYTES];
	size_t stats_length;

	/* Leaving: the front's answer to a ping after the bye says that nothing is under way any more. */
	bool leaving;
	uint32_t fence;
	int64_t leave_by;

	/* What happened: to be told once the answer is out. */
	enum limpet_event_type pending; /* or 0 */
	int passed;                     /* the socket of a connection, or -1 */
	struct limpet_message message;
	struct sockaddr_storage address;
	socklen_t address_length;

	unsigned limit;
	uint64_t open; /* taken and not ended, whoever was the front */
};

/* Opens epoll set and timer. 0 or a negative errno; limpet_session_close() is due in both cases. */
int limpet_session_init(struct limpet_session *session);

/* One of these next. Names are valid, or empty. fd is consumed by success. */
int limpet_session_inherit(struct limpet_session *session, int fd, const char *pool, const char *slot);
int limpet_session_join(
    struct limpet_session *session, const char *socket, const char *pool, const char *slot);

/* ours: false in a child after fork(), which only closes its copies. */
void limpet_session_close(struct limpet_session *session, bool ours);

/* Does what can be done, up to the first event, which is returned; 0: nothing happened. With
 * LIMPET_CONNECTION the socket is in `passed`, and is the caller's who sets that to -1. Texts and address are
 * in `message`, `address` and `reason`. */
enum limpet_event_type limpet_session_step(struct limpet_session *session, int64_t now);

/* Sets timer and interest to what the state wants: after everything that changes it, limpet_session_step()
 * excepted. */
void limpet_session_arm(struct limpet_session *session, int64_t now);

/* Sends what is due and can be sent. */
void limpet_session_flush(struct limpet_session *session, int64_t now);

void limpet_session_closed(struct limpet_session *session, unsigned count);
void limpet_session_leave(struct limpet_session *session, int64_t now);

/* When the next step is due, or -1. */
int64_t limpet_session_deadline(const struct limpet_session *session, int64_t now);

#endif
