/* limpet-demo-worker: the worker behind limpet --demo. It shows a visitor which slot it is pinned to.
 *
 * A program of its own that speaks protocol "limpet" on the channel it inherits: LIMPET_FD, LIMPET_POOL,
 * LIMPET_SLOT and LIMPET_GENERATION. It ends when it was drained and its last connection is over, soon after
 * the front is gone, and at once on SIGTERM. Owns the process: options, limits, the loop and its end. Clients
 * are in demo_client.c, the channel in demo_channel.c.
 */
#include <errno.h>
#include <ev.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "worker/demo_channel.h"
#include "worker/demo_client.h"

#define CONNECTIONS_MAX 10000
/* Connections left when the front has gone. */
#define FAREWELL_SECONDS 5.

struct demo {
	struct demo_worker worker;
	struct demo_channel channel;
	ev_timer farewell;
	ev_signal terminate;
	bool leaving;
	int status;
};

static void end_if_idle(struct demo *demo)
{
	if (demo->leaving && !demo->worker.connections)
		ev_break(demo->worker.loop, EVBREAK_ALL);
}

static void *on_connection(void *owner, int fd, const char *client, const char *key)
{
	struct demo *demo = owner;

	if (demo->worker.connections >= CONNECTIONS_MAX) {
		close(fd);
		return NULL;
	}
	return demo_client_new(&demo->worker, fd, client, key);
}

static void on_started(void *owner, void *connection)
{
	demo_client_start(connection);
}

static void on_drain(void *owner)
{
	struct demo *demo = owner;

	demo->worker.draining = true;
	demo->leaving = true;
	end_if_idle(demo);
}

static void on_ended(void *owner, int error)
{
	struct demo *demo = owner;

	if (error) {
		fprintf(stderr, "limpet-demo-worker: channel to limpet failed: %s; ending (slot %s)\n",
		    strerror(-error), demo->worker.slot);
		demo->status = 1;
	}
	demo->worker.draining = true;
	demo->leaving = true;
	ev_timer_start(demo->worker.loop, &demo->farewell);
	end_if_idle(demo);
}

static const struct demo_channel_events channel_events = {
    .connection = on_connection,
    .started = on_started,
    .drain = on_drain,
    .ended = on_ended,
};

static void on_client_closed(struct demo_worker *worker)
{
	struct demo *demo = (struct demo *)worker; /* its first member */

	demo_channel_count_closed(&demo->channel);
	end_if_idle(demo);
}

static void on_farewell(struct ev_loop *loop, ev_timer *w, int events)
{
	ev_break(loop, EVBREAK_ALL);
}

static void on_terminate(struct ev_loop *loop, ev_signal *w, int events)
{
	ev_break(loop, EVBREAK_ALL);
}

static void raise_fd_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit); /* refusals take care of what a low limit leaves out */
}

static const char *environment(const char *name, const char *otherwise)
{
	const char *value = getenv(name);

	return value && *value ? value : otherwise;
}

/* The channel's fd number, or -1. */
static int channel_number(void)
{
	const char *text = environment("LIMPET_FD", "");
	char *end;
	long number;

	errno = 0;
	number = strtol(text, &end, 10);
	if (errno || end == text || *end || number < 0 || number > INT_MAX)
		return -1;
	return (int)number;
}

int main(void)
{
	static struct demo demo;
	int fd = channel_number(), error;

	if (fd < 0) {
		fputs("limpet-demo-worker: LIMPET_FD is not set: this program is started by limpet --demo\n",
		    stderr);
		return 1;
	}
	signal(SIGPIPE, SIG_IGN);
	raise_fd_limit();
	demo.worker = (struct demo_worker){
	    .loop = ev_default_loop(0),
	    .pool = environment("LIMPET_POOL", "default"),
	    .slot = environment("LIMPET_SLOT", "0"),
	    .generation = environment("LIMPET_GENERATION", "0"),
	    .pid = getpid(),
	    .closed = on_client_closed,
	};
	if (!demo.worker.loop) {
		fputs("limpet-demo-worker: no event loop\n", stderr);
		return 1;
	}
	ev_timer_init(&demo.farewell, on_farewell, FAREWELL_SECONDS, 0.);
	ev_signal_init(&demo.terminate, on_terminate, SIGTERM);
	ev_signal_start(demo.worker.loop, &demo.terminate);
	error = demo_channel_open(
	    &demo.channel, demo.worker.loop, fd, demo.worker.pool, demo.worker.slot, &channel_events, &demo);
	if (error) {
		fprintf(stderr,
		    "limpet-demo-worker: channel on fd %d failed: %s; is it started by limpet --demo?\n", fd,
		    strerror(-error));
		return 1;
	}
	ev_run(demo.worker.loop, 0);
	return demo.status;
}
