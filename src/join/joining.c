#include "join/joining.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "join/front.h"
#include "supervisor/backoff.h"
#include "supervisor/notify.h"
#include "supervisor/preload.h"
#include "supervisor/spawn.h"

/* From the front, in one turn. */
#define MESSAGES_MAX 16

#define ANSWER_SECONDS 5.0
#define PAUSE_MOST 5.0

enum state {
	STATE_AWAY,   /* tries again when it is due */
	STATE_ASKING, /* has said hello; the answer is due */
	STATE_JOINED,
	STATE_OUT,    /* joins no more: waits for the command's end */
};

struct joining {
	const struct joining_options *options;
	enum state state;
	double due;
	double joined; /* when */
	unsigned failures;
	int front;      /* -1: none */
	int channel;    /* the front's end of the worker's channel: kept until the place is lost for good; then -1 */
	int worker_end; /* until the command is started; then -1 */
	int signals;
	pid_t pid;   /* 0: not started */
	pid_t agent; /* limpet-agent, which started it and ends as it does; 0: there is none */
	char pool[FRONT_NAME_MAX + 1], slot[FRONT_NAME_MAX + 1]; /* where it is; empty: nowhere yet */
	bool ready;
	bool draining;
	bool dismissed; /* limpet has said bye */
	bool lost; /* limpet went before the command */
	bool told; /* that limpet cannot be reached */
	struct notify notify;
	bool over;
	int status;
};

/* The Node protocols that listen, and accept, have told one front what they listen on, and tell it nobody else. */
static bool can_join_again(const struct joining *joining)
{
	enum protocol protocol = joining->options->command->protocol;

	return protocol == PROTOCOL_LIMPET || protocol == PROTOCOL_NODE_IPC;
}

static void end_with(struct joining *joining, int status)
{
	joining->over = true;
	joining->status = status;
}

static void signal_command(const struct joining *joining, int number)
{
	if (joining->pid > 0 && kill(-joining->pid, number) < 0)
		kill(joining->pid, number);
}

/* ---- the front ---- */

static void leave_front(struct joining *joining)
{
	if (joining->front >= 0)
		close(joining->front);
	joining->front = -1;
}

static void pause_joining(struct joining *joining)
{
	double delay = backoff_delay(++joining->failures, (double)random() / ((double)RAND_MAX + 1));

	joining->state = STATE_AWAY;
	joining->due = clock_now() + (delay < PAUSE_MOST ? delay : PAUSE_MOST);
}

static void put_off(struct joining *joining, const char *why)
{
	leave_front(joining);
	if (!joining->told)
		log_warning("cannot join at %s: %s; tried again and again", joining->options->socket, why);
	joining->told = true;
	pause_joining(joining);
}

static void ask(struct joining *joining)
{
	const struct joining_options *options = joining->options;
	struct front_hello hello = {.pool = *joining->pool ? joining->pool : options->pool,
	    .slot = *joining->slot ? joining->slot : options->slot,
	    .protocol = options->command->protocol,
	    .flavour = options->command->flavour,
	    .ready = joining->ready && joining->options->channel < 0}; /* the parent is asked again */
	int result;

	joining->front = front_connect(options->socket);
	result = joining->front < 0 ? joining->front : front_say_hello(joining->front, &hello, joining->channel);
	/* Refused before it could speak: the answer says why. */
	if (result < 0 && (joining->front < 0 || result != -EPIPE)) {
		put_off(joining, strerror(-result));
		return;
	}
	joining->state = STATE_ASKING;
	joining->due = clock_now() + ANSWER_SECONDS;
}

static bool channel_is_over(const struct joining *joining)
{
	struct pollfd poll_fd = {.fd = joining->channel, .events = POLLRDHUP};

	return joining->channel < 0 || (poll(&poll_fd, 1, 0) > 0 && poll_fd.revents & (POLLRDHUP | POLLHUP | POLLERR));
}

/* The place is lost: another one, or none any more. */
static void front_lost(struct joining *joining)
{
	leave_front(joining);
	if (joining->options->channel >= 0 && channel_is_over(joining)) {
		end_with(joining, 0);
	} else if (joining->state == STATE_ASKING) {
		put_off(joining, "no answer");
	} else if (joining->draining || (channel_is_over(joining) && !joining->dismissed)) {
		/* It was the command that closed the channel: it has ended, or will when it is done. */
		joining->state = STATE_OUT;
	} else if (can_join_again(joining) && (joining->ready || joining->options->channel >= 0) &&
	           !channel_is_over(joining)) {
		log_info("limpet is gone: pool %s, worker %s joins the next one", joining->pool, joining->slot);
		joining->told = true;
		/* Not one that takes it in only to close at once. */
		if (clock_now() - joining->joined >= PAUSE_MOST)
			joining->failures = 0;
		pause_joining(joining);
	} else {
		log_warning("pool %s, worker %s has lost its place, and cannot have another: it is to end", joining->pool,
		    joining->slot);
		joining->state = STATE_OUT;
		joining->lost = true;
		/* The command's end of file. */
		if (joining->options->channel < 0 && joining->channel >= 0) {
			close(joining->channel);
			joining->channel = -1;
		}
		/* A cluster worker ends by itself when its primary is gone. */
		if (joining->options->command->protocol != PROTOCOL_NODE_CLUSTER || !joining->ready)
			signal_command(joining, SIGTERM);
		if (joining->options->channel >= 0)
			end_with(joining, EXIT_FRONT_LOST);
	}
}

static void start_command(struct joining *joining, const struct front_answer *welcome)
{
	struct pool_config *command = joining->options->command;
	struct spawn spawn = {.pool = command,
	    .slot = joining->slot,
	    .generation = welcome->generation,
	    .worker = welcome->worker,
	    .channel = joining->worker_end};
	struct rlimit nofile;
	const char *what;
	char *name = strdup(joining->pool);

	if (!name || getrlimit(RLIMIT_NOFILE, &nofile) < 0) {
		free(name);
		end_with(joining, 2);
		return;
	}
	free(command->name);
	command->name = name;
	spawn.nofile = &nofile;
	joining->pid = spawn_worker(&spawn, &joining->agent, &what);
	close(joining->worker_end);
	joining->worker_end = -1;
	if (joining->pid < 0) {
		log_error("%s (%s): %s", what, command->command[0], strerror(-(int)joining->pid));
		joining->pid = 0;
		end_with(joining, 127);
	}
}

static void on_welcome(struct joining *joining, const struct front_answer *welcome)
{
	strcpy(joining->pool, welcome->pool);
	strcpy(joining->slot, welcome->slot);
	joining->state = STATE_JOINED;
	joining->joined = clock_now();
	joining->told = joining->dismissed = false;
	log_info("joined pool %s as worker %s", joining->pool, joining->slot);
	if (joining->pid == 0 && joining->options->channel < 0)
		start_command(joining, welcome);
}

static void on_bye(struct joining *joining, const struct front_answer *bye)
{
	if (joining->state == STATE_JOINED) {
		joining->dismissed = true;
		log_info("limpet: %s", bye->reason);
	} else if (bye->again || *joining->slot) {
		put_off(joining, bye->reason);
	} else {
		log_error("refused: %s", bye->reason);
		end_with(joining, 1);
	}
}

static void on_message(struct joining *joining, enum front_message message, const struct front_answer *answer)
{
	switch (message) {
	case FRONT_WELCOME:
		if (joining->state == STATE_ASKING)
			on_welcome(joining, answer);
		break;
	case FRONT_READY:
		if (!joining->ready)
			notify_send(&joining->notify, -1, "READY=1");
		joining->ready = true;
		break;
	case FRONT_DRAIN:
		log_info("pool %s, worker %s is to finish", joining->pool, joining->slot);
		joining->draining = true;
		/* The others are told over their channel. */
		if (joining->options->command->protocol == PROTOCOL_ACCEPT)
			signal_command(joining, SIGTERM);
		break;
	case FRONT_BYE:
		on_bye(joining, answer);
		break;
	case FRONT_END:
		front_lost(joining);
		break;
	case FRONT_NOTHING:
		break;
	}
}

/* What is there already, within bounds. */
static void hear_front(struct joining *joining)
{
	struct front_answer answer;

	for (int i = 0; i < MESSAGES_MAX && !joining->over; i++) {
		struct pollfd front = {.fd = joining->front, .events = POLLIN};

		if (joining->front < 0 || poll(&front, 1, 0) <= 0)
			return;
		on_message(joining, front_receive(joining->front, &answer), &answer);
	}
}

/* ---- the command ---- */

static void die_of(int number) __attribute__((noreturn));

static void die_of(int number)
{
	struct rlimit none = {0};
	sigset_t all;

	setrlimit(RLIMIT_CORE, &none); /* it has left one itself */
	signal(number, SIG_DFL);
	sigfillset(&all);
	sigprocmask(SIG_UNBLOCK, &all, NULL);
	raise(number);
	_exit(128 + number);
}

static void on_child(struct joining *joining)
{
	pid_t child = joining->agent > 0 ? joining->agent : joining->pid;
	int status;

	/* Did it end because limpet is gone? */
	hear_front(joining);
	if (joining->over || child <= 0 || waitpid(child, &status, WNOHANG) != child)
		return;
	/* What it left behind in its process group has lost its front. */
	kill(-joining->pid, SIGTERM);
	joining->pid = 0;
	if (joining->lost && (!WIFSIGNALED(status) || WTERMSIG(status) == SIGTERM))
		end_with(joining, EXIT_FRONT_LOST);
	else if (WIFSIGNALED(status))
		die_of(WTERMSIG(status));
	else
		end_with(joining, WEXITSTATUS(status));
}

static void on_signal(struct joining *joining)
{
	struct signalfd_siginfo info;

	if (read(joining->signals, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGCHLD)
		on_child(joining);
	else if (joining->pid > 0)
		signal_command(joining, (int)info.ssi_signo);
	else if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT)
		end_with(joining, 0);
	else if (info.ssi_signo == SIGHUP || info.ssi_signo == SIGQUIT)
		die_of((int)info.ssi_signo);
}

/* ---- all of it ---- */

static int open_signals(void)
{
	static const int numbers[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH, SIGCHLD};
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		sigaddset(&set, numbers[i]);
	signal(SIGPIPE, SIG_IGN);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -1;
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int make_channel(struct joining *joining)
{
	enum protocol protocol = joining->options->command->protocol;
	bool datagrams = protocol == PROTOCOL_LIMPET || protocol == PROTOCOL_ACCEPT;
	int ends[2];

	if (joining->options->channel >= 0) {
		joining->channel = joining->options->channel;
		return 0;
	}
	if (socketpair(AF_UNIX, (datagrams ? SOCK_SEQPACKET : SOCK_STREAM) | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	if (protocol == PROTOCOL_ACCEPT)
		preload_name_front(ends[0]);
	joining->channel = ends[0];
	joining->worker_end = ends[1];
	return 0;
}

static int milliseconds_until_due(const struct joining *joining)
{
	double left = joining->due - clock_now();

	if (joining->state != STATE_AWAY && joining->state != STATE_ASKING)
		return -1;
	return left > 0 ? (int)(left * 1000) + 1 : 0;
}

static void turn(struct joining *joining)
{
	/* Of its own channel only the end is of interest here: what comes over it is for the front. */
	struct pollfd fds[] = {{.fd = joining->signals, .events = POLLIN}, {.fd = joining->front, .events = POLLIN},
	    {.fd = joining->options->channel, .events = POLLRDHUP}};
	int due = milliseconds_until_due(joining), events = poll(fds, 3, due);

	if (events < 0)
		return;
	if (fds[0].revents)
		on_signal(joining);
	if (fds[1].revents)
		hear_front(joining);
	if (!joining->over && fds[2].revents)
		end_with(joining, 0);
	if (joining->over || events > 0 || milliseconds_until_due(joining) != 0)
		return;
	if (joining->state == STATE_AWAY)
		ask(joining);
	else
		put_off(joining, "no answer in time");
}

int joining_run(const struct joining_options *options)
{
	struct joining joining = {
	    .options = options, .state = STATE_AWAY, .front = -1, .channel = -1, .worker_end = -1, .due = clock_now()};
	int result;

	srandom((unsigned)getpid());
	joining.signals = open_signals();
	result = joining.signals < 0 ? -errno : make_channel(&joining);
	if (result < 0) {
		log_error("cannot begin: %s", strerror(-result));
		return 2;
	}
	notify_init(&joining.notify, getenv("NOTIFY_SOCKET"));
	while (!joining.over)
		turn(&joining);
	leave_front(&joining);
	return joining.status;
}
