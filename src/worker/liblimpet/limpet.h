/* liblimpet: connections from limpet(8) for a worker that is written in C, over protocol limpet.
 *
 * liblimpet(3) is the manual, limpet-worker(7) specifies the protocol. Functions return 0 or more, or a
 * negative errno.
 *
 * Threads: limpet_accept(), limpet_closed(), limpet_stats(), limpet_leave(), limpet_limit() and the functions
 * that copy a text may be called by any number of threads at a time. limpet_next() belongs to one thread, and
 * does not go together with limpet_accept(). limpet_close() is the last call. Nothing may be called in a
 * signal handler, nor, but for limpet_close(), in a child after fork().
 */
#ifndef LIMPET_H
#define LIMPET_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#ifdef __cplusplus
extern "C" {
#endif

struct limpet;

/* ---- the channel ---- */

/* Opens the channel that the environment names: LIMPET_FD, which limpet gives to workers that it starts, or
 * else LIMPET_SOCKET, with LIMPET_POOL and LIMPET_SLOT, as limpet_join() has them. 0, or a negative errno,
 * with *limpet NULL: -ENOENT if neither is set, or what the two functions below return. */
int limpet_open(struct limpet **limpet);

/* Opens an inherited channel. fd becomes the library's on success only, and is made close-on-exec. -EBADF,
 * -ENOTSOCK or -EPROTOTYPE: it is none; -ENOMEM, -EMFILE, -ENFILE. */
int limpet_open_fd(struct limpet **limpet, int fd);

/* Joins a pool of a limpet that did not start this process. socket is a path, or "@" and an abstract name;
 * slot may be NULL: limpet chooses. Texts are copied. Connecting is tried at once, and again after 100 ms to
 * 30 s whenever limpet is not there, also later: that is no error. -EINVAL: pool or slot cannot be names;
 * -ENAMETOOLONG: socket is empty or too long; -ENOMEM, -EMFILE, -ENFILE. */
int limpet_join(struct limpet **limpet, const char *socket, const char *pool, const char *slot);

/* Takes leave, if that was not done, gives back what was not taken, and frees everything. Connections that
 * were taken stay. NULL: nothing. */
void limpet_close(struct limpet *limpet);

/* ---- connections, as accept4(2) gives them ---- */

/* For flags of limpet_accept(), beside SOCK_NONBLOCK and SOCK_CLOEXEC: do not wait. */
#define LIMPET_DONTWAIT 0x40

/* Waits for a connection, and returns its socket, which is the caller's. limpet knows by then that this
 * worker has it. The first call says that the worker is ready. It also does what else the channel needs:
 * answers pings, joins again.
 *
 * address, length: the client's address as accept(2) has it; may both be NULL. It is what a trusted proxy
 * said, if there is one, and need not be what getpeername(2) says.
 *
 * -EAGAIN        LIMPET_DONTWAIT, and there is none now
 * -EINTR         a signal handler ran
 * -ESHUTDOWN     no further connection will come: limpet drains this worker, or is gone, or limpet_leave()
 * was called. Those that were taken should be finished. -EMFILE        one came for which this process has no
 * room; another worker gets it -ECONNREFUSED  limpet does not take this worker in; limpet_reason() says why.
 * A further call tries again, after a while. -EINVAL        unknown flags, or an address without length */
int limpet_accept(struct limpet *limpet, struct sockaddr *address, socklen_t *length, int flags);

/* ---- the same for an event loop ---- */

/* To be polled for reading, and never read: it is readable when limpet_next(), or limpet_accept() with
 * LIMPET_DONTWAIT, has something to do. The same fd up to limpet_close(), close-on-exec, and the library's.
 */
int limpet_fd(const struct limpet *limpet);

/* Milliseconds, rounded up, until the library has something to do by itself, such as to join again; -1:
 * nothing. limpet_fd() is readable then: it is only needed by those who cannot poll it, or want to tell it.
 */
int limpet_timeout(struct limpet *limpet);

enum limpet_event_type {
	/* A connection: limpet knows that this worker has it. */
	LIMPET_CONNECTION = 1,
	/* limpet has taken this worker in (limpet_join() only). */
	LIMPET_JOINED = 2,
	/* limpet is not there, or no longer; it is tried again (limpet_join() only). */
	LIMPET_LOST = 3,
	/* limpet does not take this worker in; it is tried again (limpet_join() only). */
	LIMPET_REJECTED = 4,
	/* A connection came for which this process has no room (EMFILE); another worker gets it. */
	LIMPET_NO_ROOM = 5,
	/* No further connection will come; those that are open should be finished. */
	LIMPET_DRAIN = 6,
	/* The channel is over: the last event. Without LIMPET_DRAIN before it, it means the same. */
	LIMPET_OVER = 7
};

/* Texts and addresses are never NULL, and empty where there is nothing to say. Later versions may add members
 * and types. */
struct limpet_event {
	enum limpet_event_type type;
	int fd;               /* CONNECTION: the caller's, non-blocking and close-on-exec; else -1 */
	const char *client;   /* CONNECTION: the client address as text, "203.0.113.9:51123" */
	const char *listener; /* CONNECTION: the listener's name */
	const char *key;      /* CONNECTION: where the sticky key is from, "cookie" */
	const struct sockaddr
	    *address; /* CONNECTION: the client address; of family AF_UNSPEC if it is unknown */
	socklen_t address_length;
	const char *pool, *slot; /* JOINED */
	const char *reason;      /* LOST, REJECTED, OVER */
};

/* Does what there is to do without waiting, and returns what happened, or NULL if nothing more is there now.
 * It is valid up to the next call. The first call says that the worker is ready. Call it until it returns
 * NULL, once at the beginning and then whenever limpet_fd() is readable. */
const struct limpet_event *limpet_next(struct limpet *limpet);

/* ---- what limpet is told ---- */

/* So many connections that were taken have ended. Several calls may become one message, which limpet gets
 * within 100 ms if one of the functions above runs, or limpet_fd() is polled. */
void limpet_closed(struct limpet *limpet, unsigned count);

/* Refuse what comes while so many connections are open: taken, and not told by limpet_closed(). Other workers
 * get it. 0, the default: no limit. */
void limpet_limit(struct limpet *limpet, unsigned connections);

#define LIMPET_STATS_MAX 16

struct limpet_stat {
	const char *name; /* 1 to 32 of a-z, 0-9 and "_" */
	double value;     /* finite */
};

/* Numbers of the worker's own, for limpetctl(8). They are told again whenever the worker has joined again,
 * and take the place of those that it told before. -EINVAL: more than LIMPET_STATS_MAX, or one is not as it
 * should be; then nothing changes. */
int limpet_stats(struct limpet *limpet, const struct limpet_stat *stats, size_t count);

/* Wants no further connections. Some may be under way: limpet_accept() returns them, or limpet_next(), before
 * it says -ESHUTDOWN or LIMPET_DRAIN, one second later at the latest. */
void limpet_leave(struct limpet *limpet);

/* ---- texts ---- */

/* These copy a text, NUL-terminated and cut if it is too long, and return its length; 0 if there is none. */

/* The names of the pool and of the slot that this worker is in. */
size_t limpet_pool(struct limpet *limpet, char *buffer, size_t size);
size_t limpet_slot(struct limpet *limpet, char *buffer, size_t size);

/* Why limpet is not there, did not take this worker in, or is gone: for a log. */
size_t limpet_reason(struct limpet *limpet, char *buffer, size_t size);

#ifdef __cplusplus
}
#endif

#endif
