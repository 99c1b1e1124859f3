/* The inside of liblimpet-accept.so, which is preloaded into unmodified programs: their TCP sockets that
 * listen are swapped for data sockets, over which limpet passes the connections that it has pinned to this
 * worker. channel/accept_message.h is what is spoken.
 *
 * What a swapped socket is, is written on it in the kernel: a name that says so and holds the address, and a
 * mark for "listening". So fds may be duplicated, inherited and passed without anyone here knowing; the
 * tables of a process only save time or hold what can be done without.
 *
 * Nothing here may disturb a program: it works as without limpet when there is no control socket, and errno
 * is set only as the call that was replaced would set it.
 */
#ifndef LIMPET_WORKER_ACCEPT_SHIM_H
#define LIMPET_WORKER_ACCEPT_SHIM_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "channel/accept_message.h"

/* ---- message.c: what the front sends ---- */

/* Receives one datagram; flags are those of recvmsg(). Its length as recvmsg() returns it; *received is the fd that came, the
 * caller's, or -1: none, or there was no free one for it. */
ssize_t message_receive(int fd, struct accept_message *message, int flags, int *received);

/* ---- real.c: the functions that interpose.c stands before ---- */

struct real {
	int (*bind)(int, const struct sockaddr *, socklen_t);
	int (*listen)(int, int);
	int (*connect)(int, const struct sockaddr *, socklen_t);
	int (*accept)(int, struct sockaddr *, socklen_t *);
	int (*accept4)(int, struct sockaddr *, socklen_t *, int);
	int (*getsockname)(int, struct sockaddr *, socklen_t *);
	int (*getpeername)(int, struct sockaddr *, socklen_t *);
	int (*getsockopt)(int, int, int, void *, socklen_t *);
	int (*setsockopt)(int, int, int, const void *, socklen_t);
	int (*close)(int);
	int (*fclose)(FILE *);
	int (*close_range)(unsigned, unsigned, int); /* NULL in musl, as is closefrom() */
	void (*closefrom)(int);
	int (*dup)(int);
	int (*dup2)(int, int);
	int (*dup3)(int, int, int);
	int (*epoll_ctl)(int, int, int, struct epoll_event *);
	long (*syscall)(long, ...);
	int (*fcntl)(int, int, ...);
	int (*fcntl64)(int, int, ...); /* NULL where there is but one */
};

/* Looked up once. */
const struct real *real(void);

/* ---- control.c: the socket over which the front gets the far ends of data sockets ---- */

/* The number of the control socket; -1: there is none, the program is on its own. */
int control_fd(void);

/* Is it a number that the program must not close? Does not look at the socket: to be called from close(). */
bool control_is(int fd);

/* Sends the far end of a pair (borrowed). 0 or a negative errno. */
int control_open(int far);

/* ---- swapped.c: what a swapped socket says of itself ---- */

struct swapped {
	union accept_address address;
	socklen_t length;
	bool ipv6_only;
	bool given; /* by the front, to Node.js */
	uint64_t identity; /* tells it from every other */
};

/* Is fd a swapped socket? info may be NULL. Leaves errno as it is. */
bool swapped_is(int fd, struct swapped *info);

/* The same, but remembers: cheap for fds that were never swapped; a fd that came to this process unseen is
 * not known. */
bool swapped_known(int fd);
void swapped_forget(int fd);
void swapped_remember(int fd);

/* Writes the name onto a near end. 0 or a negative errno. */
int swapped_name(int near, const struct swapped *info);

/* The mark: a process has made it listen, and the front may send. */
bool swapped_listens(int fd);
void swapped_set_listens(int fd);

/* The mark itself, 0 if there is none; errno may change. */
int swapped_mark(int fd);
void swapped_set_mark(int fd, int mark);

/* ---- given.c: sockets that come from the front, over the program's own channel ---- */

/* A Unix socket without a name is looked at: one with the mark GIVEN is taken on, or the mark is changed. True: it
 * is a swapped socket now. Leaves errno as it is. */
bool given_take_on(int fd);

/* ---- kept.c: the program's own socket, until it listens, and the far end, so that the front's end is no end
 * of file ---- */

/* Both fds are consumed. Without room they are closed, which loses little. */
void kept_add(int near, int own, int far);

/* The program's own socket behind a swapped one, or once that listens its shadow; -1: none, as in a program that was
 * executed since. Borrowed. */
int kept_own(int near);

/* Is it still the program's own, not its shadow? */
bool kept_is_own(int own);

/* Closes the program's own socket, which is the front's now. Its shadow takes its place. */
void kept_give_own(int near);

/* Forgets all of it: the socket is swapped back. */
void kept_drop(int near);

/* ---- shadow.c: stands in for a listening socket that is the front's now ---- */

/* A TCP socket with the same options. The caller's; -1: there is none to be had. Leaves errno as it is. */
int shadow_of(int own);

/* One whose options nobody has changed. */
int shadow_new(int family);

/* ---- registered.c: the epoll sets that hold a socket, before it is swapped ---- */

#define REGISTERED_MAX 8

struct registered {
	size_t count;
	struct {
		int set;
		struct epoll_event event;
	} in[REGISTERED_MAX];
};

/* Takes fd out of the sets that it is in, and puts what has its number now into the same. */
void registered_take_out(int fd, struct registered *registered);
void registered_put_back(int fd, struct registered *registered);

/* ---- listening.c ---- */

/* bind(), listen() and connect() of a socket that may concern us. False: it does not, the real function is to
 * be called; else *result is what the function returns, errno set. */
bool listening_bind(int fd, const struct sockaddr *address, socklen_t length, int *result);
bool listening_listen(int fd, int backlog, int *result);
bool listening_connect(int fd, const struct sockaddr *address, socklen_t length, int *result);

/* Tells the front an option that the program has set since the socket is the front's. Lost if there is no room. */
void listening_option(int fd, int level, int name, const void *value, socklen_t length);

/* ---- accepted.c ---- */

/* accept4() of a swapped socket. */
int accepted_take(int fd, struct sockaddr *address, socklen_t *length, int flags);

/* ---- taken.c: noting what was taken, in place of saying it ---- */

/* Memory of the front's. fd is consumed. errno may change. */
void taken_map(uint32_t name, int fd);

/* Notes it where its message says. True: the front will see it, and needs no message. */
bool taken_note(const struct accept_message *message);

/* ---- polled.c: the epoll sets that hold connections, which must leave them when they are closed ---- */

/* fd is a connection now; so is a copy of one. */
void polled_accepted(int fd);
void polled_copied(int from, int to);

/* To be called before EPOLL_CTL_ADD, and after EPOLL_CTL_DEL. */
void polled_add(int set, int fd);
void polled_taken_out(int set, int fd);

/* To be called before a close that will succeed: takes connections out of the sets to which this process has added them.
 * polled_replace() is for dup2(from, to). errno stays; may be called from signal handlers and children of vfork(). */
void polled_close(int fd);
void polled_close_range(unsigned first, unsigned last);
void polled_replace(int from, int to);

/* ---- peers.c: clients behind a proxy ---- */

/* The connection is this client's. Leaves errno as it is. */
void peer_note(int fd, const union accept_address *address);

/* False: the kernel knows best. */
bool peer_find(int fd, union accept_address *address, socklen_t *length);
void peer_forget(int fd);

/* ---- faked.c: what a swapped socket answers in place of the TCP socket ---- */

/* As getsockname(), from what the name holds. */
int faked_sockname(const struct swapped *info, struct sockaddr *address, socklen_t *length);

/* True: *result is what getsockopt() or setsockopt() returns. */
bool faked_getsockopt(int fd, int level, int name, void *value, socklen_t *length, int *result);
bool faked_setsockopt(int fd, int level, int name, const void *value, socklen_t length, int *result);

/* Copies an address out as the kernel does: cut to what there is room for, the length as it would be. */
void copy_address(const void *from, socklen_t from_length, struct sockaddr *address, socklen_t *length);

#endif
