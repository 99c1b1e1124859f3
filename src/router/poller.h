/* An epoll set of the router's own, nested in its libev loop: for sockets whose open file outlives the router's fd.
 *
 * Why not libev's own watchers: libev leaves it to close() to take an fd out of its epoll set. A socket that was passed to
 * another process stays open there, so it would stay in the set, and each byte that its client sends to the worker would wake
 * the router for ever. This set is told explicitly (EPOLL_CTL_DEL), before the router closes its copy.
 */
#ifndef LIMPET_ROUTER_POLLER_H
#define LIMPET_ROUTER_POLLER_H

#include <ev.h>
#include <stdint.h>
#include <sys/epoll.h>

#define POLLER_BATCH 128

/* One fd in the set; lives in the struct that it serves. events: EPOLLIN and kin, 0: not in the set. */
struct poller_watch {
	void (*callback)(struct poller_watch *watch, uint32_t events);
	int fd;
	uint32_t events;
};

struct poller {
	int fd;
	ev_io io;
	struct ev_loop *loop;
	struct epoll_event batch[POLLER_BATCH]; /* what is being dispatched */
	int batch_count;
	int batch_at;
	/* May be set: called before and after each batch that the loop woke up for. */
	void (*before_wakeup)(struct poller *poller);
	void (*on_wakeup)(struct poller *poller);
};

/* 0 or a negative errno. The loop is borrowed. */
int poller_init(struct poller *poller, struct ev_loop *loop);
void poller_deinit(struct poller *poller);

/* Dispatches what is there now, whether paused or not, and returns how many events that were. Not from within a callback. */
int poller_run(struct poller *poller);

/* The loop does not wake up for it until it does again. */
void poller_pause(struct poller *poller);
void poller_resume(struct poller *poller);

/* Watches watch->fd for the events; adds, changes, or, with events 0, takes it out. Level-triggered.
 * 0 or a negative errno; taking out never fails. After it was taken out, watch may be freed at once, also from within a
 * callback: no event of the current batch reaches it any more. */
int poller_set(struct poller *poller, struct poller_watch *watch, uint32_t events);

#endif
