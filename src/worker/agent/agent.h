/* The inside of limpet-agent, which does from outside what liblimpet-accept.so (worker/accept/) does in the
 * program: for programs that no library can be preloaded into. It is the parent of one worker's program,
 * whose bind(), listen(), accept() and the like the kernel hands over to it (seccomp user notification), also
 * those of all the program's descendants; channel/accept_message.h is what it speaks with the front.
 *
 *   limpet -- limpet-agent -- the program -- its children
 *
 * As in the library, the one end of a pair of Unix sockets takes the place of a listening TCP socket, so that
 * poll(), epoll and the rest work by themselves. The agent keeps no copy of that end: when the program closes
 * its last one the front sees it. Which of them a number means it asks the kernel each time (pidfd_getfd()).
 *
 * Whatever the program does, only its own agent can come to harm: the agent has the program's user, its
 * limits and none of limpet's secrets. It ends with the program, and the program with it.
 *
 * A call that a signal interrupts is no longer waited for: the kernel forgets the notification, and the
 * program makes the call again. So everything here may be begun twice, and says so where it matters.
 */
#ifndef LIMPET_WORKER_AGENT_AGENT_H
#define LIMPET_WORKER_AGENT_AGENT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "channel/accept_message.h"

/* ---- trap.c: the filter and the kernel's side of it ---- */

struct call {
	uint64_t id;
	pid_t thread;
	int number;
	uint64_t arguments[6];
};

/* In the program, before it is executed: its system calls are trapped from now on. Returns the fd that they
 * are read from, or a negative errno. */
int trap_install(void);

/* Can the kernel do what is needed? 0 or a negative errno. */
int trap_probe(int notify);

/* The next call, when notify is readable. 0 or a negative errno; -ENOENT: it was interrupted. */
int trap_receive(int notify, struct call *call);

/* Does the program still wait for it? */
bool trap_waits(int notify, const struct call *call);

/* Ends a call: with a value or a negative errno, or so that the kernel does what was asked. 0, or -ENOENT: it
 * was interrupted. */
int trap_return(int notify, const struct call *call, int64_t value);
int trap_continue(int notify, const struct call *call);

/* Gives fd (borrowed) to the program and ends the call with its number there. The number, -ENOENT:
 * interrupted, or another errno, upon which the call is still open. */
int trap_return_fd(int notify, const struct call *call, int fd, bool cloexec);

/* The same, but the call goes on. at: the number that it gets, whose file is closed; -1: a free one. */
int trap_give_fd(int notify, const struct call *call, int fd, int at, bool cloexec);

/* ---- task.c: the processes that make the calls ---- */

#define TASKS_MAX 64

struct task {
	pid_t process;
	int handle; /* a pidfd */
	unsigned long used;
	int last_number; /* of the last fd that it was given */
	ino_t given_by; /* the server whose accept() was interrupted when the connection was there; 0: none */
	int given;      /* its number */
	uint64_t limit;
	unsigned limit_age; /* how often it was asked */
};

struct tasks {
	struct task all[TASKS_MAX];
	unsigned long used;
};

void tasks_init(struct tasks *tasks);

/* The process that a thread belongs to; NULL: it is no more, or cannot be reached. The pointer is good until
 * the next call of this. */
struct task *task_find(struct tasks *tasks, pid_t thread);

/* A copy of its fd, close-on-exec, owned by the caller. A negative errno: -EBADF, or -EPERM where the kernel
 * keeps processes apart. */
int task_fd(struct task *task, int number);

/* How many fds it may have; or might a few calls ago. */
uint64_t task_fd_limit(struct task *task);

/* The flags of /proc/PID/fdinfo: open()'s, O_CLOEXEC among them. Negative errno. */
int task_fd_flags(const struct task *task, int number);

/* Its memory, opened for one call: the caller makes sure that the call is still waited for before it believes
 * what it reads, and before it writes. */
struct memory {
	int fd;
};

struct memory memory_open(pid_t thread);
void memory_close(struct memory *memory);

/* 0 or -EFAULT: all or nothing is read; of what is written a part may be. */
int memory_read(const struct memory *memory, uint64_t address, void *to, size_t length);
int memory_write(const struct memory *memory, uint64_t address, const void *from, size_t length);

/* ---- registered.c ---- */

/* The epoll sets of the process that hold its socket number, whose file was own: from now on they hold by,
 * which has its number now, with the same events. Both are borrowed. */
void registered_move(struct task *task, int number, int own, int by);

/* ---- servers.c: listening sockets ---- */

enum question { QUESTION_NONE, QUESTION_BIND, QUESTION_LISTEN };

struct server {
	TAILQ_ENTRY(server) entry;
	uint64_t id, far_id; /* in the epoll set: the near end's while there is a question, the far end's */
	ino_t inode;         /* of the near end, by which it is known in the program; 0: none yet */
	int near;            /* held while there is a question */
	int far;
	int own; /* the program's own socket, until it listens */
	ino_t own_inode;
	union accept_address address;
	socklen_t length;
	bool ipv6_only;
	bool listens;

	enum question question;
	struct call call; /* that asks it */
	struct accept_message asked;
	bool listen_too; /* a listen() that begins with a bind() */
	int backlog;
	int flags;        /* of own's open file, before the front had it */
	int64_t deadline; /* of the question, in milliseconds */
	unsigned tries;
	bool bind_unsaid; /* swapped, but the bind() was interrupted: it comes again */

	/* A connection whose accept() was interrupted: the next one gets it. */
	int held;
	bool held_taken; /* acknowledged */
	struct accept_message held_message;
};

struct agent {
	int control;
	int notify;
	int epoll;
	struct tasks tasks;
	uint64_t last_id;
	TAILQ_HEAD(, server) servers;
	unsigned servers_count;
	unsigned unswapped; /* servers whose own socket is still held */
	TAILQ_HEAD(, waiting) waiting;
	unsigned waiting_count;
	int64_t next_sweep; /* of what waits, in milliseconds */
};

/* The server whose near end fd is; NULL: it is another socket. */
struct server *server_of(struct agent *agent, int fd);

/* The same for the fd of the task with this number; *fd becomes a copy of it, owned by the caller. NULL: it
 * is another's, or cannot be reached; *fd is -1 then. */
struct server *server_in(struct agent *agent, struct task *task, int number, int *fd);

void servers_event(struct agent *agent, uint64_t id, uint32_t events);
void servers_late(struct agent *agent, int64_t now);
void server_free(struct agent *agent, struct server *server);

/* bind(), listen() and connect(); they end the call, or keep it until the front has answered. */
void server_bind(struct agent *agent, const struct call *call);
void server_listen(struct agent *agent, const struct call *call);
void server_connect(struct agent *agent, const struct call *call);

/* ---- accepts.c ---- */

/* A blocking accept(). */
struct waiting {
	TAILQ_ENTRY(waiting) entry;
	uint64_t id; /* in the epoll set; 0: another one for the same server is there */
	ino_t server;
	struct call call;
	int near;         /* held as long as it waits, as by the kernel's accept() */
	int64_t deadline; /* SO_RCVTIMEO; INT64_MAX: none */
};

void accept_call(struct agent *agent, const struct call *call);
void accepts_event(struct agent *agent, uint64_t id, uint32_t events);

/* A thread that makes another call waits no more. */
void accepts_left(struct agent *agent, pid_t thread);

/* Ends those whose time is over, and forgets those that were interrupted. */
void accepts_late(struct agent *agent, int64_t now);

/* ---- answers.c: what a swapped socket answers in place of the TCP socket ---- */

void answer_sockname(struct agent *agent, const struct call *call);
void answer_getsockopt(struct agent *agent, const struct call *call);
void answer_setsockopt(struct agent *agent, const struct call *call);

/* Copies an address out as the kernel does. 0 or a negative errno. Of a call that is no longer waited for
 * nothing is written. */
int answer_address(struct agent *agent, const struct call *call, uint64_t address, uint64_t length_address,
    const union accept_address *from, socklen_t from_length);

/* ---- main.c ---- */

/* Milliseconds that only go forward. */
int64_t agent_now(void);

/* Puts it into the epoll set, under an id that no other ever has; 0: that failed. Who closes the fd takes it
 * out first: its file lives on in other processes. */
uint64_t agent_watch(struct agent *agent, int fd, uint32_t events);

/* Takes it out and closes it; -1: nothing. */
void agent_close(struct agent *agent, int *fd);

/* On standard error, which is limpet's. */
void agent_warn(const char *what, int error);

#endif
