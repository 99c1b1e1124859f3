#include "supervisor/router_process.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "router/router.h"
#include "supervisor/listeners.h"
#include "supervisor/process.h"

/* A router that lived shorter than this counts as failed at once. */
#define ROUTER_STABLE 1.0
#define ROUTER_DELAY 0.1
#define ROUTER_QUICK_RESTARTS 5

#define LINK_FD 3
#define LOG_FD 4

/* ---- in the child ---- */

static int drop_privileges(const struct config *config)
{
	const char *name = config->user;
	const struct passwd *user;

	if (geteuid() != 0)
		return 0;
	user = getpwnam(name ? name : "nobody");
	if (!user)
		return -ENOENT;
	if (setgroups(0, NULL) < 0 || setgid(user->pw_gid) < 0 || setuid(user->pw_uid) < 0)
		return -errno;
	return 0;
}

/* Keeps standard error, link and log; closes what else the supervisor has open. */
static int arrange_fds(int link, int log)
{
	int new_link = fcntl(link, F_DUPFD, LOG_FD + 1), new_log = fcntl(log, F_DUPFD, LOG_FD + 1);

	if (new_link < 0 || new_log < 0 || dup3(new_link, LINK_FD, O_CLOEXEC) < 0 ||
	    dup3(new_log, LOG_FD, O_CLOEXEC) < 0)
		return -errno;
	close_range(LOG_FD + 1, ~0u, 0);
	return LINK_FD;
}

static void reset_signals(void)
{
	static const int ignored[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGPIPE};
	sigset_t none;

	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL);
	/* Meant for the supervisor, but a terminal sends them to the whole group. */
	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static int run_router(struct supervisor *supervisor, int link, pid_t parent)
{
	const struct config *config = supervisor->config;
	struct router_start start = {
	    .config = config, .stats = supervisor->stats, .seed = supervisor->seed, .link = LINK_FD};
	bool own_log = log_fd() != STDERR_FILENO;
	int result;

	prctl(PR_SET_NAME, "limpet-router");
	reset_signals();
	result = arrange_fds(link, log_fd());
	if (result < 0)
		return 2;
	if (own_log)
		log_adopt_inherited(LOG_FD);
	log_configure("limpet-router", config->log_level, config->log_format);
	result = drop_privileges(config);
	if (result < 0) {
		log_error("cannot become user %s: %s", config->user ? config->user : "nobody", strerror(-result));
		return 2;
	}
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	/* Behind setuid(), which clears it. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		return 2;
	return router_run(&start);
}

/* ---- what the router tells ---- */

static void answer_listen(struct supervisor *supervisor, struct process *process, const struct link_message *asked)
{
	struct listening *listening = NULL;
	struct link_message answer;
	bool known = listeners_find_key(process->slot->pool, asked->key);
	int fd = -1;

	link_message_init(&answer, LINK_LISTEN_ANSWER);
	answer.worker = process->id;
	answer.request = asked->request;
	answer.socket_type = asked->socket_type;
	memcpy(answer.key, asked->key, sizeof(answer.key));
	answer.error = supervisor->state == SUPERVISOR_RUNNING
			   ? listeners_ask(process->slot->pool, asked, &listening)
			   : ECANCELED;
	if (!answer.error && listening->socket_type != asked->socket_type)
		answer.error = EINVAL;
	if (!answer.error && process_server_add(process, asked->key, listening->id) < 0)
		answer.error = ENOMEM;
	if (!answer.error) {
		answer.listener = listening->id;
		answer.address = listening->address;
		if (listening->data) {
			answer.has_data = true;
			memcpy(answer.data, listening->data, strlen(listening->data));
		}
		if (listening->socket_type == SOCK_DGRAM)
			fd = listening->fd;
		else if (listening->fd >= 0 && !known)
			router_tell_listener(supervisor, listening);
	} else {
		char text[ADDRESS_TEXT_MAX];

		log_warning("pool %s: worker %s cannot listen on %s: %s", process->slot->pool->config->name,
		    process->slot->config->name, address_format(&asked->address, text, sizeof(text)),
		    strerror(answer.error));
	}
	router_send(supervisor, &answer, fd);
}

static bool is_served(struct supervisor *supervisor, uint32_t listening)
{
	struct process_server *server;
	struct process *process;

	TAILQ_FOREACH (process, &supervisor->processes, entry)
		TAILQ_FOREACH (server, &process->servers, entry)
			if (server->listening == listening)
				return true;
	return false;
}

/* The application closed a server. The socket goes with the last worker's; when a worker died it stays for the next. */
static void unlisten(struct supervisor *supervisor, struct process *process, const char *key)
{
	struct process_server *server = process_server_find(process, key);
	struct listening *listening;
	struct link_message message;

	if (!server)
		return;
	listening = listeners_find(supervisor, server->listening);
	process_server_remove(process, server);
	if (!listening || is_served(supervisor, listening->id))
		return;
	link_message_init(&message, LINK_LISTENER_GONE);
	message.listener = listening->id;
	router_send(supervisor, &message, -1);
	listeners_close(supervisor, listening);
}

static void listens(struct process *process, const char *key)
{
	struct process_server *server = process_server_find(process, key);

	if (server)
		server->accepts = true;
}

static void on_worker_message(struct supervisor *supervisor, const struct link_message *message)
{
	struct process *process = process_find(supervisor, message->worker);

	if (!process)
		return;
	switch (message->type) {
	case LINK_LISTEN:
		answer_listen(supervisor, process, message);
		break;
	case LINK_LISTENING:
		listens(process, message->key);
		break;
	case LINK_UNLISTEN:
		unlisten(supervisor, process, message->key);
		break;
	case LINK_READY:
		process_is_ready(process);
		break;
	case LINK_LEAVING:
		process_leaves(process);
		break;
	case LINK_CHANNEL_LOST:
		process_lost(process, message->key);
		break;
	}
}

static void kill_router(struct supervisor *supervisor, const char *why)
{
	log_error("the router %s: it is killed and replaced", why);
	kill(supervisor->router, SIGKILL);
}

/* Reads all there is; at the end of the link only the router's exit is waited for. */
static void read_link(struct supervisor *supervisor)
{
	struct link_message message;
	int fd, result;

	while ((result = link_receive(supervisor->link, &message, &fd)) > 0) {
		if (fd >= 0)
			close(fd); /* routers send none */
		if (message.type == LINK_IDLE) {
			supervisor->router_idle = true;
			supervisor_drain_workers(supervisor);
		} else {
			on_worker_message(supervisor, &message);
		}
		if (!supervisor->link)
			return;
	}
	if (result == -EPROTO)
		kill_router(supervisor, "sent a malformed message");
	if (result < 0)
		ev_io_stop(supervisor->loop, &supervisor->link_io);
}

static void update_link(struct supervisor *supervisor)
{
	int events = EV_READ | (link_wants_write(supervisor->link) ? EV_WRITE : 0);

	if (!ev_is_active(&supervisor->link_io) ||
	    events == (supervisor->link_io.events & (EV_READ | EV_WRITE)))
		return;
	ev_io_stop(supervisor->loop, &supervisor->link_io);
	ev_io_set(&supervisor->link_io, link_fd(supervisor->link), events);
	ev_io_start(supervisor->loop, &supervisor->link_io);
}

static void on_link(struct ev_loop *loop, ev_io *io, int revents)
{
	struct supervisor *supervisor = io->data;

	link_flush(supervisor->link);
	read_link(supervisor);
	if (supervisor->link)
		update_link(supervisor);
}

/* ---- what the router is told ---- */

void router_send(struct supervisor *supervisor, const struct link_message *message, int fd)
{
	int result;

	if (!supervisor->link)
		return;
	result = link_send(supervisor->link, message, fd);
	if (result == -ENOBUFS)
		kill_router(supervisor, "does not read its messages");
	/* Any other failure: it has crashed, and its exit will be seen. */
	update_link(supervisor);
}

void router_tell_listener(struct supervisor *supervisor, const struct listening *listening)
{
	struct link_message message;

	link_message_init(&message, LINK_LISTENER_UP);
	message.listener = listening->id;
	message.pool = listening->pool->index;
	message.index = listening->index;
	message.address = listening->address;
	router_send(supervisor, &message, listening->fd);
}

void router_tell_worker(struct supervisor *supervisor, enum link_type type, const struct process *process)
{
	struct link_message message;

	link_message_init(&message, type);
	message.worker = process->id;
	message.pool = process->slot->pool->index;
	message.slot = process->slot->index;
	message.generation = process->generation;
	router_send(supervisor, &message, type == LINK_WORKER_UP ? process->channel : -1);
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
	if (process->leaving || process->draining)
		router_tell_worker(supervisor, LINK_WORKER_DRAIN, process);
	else if (process->ready)
		router_tell_worker(supervisor, LINK_READY_BEFORE, process);
}

static void replay(struct supervisor *supervisor)
{
	const struct listening *listening;
	const struct process *process;
	struct link_message message;

	TAILQ_FOREACH (listening, &supervisor->listenings, entry)
		if (listening->fd >= 0 && listening->socket_type == SOCK_STREAM)
			router_tell_listener(supervisor, listening);
	TAILQ_FOREACH (process, &supervisor->processes, entry)
		replay_worker(supervisor, process);
	if (supervisor->state != SUPERVISOR_RUNNING) {
		link_message_init(&message, LINK_STOP);
		router_send(supervisor, &message, -1);
	}
}

/* ---- life ---- */

static void on_router_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
	router_start(timer->data);
}

static void drop_link(struct supervisor *supervisor)
{
	if (!supervisor->link)
		return;
	ev_io_stop(supervisor->loop, &supervisor->link_io);
	link_free(supervisor->link);
	supervisor->link = NULL;
}

static void on_router_exit(struct ev_loop *loop, ev_child *child, int revents)
{
	struct supervisor *supervisor = child->data;
	int status = child->rstatus;
	bool expected = !supervisor->link;

	ev_child_stop(loop, child);
	supervisor->router = 0;
	if (!expected) {
		read_link(supervisor); /* its last words */
		drop_link(supervisor);
		if (WIFSIGNALED(status))
			log_error("the router was killed by signal %d (%s); a new one takes over", WTERMSIG(status),
			    strsignal(WTERMSIG(status)));
		else
			log_error("the router exited with status %d; a new one takes over", WEXITSTATUS(status));
		if (ev_now(loop) - supervisor->router_started >= ROUTER_STABLE)
			supervisor->router_failures = 0;
		if (++supervisor->router_failures <= ROUTER_QUICK_RESTARTS) {
			router_start(supervisor);
			return;
		}
		ev_timer_init(&supervisor->router_timer, on_router_timer, ROUTER_DELAY, 0.);
		supervisor->router_timer.data = supervisor;
		ev_timer_start(loop, &supervisor->router_timer);
		return;
	}
	supervisor_check_end(supervisor);
}

int router_start(struct supervisor *supervisor)
{
	pid_t parent = getpid();
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
		int error = errno;

		log_error("cannot make the router's link: %s", strerror(error));
		return -error;
	}
	supervisor->router = fork();
	if (supervisor->router == 0)
		_exit(run_router(supervisor, ends[1], parent));
	close(ends[1]);
	if (supervisor->router < 0) {
		int error = errno;

		supervisor->router = 0;
		close(ends[0]);
		log_error("cannot fork the router: %s", strerror(error));
		return -error;
	}
	supervisor->router_started = ev_now(supervisor->loop);
	stats_add(supervisor->stats, COUNTER_routers_started, 1);
	supervisor->link = link_new(ends[0]);
	if (!supervisor->link) {
		kill(supervisor->router, SIGKILL);
		return -ENOMEM;
	}
	ev_child_init(&supervisor->router_child, on_router_exit, supervisor->router, 0);
	supervisor->router_child.data = supervisor;
	ev_child_start(supervisor->loop, &supervisor->router_child);
	ev_io_init(&supervisor->link_io, on_link, link_fd(supervisor->link), EV_READ);
	supervisor->link_io.data = supervisor;
	ev_io_start(supervisor->loop, &supervisor->link_io);
	replay(supervisor);
	return 0;
}

void router_end(struct supervisor *supervisor)
{
	ev_timer_stop(supervisor->loop, &supervisor->router_timer);
	drop_link(supervisor);
}
