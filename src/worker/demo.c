/* limpet-demo-worker: the worker behind limpet --demo. It shows a visitor which slot it is pinned to.
 *
 * A program of its own that uses liblimpet(3), as any worker in C would. It ends when it was drained and its
 * last connection is over, soon after the front is gone, and at once on SIGTERM. Owns the process: options,
 * limits, the loop and its end. Clients are in demo_client.c.
 */
#include <ev.h>
#include <limpet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "worker/demo_client.h"

#define CONNECTIONS_MAX 10000
/* Connections taken in one turn of the loop. */
#define TURN_MAX 64
/* Connections left when the front has gone. */
#define FAREWELL_SECONDS 5.

struct demo {
	struct demo_worker worker;
	struct limpet *limpet;
	ev_io io;
	ev_timer farewell;
	ev_signal terminate;
	bool leaving;
};

static void end_if_idle(struct demo *demo)
{
	if (demo->leaving && !demo->worker.connections)
		ev_break(demo->worker.loop, EVBREAK_ALL);
}

static void take(struct demo *demo, const struct limpet_event *event)
{
	struct demo_client *client = demo_client_new(&demo->worker, event->fd, event->client, event->key);

	if (client)
		demo_client_start(client);
	else
		limpet_closed(demo->limpet, 1);
}

static void leave(struct demo *demo)
{
	demo->worker.draining = true;
	demo->leaving = true;
}

static void on_limpet(struct ev_loop *loop, ev_io *w, int events)
{
	struct demo *demo = w->data;
	const struct limpet_event *event;

	for (int turn = 0; turn < TURN_MAX && (event = limpet_next(demo->limpet)); turn++) {
		if (event->type == LIMPET_CONNECTION)
			take(demo, event);
		if (event->type == LIMPET_DRAIN || event->type == LIMPET_OVER)
			leave(demo);
		if (event->type == LIMPET_OVER)
			ev_timer_start(loop, &demo->farewell);
	}
	end_if_idle(demo);
}

static void on_client_closed(struct demo_worker *worker)
{
	struct demo *demo = (struct demo *)worker; /* its first member */

	limpet_closed(demo->limpet, 1);
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

int main(void)
{
	static struct demo demo;
	int error = limpet_open(&demo.limpet);

	if (error) {
		fprintf(stderr,
		    "limpet-demo-worker: there is no channel to limpet: %s; is it started by limpet --demo?\n",
		    strerror(-error));
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
	limpet_limit(demo.limpet, CONNECTIONS_MAX);
	ev_io_init(&demo.io, on_limpet, limpet_fd(demo.limpet), EV_READ);
	demo.io.data = &demo;
	ev_io_start(demo.worker.loop, &demo.io);
	ev_run(demo.worker.loop, 0);
	return 0;
}
