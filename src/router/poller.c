#include "router/poller.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

int poller_run(struct poller *poller)
{
	int count;

	poller->batch_count = epoll_wait(poller->fd, poller->batch, POLLER_BATCH, 0);
	for (poller->batch_at = 0; poller->batch_at < poller->batch_count; poller->batch_at++) {
		struct epoll_event *event = &poller->batch[poller->batch_at];
		struct poller_watch *watch = event->data.ptr;

		if (watch)
			watch->callback(watch, event->events);
	}
	count = poller->batch_count > 0 ? poller->batch_count : 0;
	poller->batch_count = 0;
	return count;
}

static void on_readable(struct ev_loop *loop, ev_io *io, int revents)
{
	struct poller *poller = io->data;

	if (poller->before_wakeup)
		poller->before_wakeup(poller);
	poller_run(poller);
	if (poller->on_wakeup)
		poller->on_wakeup(poller);
}

void poller_pause(struct poller *poller)
{
	ev_io_stop(poller->loop, &poller->io);
}

void poller_resume(struct poller *poller)
{
	ev_io_start(poller->loop, &poller->io);
}

int poller_init(struct poller *poller, struct ev_loop *loop)
{
	memset(poller, 0, sizeof(*poller));
	poller->fd = epoll_create1(EPOLL_CLOEXEC);
	if (poller->fd < 0)
		return -errno;
	poller->loop = loop;
	ev_io_init(&poller->io, on_readable, poller->fd, EV_READ);
	poller->io.data = poller;
	ev_io_start(loop, &poller->io);
	return 0;
}

void poller_deinit(struct poller *poller)
{
	ev_io_stop(poller->loop, &poller->io);
	close(poller->fd);
}

static void forget_in_batch(struct poller *poller, const struct poller_watch *watch)
{
	for (int i = poller->batch_at + 1; i < poller->batch_count; i++)
		if (poller->batch[i].data.ptr == watch)
			poller->batch[i].data.ptr = NULL;
}

int poller_set(struct poller *poller, struct poller_watch *watch, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = watch};
	int operation = EPOLL_CTL_MOD;

	if (events == watch->events)
		return 0;
	if (events == 0)
		operation = EPOLL_CTL_DEL;
	else if (watch->events == 0)
		operation = EPOLL_CTL_ADD;
	if (operation == EPOLL_CTL_DEL)
		forget_in_batch(poller, watch);
	if (epoll_ctl(poller->fd, operation, watch->fd, &event) < 0 && operation != EPOLL_CTL_DEL)
		return -errno;
	watch->events = events;
	return 0;
}
