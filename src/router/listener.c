#include "router/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "route/sticky_key.h"
#include "router/connection.h"

/* Accepted at once before other events get their turn. */
#define ACCEPT_BATCH 64

/* Files that no client gets: workers that start, new listeners and the log still need some. */
#define RESERVED_FILES 64

/* Until it is tried again, and until that counts as a success. */
#define PAUSE_SECONDS 0.1
#define RECOVERY_SECONDS 1.0

/* While accepting is paused, a client that took longer than this for its request head makes room for those that wait. */
#define SLOW_SECONDS 1.0

/* ---- files and memory run out ---- */

int listener_files_for_clients(uint64_t limit)
{
	uint64_t reserved = limit / 4 < RESERVED_FILES ? limit / 4 : RESERVED_FILES;

	return limit - reserved > INT_MAX ? INT_MAX : (int)(limit - reserved);
}

static void arm_accept_timer(struct router *router, double delay)
{
	ev_timer_stop(router->loop, &router->accept_timer);
	ev_timer_set(&router->accept_timer, delay, 0.);
	ev_timer_start(router->loop, &router->accept_timer);
}

static void pause_accepting(struct router *router, int error)
{
	struct listener *listener;

	if (router->paused)
		return;
	stats_add(router->stats, COUNTER_accept_paused, 1);
	if (!router->short_of_files)
		log_warning("%s: accepting is paused, clients wait in the kernel's backlog; raise the limit of open files, or "
			    "add memory",
		    strerror(error));
	router->short_of_files = true;
	router->paused = true;
	TAILQ_FOREACH (listener, &router->listeners, entry) {
		poller_set(&router->poller, &listener->watch, 0);
		listener->accepting = false;
	}
	arm_accept_timer(router, PAUSE_SECONDS);
}

/* The kernel gives out the lowest free number: one past those for clients means that all of these are taken. */
static bool has_file_for_client(struct router *router)
{
	int fd = fcntl(link_fd(router->link), F_DUPFD_CLOEXEC, 0);

	if (fd >= 0)
		close(fd);
	return fd >= 0 && fd < router->files_for_clients;
}

void listener_accept_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct router *router = timer->data;
	struct listener *listener;

	if (!router->paused) {
		router->short_of_files = false;
		log_info("accepting again");
		return;
	}
	if (!has_file_for_client(router))
		connections_evict_slow(router, SLOW_SECONDS, ACCEPT_BATCH);
	if (!has_file_for_client(router)) {
		arm_accept_timer(router, PAUSE_SECONDS);
		return;
	}
	router->paused = false;
	arm_accept_timer(router, RECOVERY_SECONDS);
	TAILQ_FOREACH (listener, &router->listeners, entry)
		listener_start(listener);
}

/* ---- accepting ---- */

/* Is the error one connection's own, so that the next accept may succeed? accept(2): Linux passes pending network errors on. */
static bool is_connections_own(int error)
{
	switch (error) {
	case ECONNABORTED:
	case EINTR:
	case EPROTO:
	case EPERM:
	case ENETDOWN:
	case ENOPROTOOPT:
	case EHOSTDOWN:
	case ENONET:
	case EHOSTUNREACH:
	case EOPNOTSUPP:
	case ENETUNREACH:
		return true;
	default:
		return false;
	}
}

/* Accepts one connection. 0, or a negative errno that ends the batch. */
static int accept_one(struct listener *listener)
{
	struct address peer;
	int fd;

	peer.length = sizeof(peer.un);
	fd = accept4(listener->watch.fd, &peer.sa, &peer.length, SOCK_CLOEXEC);
	if (fd < 0) {
		int error = errno;

		if (is_connections_own(error))
			return 0;
		if (error != EAGAIN) {
			stats_add(listener->router->stats, COUNTER_accept_failed, 1);
			pause_accepting(listener->router, error);
		}
		return -error;
	}
	if (fd >= listener->router->files_for_clients)
		pause_accepting(listener->router, EMFILE);
	if (peer.length > sizeof(peer.un))
		peer.length = sizeof(peer.un);
	connection_new(listener, fd, &peer);
	return 0;
}

static void on_acceptable(struct poller_watch *watch, uint32_t events)
{
	struct listener *listener = (struct listener *)((char *)watch - offsetof(struct listener, watch));

	/* The socket may be a program's own, which other processes have too: accept() must not wait, whatever they set. */
	if (listener->for_workers)
		fcntl(listener->watch.fd, F_SETFL, O_RDWR | O_NONBLOCK);
	for (int i = 0; i < ACCEPT_BATCH && listener->accepting; i++)
		if (accept_one(listener) < 0)
			return;
}

struct listener *listener_new(struct router *router, struct router_pool *pool, const struct listener_config *config,
    uint32_t id, const struct address *address, bool for_workers, int fd)
{
	struct listener *listener = calloc(1, sizeof(*listener));

	if (!listener) {
		close(fd);
		return NULL;
	}
	listener->router = router;
	listener->pool = pool;
	listener->config = config;
	listener->id = id;
	listener->address = *address;
	listener->for_workers = for_workers;
	listener->watch.fd = fd;
	listener->watch.callback = on_acceptable;
	listener->needs_head = sticky_needs_head(config->sticky, config->sticky_count);
	TAILQ_INIT(&listener->reading);
	ev_timer_init(&listener->head_timer, connection_head_timer, 0., 0.);
	listener->head_timer.data = listener;
	TAILQ_INSERT_TAIL(&router->listeners, listener, entry);
	return listener;
}

static void stop_accepting(struct listener *listener)
{
	poller_set(&listener->router->poller, &listener->watch, 0);
	listener->accepting = false;
	if (listener->watch.fd >= 0)
		close(listener->watch.fd);
	listener->watch.fd = -1;
}

void listener_free(struct listener *listener)
{
	struct router *router = listener->router;

	stop_accepting(listener);
	while (!TAILQ_EMPTY(&listener->reading))
		connection_close(TAILQ_FIRST(&listener->reading), CLOSE_SHUT_DOWN);
	connections_forget_listener(router, listener);
	ev_timer_stop(router->loop, &listener->head_timer);
	TAILQ_REMOVE(&router->listeners, listener, entry);
	free(listener);
}

void listener_abandon(struct listener *listener)
{
	stop_accepting(listener);
}

struct listener *listener_find(struct router *router, uint32_t id)
{
	struct listener *listener;

	TAILQ_FOREACH (listener, &router->listeners, entry)
		if (listener->id == id)
			return listener;
	return NULL;
}

void listener_start(struct listener *listener)
{
	struct router *router = listener->router;

	if (listener->accepting || listener->watch.fd < 0 || !listener->pool->open || router->stopping || router->starting ||
	    router->paused)
		return;
	if (poller_set(&router->poller, &listener->watch, EPOLLIN) < 0) {
		log_error("listener %s: epoll_ctl() failed: %s; it accepts nothing", listener->config->name,
		    strerror(errno));
		return;
	}
	listener->accepting = true;
}

void listener_finish(struct listener *listener)
{
	bool was_accepting = listener->accepting;

	while (was_accepting && accept_one(listener) == 0)
		;
	stop_accepting(listener);
}
