/* accept(): a connection comes as a datagram with its socket. It is acknowledged before the program has it: a
 * program that was killed without an acknowledgement has never read a byte, and limpet gives the connection
 * to another. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd_passing.h"
#include "worker/agent/agent.h"

/* Threads that wait in accept(). */
#define WAITING_MAX 1024

/* Datagrams that are no connections, in a row: late answers. */
#define OTHERS_MAX 64

/* The front reads acknowledgements at once, unless it is being replaced. */
#define ACKNOWLEDGE_MILLISECONDS 1000

struct connection {
	struct accept_message message;
	int fd;
	bool taken; /* acknowledged */
};

static void acknowledge(int near, enum accept_type type, const struct connection *connection, pid_t process)
{
	struct accept_message message = {
	    .type = type, .number = connection->message.number, .process = (uint32_t)process};
	struct pollfd writable = {.fd = near, .events = POLLOUT};

	if (fd_send(near, &message, sizeof(message), -1) == -EAGAIN &&
	    poll(&writable, 1, ACKNOWLEDGE_MILLISECONDS) > 0)
		fd_send(near, &message, sizeof(message), -1);
}

/* Receives the next one. 0 or a negative errno; -EAGAIN: there is none. Its fd may be -1. */
static int receive(int near, struct connection *connection)
{
	for (int i = 0; i < OTHERS_MAX; i++) {
		ssize_t length = fd_receive(
		    near, &connection->message, sizeof(connection->message), &connection->fd, NULL);

		connection->taken = false;
		if (length < 0)
			return (int)length;
		if (length == 0)
			return -EINVAL; /* as after shutdown() of a listening socket */
		if (length == sizeof(connection->message) && connection->message.type == ACCEPT_CONNECTION)
			return 0;
		if (connection->fd >= 0)
			close(connection->fd);
	}
	return -EAGAIN;
}

/* Has it come through a proxy that says who the client is? */
static bool names_client(const struct connection *connection, union accept_address *address)
{
	int family = 0;
	socklen_t length = sizeof(family);

	return (connection->message.flags & ACCEPT_CLIENT_IS_PEER) &&
	       getsockopt(connection->fd, SOL_SOCKET, SO_DOMAIN, &family, &length) == 0 &&
	       accept_address_fit(address, family, &connection->message.address);
}

/* Who is connected, as accept() says it, also of a client that has gone already. */
static int tell_peer(struct agent *agent, const struct call *call, const struct connection *connection)
{
	union accept_address address;
	socklen_t length = sizeof(address);

	if (!call->arguments[1])
		return 0;
	if (names_client(connection, &address))
		length = address.sa.sa_family == AF_INET ? sizeof(address.in) : sizeof(address.in6);
	else if (getpeername(connection->fd, &address.sa, &length) < 0) {
		address = connection->message.address;
		length = connection->message.address_length;
	}
	return answer_address(agent, call, call->arguments[1], call->arguments[2], &address, length);
}

/* The call was interrupted: the next one gets it. */
static void hold(struct server *server, const struct connection *connection)
{
	server->held = connection->fd;
	server->held_taken = connection->taken;
	server->held_message = connection->message;
}

static void refuse(struct agent *agent, const struct call *call, int near, const struct task *task,
    struct server *server, const struct connection *connection, int error)
{
	if (connection->taken) {
		hold(server, connection); /* too late: as if it were in the kernel's queue */
	} else {
		acknowledge(near, ACCEPT_REFUSED, connection, task->process);
		if (connection->fd >= 0)
			close(connection->fd);
	}
	trap_return(agent->notify, call, error);
}

static bool takes_cloexec(const struct call *call)
{
	return call->number == SYS_accept4 && (call->arguments[3] & SOCK_CLOEXEC);
}

/* Whether there is room is known only when the program has it. So it is given first, under a number that the
 * program is not told before the acknowledgement. Costs two more switches. */
static void deliver_carefully(struct agent *agent, const struct call *call, int near, struct task *task,
    struct server *server, struct connection *connection)
{
	int number = trap_give_fd(agent->notify, call, connection->fd, -1, takes_cloexec(call));

	if (number == -ENOENT) {
		hold(server, connection);
		return;
	}
	if (number < 0) {
		refuse(agent, call, near, task, server, connection, number);
		return;
	}
	if (!connection->taken)
		acknowledge(near, ACCEPT_TAKEN, connection, task->process);
	close(connection->fd);
	task->last_number = number;
	if (trap_return(agent->notify, call, number) == 0)
		return;
	task->given_by = server->inode;
	task->given = number;
}

static bool may_be_full(struct task *task)
{
	uint64_t limit = task_fd_limit(task), last = (uint64_t)task->last_number;

	return last + 16 + limit / 32 >= limit;
}

/* connection's fd is consumed. */
static void deliver(struct agent *agent, const struct call *call, int near, struct task *task,
    struct server *server, struct connection *connection)
{
	bool nonblock = call->number == SYS_accept4 && (call->arguments[3] & SOCK_NONBLOCK);
	int result;

	/* The kernel had no free fd for it here, and has dropped its copy. The front has another. */
	result = connection->fd < 0 ? -EMFILE : tell_peer(agent, call, connection);
	if (result == -ENOENT) {
		hold(server, connection);
		return;
	}
	if (result) {
		refuse(agent, call, near, task, server, connection, result);
		return;
	}
	/* The open file came blocking, as accept() makes them. */
	if (nonblock)
		fcntl(connection->fd, F_SETFL, O_RDWR | O_NONBLOCK);
	if (may_be_full(task)) {
		deliver_carefully(agent, call, near, task, server, connection);
		return;
	}
	if (!connection->taken)
		acknowledge(near, ACCEPT_TAKEN, connection, task->process);
	connection->taken = true;
	result = trap_return_fd(agent->notify, call, connection->fd, takes_cloexec(call));
	if (result >= 0) {
		task->last_number = result;
		close(connection->fd);
	} else if (result == -ENOENT) {
		hold(server, connection);
	} else {
		task->last_number = INT_MAX;
		refuse(agent, call, near, task, server, connection, result);
	}
}

/* One connection, if there is one. False: there is none. */
static bool serve(
    struct agent *agent, const struct call *call, int near, struct task *task, struct server *server)
{
	struct connection connection = {.fd = -1};
	int error;

	if (task->given_by == server->inode) {
		if (trap_return(agent->notify, call, task->given) == 0)
			task->given_by = 0;
		return true;
	}
	if (!trap_waits(agent->notify, call))
		return true;
	if (server->held >= 0) {
		connection = (struct connection){server->held_message, server->held, server->held_taken};
		server->held = -1;
	} else {
		error = receive(near, &connection);
		if (error == -EAGAIN)
			return false;
		if (error) {
			trap_return(agent->notify, call, error);
			return true;
		}
	}
	deliver(agent, call, near, task, server, &connection);
	return true;
}

/* ---- waiting ---- */

/* Of those that wait for one server the first is watched: a connection is for one of them. */
static void watch_first(struct agent *agent, ino_t server)
{
	struct waiting *waiting;

	TAILQ_FOREACH(waiting, &agent->waiting, entry)
	if (waiting->server == server) {
		if (!waiting->id)
			waiting->id = agent_watch(agent, waiting->near, EPOLLIN);
		return;
	}
}

static void waiting_free(struct agent *agent, struct waiting *waiting)
{
	ino_t server = waiting->server;

	TAILQ_REMOVE(&agent->waiting, waiting, entry);
	agent->waiting_count--;
	agent_close(agent, &waiting->near);
	free(waiting);
	watch_first(agent, server);
}

/* near is consumed. */
static void wait_for_connection(
    struct agent *agent, const struct call *call, int near, const struct server *server)
{
	struct waiting *waiting = agent->waiting_count < WAITING_MAX ? calloc(1, sizeof(*waiting)) : NULL;
	struct timeval timeout = {0};
	socklen_t length = sizeof(timeout);

	if (!waiting) {
		close(near);
		trap_return(agent->notify, call, -ENOBUFS);
		return;
	}
	getsockopt(near, SOL_SOCKET, SO_RCVTIMEO, &timeout, &length);
	waiting->call = *call;
	waiting->near = near;
	waiting->server = server->inode;
	waiting->deadline = INT64_MAX;
	if (timeout.tv_sec || timeout.tv_usec)
		waiting->deadline = agent_now() + (int64_t)timeout.tv_sec * 1000 + timeout.tv_usec / 1000;
	TAILQ_INSERT_TAIL(&agent->waiting, waiting, entry);
	agent->waiting_count++;
	watch_first(agent, server->inode);
}

void accepts_event(struct agent *agent, uint64_t id, uint32_t events)
{
	struct waiting *waiting;
	struct server *server;
	struct task *task;

	TAILQ_FOREACH(waiting, &agent->waiting, entry)
	if (waiting->id == id)
		break;
	if (!waiting)
		return;
	task = task_find(&agent->tasks, waiting->call.thread);
	server = server_of(agent, waiting->near);
	if (!task || !server || serve(agent, &waiting->call, waiting->near, task, server))
		waiting_free(agent, waiting);
}

void accepts_left(struct agent *agent, pid_t thread)
{
	struct waiting *waiting, *next;

	for (waiting = TAILQ_FIRST(&agent->waiting); waiting; waiting = next) {
		next = TAILQ_NEXT(waiting, entry);
		if (waiting->call.thread == thread)
			waiting_free(agent, waiting);
	}
}

void accepts_late(struct agent *agent, int64_t now)
{
	struct waiting *waiting, *next;

	for (waiting = TAILQ_FIRST(&agent->waiting); waiting; waiting = next) {
		next = TAILQ_NEXT(waiting, entry);
		if (trap_waits(agent->notify, &waiting->call)) {
			if (waiting->deadline > now)
				continue;
			trap_return(agent->notify, &waiting->call, -EAGAIN);
		}
		waiting_free(agent, waiting);
	}
}

/* ---- the call ---- */

void accept_call(struct agent *agent, const struct call *call)
{
	struct task *task = TAILQ_EMPTY(&agent->servers) ? NULL : task_find(&agent->tasks, call->thread);
	int near;
	struct server *server = server_in(agent, task, (int)call->arguments[0], &near);
	bool waits;

	if (!server) {
		trap_continue(agent->notify, call);
		return;
	}
	if (!server->listens ||
	    (call->number == SYS_accept4 &&
	        (call->arguments[3] & ~(uint64_t)(SOCK_CLOEXEC | SOCK_NONBLOCK) & UINT32_MAX))) {
		trap_return(agent->notify, call, -EINVAL);
		close(near);
		return;
	}
	waits = !serve(agent, call, near, task, server);
	if (waits && fcntl(near, F_GETFL) & O_NONBLOCK) {
		trap_return(agent->notify, call, -EAGAIN);
		waits = false;
	}
	if (waits)
		wait_for_connection(agent, call, near, server);
	else
		close(near);
}
