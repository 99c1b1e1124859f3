#include "supervisor/router_process.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "supervisor/listeners.h"
#include "supervisor/listening.h"
#include "supervisor/parked.h"
#include "supervisor/process.h"
#include "supervisor/reload.h"
#include "supervisor/router_child.h"
#include "supervisor/upgrade.h"
#include "supervisor/worker_messages.h"

/* A router that lived shorter than this counts as failed at once. */
#define ROUTER_STABLE 1.0
#define ROUTER_DELAY 0.1
#define ROUTER_QUICK_RESTARTS 5

/* A router that does not hand over in this time is killed; what it had not handed over is lost. */
#define SUCCESSION_SECONDS 5.0

/* Messages from a router that are handled before anything else gets its turn. */
#define LINK_BATCH 256

/* ---- what the router tells ---- */

void router_forget_listening(struct supervisor *supervisor, uint32_t id)
{
	struct listening *listening = listeners_find(supervisor, id);
	struct link_message message;

	if (!listening || listening->index != LINK_INDEX_WORKERS)
		return;
	link_message_init(&message, LINK_LISTENER_GONE);
	message.listener = id;
	router_send(supervisor, &message, -1);
	listeners_close(supervisor, listening);
}

static void kill_router(struct router_process *router, const char *why)
{
	log_error("the router (pid %d) %s: it is killed and replaced", (int)router->pid, why);
	kill(router->pid, SIGKILL);
}

static void on_idle(struct router_process *router)
{
	/* Only the answer to LINK_STOP counts: the router is not trusted to end the workers. */
	if (router == router->supervisor->router && router->supervisor->state == SUPERVISOR_DRAINING)
		supervisor_drain_workers(router->supervisor);
}

/* What was put off until now. */
static void succession_over(struct supervisor *supervisor)
{
	if (supervisor->former)
		return;
	reload_settled(supervisor);
	if (supervisor->reload_wanted)
		reload(supervisor);
	/* Not if that was the beginning of another succession: behind it. */
	upgrade_go_on(supervisor);
}

/* It may still linger a moment over errors that clients are to read; that concerns nobody. */
static void on_handed_over(struct router_process *router)
{
	struct supervisor *supervisor = router->supervisor;

	if (router != supervisor->former)
		return;
	ev_timer_stop(supervisor->loop, &supervisor->former_timer);
	supervisor->former = NULL;
	parked_free(&router->parked); /* the successor has them, and parks them itself */
	succession_over(supervisor);
}

/* What cannot be kept waits all the same, as long as the router lives. After the end of a succession it has none. */
static void on_park(struct router_process *router, const struct link_message *message, int fd)
{
	struct supervisor *supervisor = router->supervisor;

	if ((router == supervisor->router || router == supervisor->former) && parked_add(&router->parked, message, fd) == 0)
		stats_add(supervisor->stats, COUNTER_parked, 1);
}

/* At the end of the link only the router's exit is waited for. */
static void read_link(struct router_process *router, unsigned most)
{
	struct link_message message;
	int fd, result = 1;

	for (unsigned i = 0; i < most && (result = link_receive(router->link, &message, &fd)) > 0; i++) {
		if (message.type == LINK_IDLE)
			on_idle(router);
		else if (message.type == LINK_HANDED_OVER)
			on_handed_over(router);
		else if (message.type == LINK_PARK)
			on_park(router, &message, fd);
		else if (message.type == LINK_UNPARK)
			parked_remove(&router->parked, message.request);
		else
			worker_message(router->supervisor, &message, fd);
		if (fd >= 0)
			close(fd);
		if (!router->link)
			return;
	}
	if (result == -EPROTO)
		kill_router(router, "sent a malformed message");
	if (result < 0)
		ev_io_stop(router->supervisor->loop, &router->link_io);
}

static void update_link(struct router_process *router)
{
	struct ev_loop *loop = router->supervisor->loop;
	/* Most of what it says is answered: a router that does not read its answers is asked nothing more. It always reads. */
	int events = (link_is_congested(router->link) ? 0 : EV_READ) | (link_wants_write(router->link) ? EV_WRITE : 0);

	if (!ev_is_active(&router->link_io) || events == (router->link_io.events & (EV_READ | EV_WRITE)))
		return;
	ev_io_stop(loop, &router->link_io);
	ev_io_set(&router->link_io, link_fd(router->link), events);
	ev_io_start(loop, &router->link_io);
}

static void on_link(struct ev_loop *loop, ev_io *io, int revents)
{
	struct router_process *router = io->data;

	link_flush(router->link);
	if (!link_is_congested(router->link))
		read_link(router, LINK_BATCH);
	if (router->link)
		update_link(router);
}

/* ---- what the router is told ---- */

static void send_to(struct router_process *router, const struct link_message *message, int fd)
{
	int result;

	if (!router || !router->link)
		return;
	/* Pools, slots and listeners have other numbers there; the next router is told all the same. */
	if (router->outdated && (message->type == LINK_WORKER_UP || message->type == LINK_LISTENER_UP))
		return;
	result = link_send(router->link, message, fd);
	if (result == -ENOBUFS)
		kill_router(router, "does not read its messages");
	/* Any other failure: it has crashed, and its exit will be seen. */
	update_link(router);
}

void router_send(struct supervisor *supervisor, const struct link_message *message, int fd)
{
	send_to(supervisor->router, message, fd);
}

void router_tell_listener(struct supervisor *supervisor, const struct listening *listening)
{
	struct link_message message;

	link_message_init(&message, LINK_LISTENER_UP);
	message.listener = listening->id;
	message.pool = listening->pool ? listening->pool->index : LINK_POOL_RETIRED;
	message.index = listening->index;
	message.address = listening->address;
	router_send(supervisor, &message, listening->fd);
}

void router_tell_worker(struct supervisor *supervisor, enum link_type type, const struct process *process)
{
	struct link_message message;

	link_message_init(&message, type);
	message.worker = process->id;
	message.pool = process->slot ? process->slot->pool->index : LINK_POOL_RETIRED;
	message.slot = process->slot ? process->slot->index : 0;
	message.generation = process->generation;
	message.protocol = process->protocol;
	message.flavour = process->flavour;
	message.accepts = process->slot && process->protocol == PROTOCOL_NODE_CLUSTER &&
	                  process->slot->pool->config->connections == CONNECTIONS_ACCEPT;
	message.drained = (process->draining && !process->left) || process->leaving;
	/* Without their agent a program's other processes accept nothing. */
	message.error = process->may_have_read ? LINK_GONE_MAY_HAVE_READ
	                : process->agent       ? LINK_GONE_NOBODY
	                                       : LINK_GONE_ALONE_OR_NOT;
	if (type == LINK_WORKER_DRAIN && process->left) {
		message.has_data = true;
		strcpy(message.data, process->escort < 0 ? "limpet is stopping" : "");
	}
	strncpy(message.key, process->name, CHANNEL_KEY_MAX);
	router_send(supervisor, &message, type == LINK_WORKER_UP ? process->channel : -1);
}

static void replay_kept(struct supervisor *supervisor, const struct process *process)
{
	const struct process_kept *kept;
	struct link_message message;

	TAILQ_FOREACH (kept, &process->kept, entry) {
		link_message_init(&message, LINK_KEPT);
		message.worker = process->id;
		message.request = kept->number;
		memcpy(message.key, kept->key, strlen(kept->key));
		router_send(supervisor, &message, kept->fd);
	}
}

static void replay_worker(struct supervisor *supervisor, const struct process *process)
{
	const struct process_server *server;
	struct link_message message;

	router_tell_worker(supervisor, LINK_WORKER_UP, process);
	TAILQ_FOREACH (server, &process->servers, entry) {
		const struct listening *listening = listeners_find(supervisor, server->listening);

		if (!server->accepts || !listening || listening->socket_type != SOCK_STREAM)
			continue;
		link_message_init(&message, LINK_SERVER);
		message.worker = process->id;
		message.listener = server->listening;
		message.address = listening->address;
		memcpy(message.key, server->key, strlen(server->key));
		router_send(supervisor, &message, -1);
	}
	replay_kept(supervisor, process);
	if (process->left)
		router_tell_worker(supervisor, LINK_WORKER_DRAIN, process);
	if (process->ready)
		router_tell_worker(supervisor, LINK_READY_BEFORE, process);
}

static void replay_parked(void *owner, const struct link_message *message, int fd)
{
	send_to(owner, message, fd);
}

static void replay(struct supervisor *supervisor)
{
	const struct listening *listening;
	const struct process *process;
	struct link_message message;

	TAILQ_FOREACH (listening, &supervisor->listenings, entry)
		if (listening->fd >= 0 && listening->socket_type == SOCK_STREAM && listening->pool && !listening->bound_only)
			router_tell_listener(supervisor, listening);
	TAILQ_FOREACH (process, &supervisor->processes, entry)
		replay_worker(supervisor, process);
	parked_each(supervisor->parked, replay_parked, supervisor->router);
	parked_move(&supervisor->parked, &supervisor->router->parked);
	link_message_init(&message, LINK_REPLAYED);
	router_send(supervisor, &message, -1);
	if (supervisor->state != SUPERVISOR_RUNNING) {
		link_message_init(&message, LINK_STOP);
		router_send(supervisor, &message, -1);
	}
}

/* ---- life ---- */

static void start_later(struct supervisor *supervisor);

/* Without a router, or with one that knows only the former configuration: tried until it works. */
static void start_missing(struct supervisor *supervisor)
{
	if (router_start(supervisor) < 0)
		start_later(supervisor);
}

static void on_router_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct supervisor *supervisor = timer->data;

	if (supervisor->former)
		start_later(supervisor);
	else
		start_missing(supervisor);
}

static void start_later(struct supervisor *supervisor)
{
	ev_timer_stop(supervisor->loop, &supervisor->router_timer);
	ev_timer_init(&supervisor->router_timer, on_router_timer, ROUTER_DELAY, 0.);
	supervisor->router_timer.data = supervisor;
	ev_timer_start(supervisor->loop, &supervisor->router_timer);
}

static void drop_link(struct router_process *router)
{
	if (!router->link)
		return;
	ev_io_stop(router->supervisor->loop, &router->link_io);
	link_free(router->link);
	router->link = NULL;
}

static void router_process_free(struct router_process *router)
{
	struct supervisor *supervisor = router->supervisor;

	ev_child_stop(supervisor->loop, &router->child);
	drop_link(router);
	parked_free(&router->parked);
	if (supervisor->router == router)
		supervisor->router = NULL;
	if (supervisor->former == router)
		supervisor->former = NULL;
	free(router);
}

/* The present router has crashed: there must be another one, at once if it does not crash all the time. */
static void replace_crashed(struct supervisor *supervisor, double lived)
{
	if (lived >= ROUTER_STABLE)
		supervisor->router_failures = 0;
	/* Never beside a former one: both would read the workers' channels. Nobody is left that it could hand over to. */
	if (supervisor->former)
		kill_router(supervisor->former, "has lost its successor");
	if (++supervisor->router_failures <= ROUTER_QUICK_RESTARTS && !supervisor->former)
		start_missing(supervisor);
	else
		start_later(supervisor);
}

static void log_crash(const struct router_process *router, int status)
{
	if (WIFSIGNALED(status))
		log_error("the router (pid %d) was killed by signal %d (%s); a new one takes over", (int)router->pid,
		    WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		log_error("the router (pid %d) exited with status %d; a new one takes over", (int)router->pid,
		    WEXITSTATUS(status));
}

static void on_router_exit(struct ev_loop *loop, ev_child *child, int revents)
{
	struct router_process *router = child->data;
	struct supervisor *supervisor = router->supervisor;
	bool present = router == supervisor->router, former = router == supervisor->former, dismissed = router->dismissed;
	double lived = clock_now() - router->started;

	if (router->link)
		read_link(router, UINT_MAX); /* its last words */
	if (!dismissed)
		log_crash(router, child->rstatus);
	former = former && router == supervisor->former; /* it has not said that it handed over */
	/* A former one's may be with its successor already. */
	if (present && !dismissed)
		parked_move(&router->parked, &supervisor->parked);
	router_process_free(router);
	if (!supervisor->former)
		ev_timer_stop(loop, &supervisor->former_timer);
	if (former || !dismissed)
		process_restart_unready(supervisor);
	if (present && !dismissed)
		replace_crashed(supervisor, lived);
	else if (!present)
		succession_over(supervisor);
	supervisor_check_end(supervisor);
}

static void on_former_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct supervisor *supervisor = timer->data;

	if (supervisor->former)
		kill_router(supervisor->former, "did not hand over in time");
}

bool router_succession_under_way(const struct supervisor *supervisor)
{
	return supervisor->former != NULL;
}

/* The present router becomes the former one and is told to hand over through this socket (consumed). */
static void dismiss(struct supervisor *supervisor, int succession)
{
	struct link_message message;

	supervisor->former = supervisor->router;
	supervisor->router = NULL;
	supervisor->former->dismissed = true;
	link_message_init(&message, LINK_SUCCEED);
	send_to(supervisor->former, &message, succession);
	close(succession);
	ev_timer_stop(supervisor->loop, &supervisor->former_timer);
	ev_timer_init(&supervisor->former_timer, on_former_timer, SUCCESSION_SECONDS, 0.);
	supervisor->former_timer.data = supervisor;
	ev_timer_start(supervisor->loop, &supervisor->former_timer);
}

struct router_process *router_adopt(struct supervisor *supervisor, pid_t pid, int link)
{
	struct router_process *router = calloc(1, sizeof(*router));

	if (!router) {
		close(link);
		return NULL;
	}
	router->supervisor = supervisor;
	router->pid = pid;
	router->started = clock_now();
	router->link = link_new(link);
	if (!router->link) {
		free(router);
		return NULL;
	}
	ev_child_init(&router->child, on_router_exit, pid, 0);
	router->child.data = router;
	ev_child_start(supervisor->loop, &router->child);
	ev_io_init(&router->link_io, on_link, link_fd(router->link), EV_READ);
	router->link_io.data = router;
	ev_io_start(supervisor->loop, &router->link_io);
	return router;
}

static int start_failed(const char *what, int error)
{
	log_error("the router: %s: %s", what, strerror(error));
	return -error;
}

int router_start(struct supervisor *supervisor)
{
	bool succeeds = supervisor->router && supervisor->router->link && !supervisor->former;
	int link[2], succession[2] = {-1, -1}, error;
	struct router_process *router;
	pid_t pid, parent = getpid();

	/* A reload does not wait for the delay after a crash. */
	ev_timer_stop(supervisor->loop, &supervisor->router_timer);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, link) < 0)
		return start_failed("cannot make its link", errno);
	if (succeeds && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, succession) < 0) {
		error = errno;
		close(link[0]);
		close(link[1]);
		return start_failed("cannot make its succession", error);
	}
	ev_now_update(supervisor->loop);
	pid = fork();
	error = errno;
	if (pid == 0)
		router_child_run(supervisor, link[1], succession[1], parent);
	close(link[1]);
	if (succeeds)
		close(succession[1]);
	if (pid < 0) {
		close(link[0]);
		if (succeeds)
			close(succession[0]);
		return start_failed("cannot fork", error);
	}
	stats_add(supervisor->stats, COUNTER_routers_started, 1);
	router = router_adopt(supervisor, pid, link[0]);
	if (!router) {
		kill(pid, SIGKILL);
		if (succeeds)
			close(succession[0]);
		return -ENOMEM;
	}
	if (succeeds)
		dismiss(supervisor, succession[0]);
	supervisor->router = router;
	supervisor->sandbox_known = true;
	replay(supervisor);
	return 0;
}

void router_replace(struct supervisor *supervisor)
{
	if (router_start(supervisor) == 0)
		return;
	if (supervisor->router) {
		log_error("the old router goes on with the old configuration until there is a new one");
		supervisor->router->outdated = true;
	}
	start_later(supervisor);
}

void router_end(struct supervisor *supervisor)
{
	ev_timer_stop(supervisor->loop, &supervisor->router_timer);
	supervisor->reload_wanted = false;
	if (supervisor->router) {
		supervisor->router->dismissed = true;
		drop_link(supervisor->router);
	}
}
