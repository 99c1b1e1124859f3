/* bind(), listen() and connect(): the conversation with the front, and the swap. Nothing waits here: a
 * question keeps its call open until the answer is there. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd_passing.h"
#include "worker/agent/agent.h"

/* As many as the front takes. */
#define SERVERS_MAX 256

/* A front that was replaced in the middle of a question does not know it: it is asked again. */
#define ASK_MILLISECONDS 2000
#define ASK_TRIES 5

/* ---- servers ---- */

static ino_t inode_of(int fd)
{
	struct stat status;

	return fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode) ? status.st_ino : 0;
}

struct server *server_of(struct agent *agent, int fd)
{
	ino_t inode = TAILQ_EMPTY(&agent->servers) ? 0 : inode_of(fd);
	struct server *server;

	if (!inode)
		return NULL;
	TAILQ_FOREACH(server, &agent->servers, entry)
	if (server->inode == inode)
		return server;
	return NULL;
}

struct server *server_in(struct agent *agent, struct task *task, int number, int *fd)
{
	struct server *server;

	*fd = -1;
	if (!task || TAILQ_EMPTY(&agent->servers))
		return NULL;
	*fd = task_fd(task, number);
	if (*fd < 0) {
		*fd = -1;
		return NULL;
	}
	server = server_of(agent, *fd);
	if (!server) {
		close(*fd);
		*fd = -1;
	}
	return server;
}

static struct server *server_new(struct agent *agent, const struct call *call, int own)
{
	struct server *server = agent->servers_count < SERVERS_MAX ? calloc(1, sizeof(*server)) : NULL;

	if (!server)
		return NULL;
	server->near = server->far = server->held = -1;
	server->own = own;
	server->own_inode = inode_of(own);
	server->flags = fcntl(own, F_GETFL);
	server->call = *call;
	TAILQ_INSERT_TAIL(&agent->servers, server, entry);
	agent->servers_count++;
	agent->unswapped++;
	return server;
}

static void drop_own(struct agent *agent, struct server *server)
{
	if (server->own < 0)
		return;
	agent_close(agent, &server->own);
	agent->unswapped--;
}

void server_free(struct agent *agent, struct server *server)
{
	TAILQ_REMOVE(&agent->servers, server, entry);
	agent->servers_count--;
	drop_own(agent, server);
	agent_close(agent, &server->near);
	agent_close(agent, &server->far);
	agent_close(agent, &server->held);
	free(server);
}

/* ---- questions ---- */

static int option_of(int fd, int level, int name)
{
	int value = -1;
	socklen_t length = sizeof(value);

	return getsockopt(fd, level, name, &value, &length) < 0 ? -1 : value;
}

static bool is_tcp(int fd)
{
	int domain = option_of(fd, SOL_SOCKET, SO_DOMAIN);

	return (domain == AF_INET || domain == AF_INET6) &&
	       option_of(fd, SOL_SOCKET, SO_TYPE) == SOCK_STREAM &&
	       option_of(fd, SOL_SOCKET, SO_PROTOCOL) == IPPROTO_TCP;
}

/* Each try has a pair of its own, so that an answer to an earlier one cannot be taken for this one's. */
static int ask_bind(struct agent *agent, struct server *server)
{
	struct accept_message open = {.type = ACCEPT_OPEN, .number = ACCEPT_VERSION};
	int ends[2];
	ssize_t sent;

	agent_close(agent, &server->near);
	agent_close(agent, &server->far);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	server->near = ends[0];
	server->far = ends[1];
	server->inode = inode_of(ends[0]);
	server->id = agent_watch(agent, ends[0], EPOLLIN);
	server->far_id = agent_watch(agent, ends[1], 0);
	if (!server->id || !server->far_id)
		return -ENOMEM;
	sent = fd_send(agent->control, &open, sizeof(open), ends[1]);
	if (sent >= 0)
		sent = fd_send(ends[0], &server->asked, sizeof(server->asked), server->own);
	return sent < 0 ? (int)sent : 0;
}

static int ask(struct agent *agent, struct server *server)
{
	ssize_t result;

	server->deadline = agent_now() + ASK_MILLISECONDS;
	if (server->question == QUESTION_BIND)
		result = ask_bind(agent, server);
	else
		result = fd_send(server->near, &server->asked, sizeof(server->asked), -1);
	/* Full: the next try may find room. */
	return result < 0 && result != -EAGAIN ? (int)result : 0;
}

static void stop_asking(struct agent *agent, struct server *server)
{
	server->question = QUESTION_NONE;
	agent_close(agent, &server->near);
}

/* Without a socket in the program it is of no use. */
static void fail(struct agent *agent, struct server *server, int error)
{
	trap_return(agent->notify, &server->call, error);
	if (server->question == QUESTION_BIND)
		server_free(agent, server);
	else
		stop_asking(agent, server);
}

static void ask_listen(struct agent *agent, struct server *server, int backlog)
{
	int error;

	server->question = QUESTION_LISTEN;
	server->tries = 0;
	server->asked = (struct accept_message){.type = ACCEPT_LISTEN, .value = backlog};
	error = ask(agent, server);
	if (error)
		fail(agent, server, error);
}

/* ---- answers ---- */

static void copy_timeout(int from, int to)
{
	struct timeval timeout;
	socklen_t length = sizeof(timeout);

	if (getsockopt(from, SOL_SOCKET, SO_RCVTIMEO, &timeout, &length) == 0)
		setsockopt(to, SOL_SOCKET, SO_RCVTIMEO, &timeout, length);
}

/* The near end takes the place of the program's socket, also in epoll sets; what belongs to the fd, and
 * O_NONBLOCK, stay as they were. 0 or a negative errno. */
static int swap(struct agent *agent, struct server *server)
{
	struct task *task = task_find(&agent->tasks, server->call.thread);
	int number = (int)server->call.arguments[0], flags, result;

	if (!task)
		return -ENOENT;
	flags = task_fd_flags(task, number);
	if (flags < 0 || fcntl(server->near, F_SETFL, O_RDWR | (server->flags & (O_NONBLOCK | O_ASYNC))) < 0)
		return flags < 0 ? flags : -errno;
	copy_timeout(server->own, server->near);
	result = trap_give_fd(agent->notify, &server->call, server->near, number, flags & O_CLOEXEC);
	if (result < 0)
		return result;
	registered_move(task, number, server->own, server->near);
	return 0;
}

static void on_bound(struct agent *agent, struct server *server, const struct accept_message *answer)
{
	int error;

	server->length = answer->address_length < sizeof(answer->address) ? answer->address_length
	                                                                  : sizeof(answer->address);
	server->address = answer->address;
	error = swap(agent, server);
	if (error) {
		fail(agent, server, error);
		return;
	}
	if (server->listen_too) {
		ask_listen(agent, server, server->backlog);
		return;
	}
	stop_asking(agent, server);
	server->bind_unsaid = trap_return(agent->notify, &server->call, 0) < 0;
}

static void on_may_listen(struct agent *agent, struct server *server)
{
	struct accept_message done = {.type = ACCEPT_LISTENING};
	ssize_t sent = fd_send(server->near, &done, sizeof(done), -1);

	if (sent < 0) {
		fail(agent, server, (int)sent);
		return;
	}
	server->listens = true;
	server->bind_unsaid = false;
	drop_own(agent, server);
	stop_asking(agent, server);
	trap_return(agent->notify, &server->call, 0);
}

static void on_answer(struct agent *agent, struct server *server)
{
	struct accept_message answer;
	ssize_t length = fd_receive(server->near, &answer, sizeof(answer), NULL, NULL);

	if (length == -EAGAIN)
		return;
	if (length <= 0)
		fail(agent, server, length < 0 ? (int)length : -ECONNRESET);
	else if (length != sizeof(answer) || answer.type != ACCEPT_ANSWER)
		return;
	else if (answer.value)
		fail(agent, server, answer.value > 0 ? -answer.value : answer.value);
	else if (server->question == QUESTION_BIND)
		on_bound(agent, server, &answer);
	else
		on_may_listen(agent, server);
}

void servers_event(struct agent *agent, uint64_t id, uint32_t events)
{
	struct server *server;

	TAILQ_FOREACH(server, &agent->servers, entry)
	if (server->id == id || server->far_id == id)
		break;
	if (!server)
		return;
	/* Nobody has the near end any more. */
	if (server->far_id == id)
		server_free(agent, server);
	else if (server->question != QUESTION_NONE)
		on_answer(agent, server);
}

void servers_late(struct agent *agent, int64_t now)
{
	struct server *server, *next;

	for (server = TAILQ_FIRST(&agent->servers); server; server = next) {
		int error = -ETIMEDOUT;

		next = TAILQ_NEXT(server, entry);
		if (server->question == QUESTION_NONE || server->deadline > now)
			continue;
		if (++server->tries < ASK_TRIES)
			error = ask(agent, server);
		if (error)
			fail(agent, server, error);
	}
}

/* ---- calls ---- */

static bool read_port(
    struct agent *agent, const struct call *call, union accept_address *address, socklen_t *length)
{
	struct memory memory = memory_open(call->thread);
	socklen_t given = (socklen_t)call->arguments[2];
	bool good;

	memset(address, 0, sizeof(*address));
	if (given > sizeof(*address))
		given = sizeof(*address);
	good = memory.fd >= 0 && given >= sizeof(address->in) &&
	       memory_read(&memory, call->arguments[1], address, given) == 0 &&
	       trap_waits(agent->notify, call);
	memory_close(&memory);
	if (!good || (address->sa.sa_family != AF_INET && address->sa.sa_family != AF_INET6))
		return false;
	*length = address->sa.sa_family == AF_INET ? sizeof(address->in) : sizeof(address->in6);
	return given >= *length &&
	       (address->sa.sa_family == AF_INET ? address->in.sin_port : address->in6.sin6_port) != 0;
}

/* Of a call that was interrupted and comes again: the question is under way. */
static struct server *asked_before(struct agent *agent, int own)
{
	ino_t inode = inode_of(own);
	struct server *server;

	TAILQ_FOREACH(server, &agent->servers, entry)
	if (server->question == QUESTION_BIND && server->own_inode == inode)
		return server;
	return NULL;
}

/* own is consumed. */
static void start_bind(struct agent *agent, const struct call *call, int own,
    const union accept_address *address, socklen_t length, bool listens)
{
	struct server *server = asked_before(agent, own);
	int error;

	if (server) {
		close(own);
		server->call = *call;
		return;
	}
	server = server_new(agent, call, own);
	if (!server) {
		close(own);
		trap_return(agent->notify, call, -ENOBUFS);
		return;
	}
	server->ipv6_only = option_of(own, IPPROTO_IPV6, IPV6_V6ONLY) == 1;
	server->asked = (struct accept_message){.type = ACCEPT_BIND,
	    .flags = (listens ? ACCEPT_BOUND : 0) | (server->ipv6_only ? ACCEPT_IPV6_ONLY : 0),
	    .address_length = length,
	    .address = *address};
	server->question = QUESTION_BIND;
	server->listen_too = listens;
	server->backlog = (int)call->arguments[1];
	error = ask(agent, server);
	if (error)
		fail(agent, server, error);
}

/* The fd that a call is about; negative: the call has been ended. */
static int fd_of(struct agent *agent, const struct call *call)
{
	struct task *task = task_find(&agent->tasks, call->thread);
	int fd = task ? task_fd(task, (int)call->arguments[0]) : -ESRCH;

	if (fd == -EPERM)
		agent_warn(
		    "cannot reach the files of the program: is its file not readable for its user?", EPERM);
	if (fd < 0)
		trap_continue(agent->notify, call);
	return fd;
}

void server_bind(struct agent *agent, const struct call *call)
{
	union accept_address address;
	struct server *server;
	socklen_t length;
	int fd;

	/* Of no port, of another family, or to fail: the kernel knows better. */
	if (!read_port(agent, call, &address, &length)) {
		trap_continue(agent->notify, call);
		return;
	}
	fd = fd_of(agent, call);
	if (fd < 0)
		return;
	server = server_of(agent, fd);
	if (server) {
		int result = server->bind_unsaid ? 0 : -EINVAL;

		close(fd);
		server->bind_unsaid = trap_return(agent->notify, call, result) < 0 && !result;
	} else if (is_tcp(fd)) {
		start_bind(agent, call, fd, &address, length, false);
	} else {
		close(fd);
		trap_continue(agent->notify, call);
	}
}

void server_listen(struct agent *agent, const struct call *call)
{
	int fd = fd_of(agent, call), backlog = (int)call->arguments[1];
	struct server *server = fd < 0 ? NULL : server_of(agent, fd);
	union accept_address address;
	socklen_t length = sizeof(address);

	if (fd < 0)
		return;
	if (!server && is_tcp(fd) && option_of(fd, SOL_SOCKET, SO_ACCEPTCONN) == 0 &&
	    getsockname(fd, &address.sa, &length) == 0) {
		start_bind(agent, call, fd, &address, length, true);
		return;
	}
	if (!server) {
		close(fd);
		trap_continue(agent->notify, call);
		return;
	}
	if (server->listens || server->question != QUESTION_NONE) {
		close(fd);
		/* Under way: of two that ask at once, or of one that was interrupted, the last gets the
		 * answer. */
		if (server->question != QUESTION_NONE && !trap_waits(agent->notify, &server->call))
			server->call = *call;
		else
			trap_return(agent->notify, call, 0);
		return;
	}
	server->near = fd;
	server->call = *call;
	server->id = agent_watch(agent, fd, EPOLLIN);
	ask_listen(agent, server, backlog);
}

void server_connect(struct agent *agent, const struct call *call)
{
	struct task *task = agent->unswapped ? task_find(&agent->tasks, call->thread) : NULL;
	int fd, number = (int)call->arguments[0], flags;
	struct server *server = server_in(agent, task, number, &fd);

	/* It is swapped back, and connects by itself. */
	if (server && server->own >= 0 && server->question == QUESTION_NONE) {
		flags = task_fd_flags(task, number);
		fcntl(server->own, F_SETFL, fcntl(fd, F_GETFL));
		if (flags >= 0 &&
		    trap_give_fd(agent->notify, call, server->own, number, flags & O_CLOEXEC) >= 0) {
			registered_move(task, number, fd, server->own);
			server_free(agent, server);
		}
	}
	if (fd >= 0)
		close(fd);
	trap_continue(agent->notify, call);
}
