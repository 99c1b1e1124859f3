#include "router/connection.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "route/client_address.h"
#include "route/proxy_header.h"
#include "route/request_head.h"
#include "route/sticky_key.h"
#include "router/clients.h"
#include "router/listener.h"
#include "router/pool.h"
#include "router/worker.h"

/* An id is the place in the table of all connections and, above it, how often the place was used: an answer to a hand-off
 * that is long over finds nothing. */
#define INDEX_BITS 20
#define CHUNKS_MAX ((1u << INDEX_BITS) / CONNECTION_CHUNK)

#define LINGER_SECONDS 1.0

/* ---- the table ---- */

void connections_init(struct router *router)
{
	TAILQ_INIT(&router->unused);
	TAILQ_INIT(&router->restored);
	TAILQ_INIT(&router->lingering);
}

static int add_chunk(struct router *router)
{
	struct connection **chunks, *chunk;

	if (router->chunks_count == CHUNKS_MAX)
		return -ENOMEM;
	chunks = realloc(router->chunks, (router->chunks_count + 1) * sizeof(*chunks));
	if (!chunks)
		return -ENOMEM;
	router->chunks = chunks;
	chunk = calloc(CONNECTION_CHUNK, sizeof(*chunk));
	if (!chunk)
		return -ENOMEM;
	for (uint32_t i = 0; i < CONNECTION_CHUNK; i++) {
		chunk[i].id = router->first_generation << INDEX_BITS | (router->chunks_count * CONNECTION_CHUNK + i);
		chunk[i].fd = -1;
		TAILQ_INSERT_TAIL(&router->unused, &chunk[i], entry);
	}
	chunks[router->chunks_count++] = chunk;
	return 0;
}

uint32_t connections_last_id(const struct router *router)
{
	uint32_t last = 0;

	for (uint32_t i = 0; i < router->chunks_count; i++)
		for (uint32_t j = 0; j < CONNECTION_CHUNK; j++)
			if (router->chunks[i][j].id >> INDEX_BITS > last >> INDEX_BITS)
				last = router->chunks[i][j].id;
	return last;
}

void connections_begin_behind(struct router *router, uint32_t id)
{
	router->first_generation = id >> INDEX_BITS;
}

static struct connection *take_unused(struct router *router, struct connection *connection, uint32_t id)
{
	TAILQ_REMOVE(&router->unused, connection, entry);
	memset(connection, 0, sizeof(*connection));
	connection->id = id;
	connection->fd = -1;
	connection->router = router;
	return connection;
}

static struct connection *allocate(struct router *router)
{
	struct connection *connection;

	if (TAILQ_EMPTY(&router->unused) && add_chunk(router) < 0)
		return NULL;
	connection = TAILQ_FIRST(&router->unused);
	return take_unused(router, connection, connection->id + (1u << INDEX_BITS));
}

/* The place that an id names; NULL if it is taken, or cannot be had. */
static struct connection *allocate_as(struct router *router, uint32_t id)
{
	uint32_t index = id & ((1u << INDEX_BITS) - 1);
	struct connection *connection;

	while (index / CONNECTION_CHUNK >= router->chunks_count)
		if (add_chunk(router) < 0)
			return NULL;
	connection = &router->chunks[index / CONNECTION_CHUNK][index % CONNECTION_CHUNK];
	return connection->fd < 0 ? take_unused(router, connection, id) : NULL;
}

struct connection *connection_find(struct router *router, uint32_t id)
{
	uint32_t index = id & ((1u << INDEX_BITS) - 1);
	struct connection *connection;

	if (index / CONNECTION_CHUNK >= router->chunks_count)
		return NULL;
	connection = &router->chunks[index / CONNECTION_CHUNK][index % CONNECTION_CHUNK];
	return connection->id == id && connection->state == CONNECTION_HANDED_OFF ? connection : NULL;
}

void connections_free(struct router *router)
{
	for (uint32_t i = 0; i < router->chunks_count; i++) {
		for (uint32_t j = 0; j < CONNECTION_CHUNK; j++) {
			struct connection *connection = &router->chunks[i][j];

			if (connection->fd < 0)
				continue;
			clients_leave(&router->clients, connection->count);
			close(connection->fd);
		}
		free(router->chunks[i]);
	}
	free(router->chunks);
}

void connections_forget_listener(struct router *router, const struct listener *listener)
{
	for (uint32_t i = 0; i < router->chunks_count; i++)
		for (uint32_t j = 0; j < CONNECTION_CHUNK; j++)
			if (router->chunks[i][j].listener == listener)
				router->chunks[i][j].listener = NULL;
}

/* ---- counting, and leaving the list that the state says ---- */

static void stop_waiting(struct connection *connection)
{
	struct router *router = connection->router;

	if (!connection->waits)
		return;
	connection->waits = false;
	router->connections--;
	if (connection->listener)
		connection->listener->waiting--;
	clients_leave(&router->clients, connection->count);
	connection->count = NULL;
}

static void unlist(struct connection *connection)
{
	switch (connection->state) {
	case CONNECTION_READING:
		TAILQ_REMOVE(&connection->listener->reading, connection, entry);
		break;
	case CONNECTION_WAITING:
		TAILQ_REMOVE(&connection->slot->waiting, connection, entry);
		connection->slot->waiting_count--;
		connection->slot->stats->waiting = connection->slot->waiting_count;
		connection->slot = NULL;
		break;
	case CONNECTION_HANDED_OFF:
		worker_forget(connection->worker, connection);
		connection->worker = NULL;
		connection->router->handed_off--;
		break;
	case CONNECTION_ANSWERING:
	case CONNECTION_LINGERING:
		TAILQ_REMOVE(&connection->router->lingering, connection, entry);
		connection->router->lingering_count--;
		break;
	case CONNECTION_RESTORED:
		TAILQ_REMOVE(&connection->router->restored, connection, entry);
		break;
	case CONNECTION_UNUSED:
		break;
	}
	connection->state = CONNECTION_UNUSED;
}

static void destroy(struct connection *connection)
{
	struct router *router = connection->router;

	poller_set(&router->poller, &connection->watch, 0);
	unlist(connection);
	stop_waiting(connection);
	close(connection->fd);
	connection->fd = -1;
	/* First in, first out: the longer a place rests, the longer an old id finds nothing. */
	TAILQ_INSERT_TAIL(&router->unused, connection, entry);
	router_check_idle(router);
	router_check_end(router);
}

/* ---- errors to clients ---- */

static void set_low_water(struct connection *connection, size_t bytes)
{
	int value = (int)bytes;

	connection->low_water_raised = bytes > 1;
	setsockopt(connection->fd, SOL_SOCKET, SO_RCVLOWAT, &value, sizeof(value));
}

/* Reads and drops what the client sent. True: the client has closed. */
static bool discard(struct connection *connection)
{
	struct router *router = connection->router;

	for (int i = 0; i < 4; i++) {
		ssize_t received = recv(connection->fd, router->buffer, sizeof(router->buffer), MSG_DONTWAIT);

		if (received == 0 || (received < 0 && errno != EAGAIN && errno != EINTR))
			return true;
		if (received < 0)
			break;
	}
	return false;
}

static void linger(struct connection *connection, enum connection_state state)
{
	struct router *router = connection->router;

	unlist(connection);
	stop_waiting(connection);
	if (router->lingering_count >= CONNECTION_LINGERING_MAX ||
	    poller_set(&router->poller, &connection->watch, EPOLLIN) < 0) {
		destroy(connection);
		return;
	}
	connection->state = state;
	connection->deadline = ev_now(router->loop) + LINGER_SECONDS;
	TAILQ_INSERT_TAIL(&router->lingering, connection, entry);
	router->lingering_count++;
	if (!ev_is_active(&router->linger_timer)) {
		ev_timer_set(&router->linger_timer, LINGER_SECONDS, 0.);
		ev_timer_start(router->loop, &router->linger_timer);
	}
	router_check_idle(router);
}

/* Closing a socket with unread bytes sends a reset, which can overtake the answer: so the answer is followed by a FIN, and what
 * the client still sends is read and dropped for a moment. */
static void answer(struct connection *connection)
{
	size_t length;
	const char *text = answer_text(close_reasons[connection->answer].status, &length);

	if (connection->low_water_raised)
		set_low_water(connection, 1);
	if (send(connection->fd, text, length, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)length ||
	    shutdown(connection->fd, SHUT_WR) < 0 || discard(connection)) {
		destroy(connection);
		return;
	}
	linger(connection, CONNECTION_LINGERING);
}

/* Not every listener reads heads, and not every client that it lets through speaks HTTP: only HTTP gets an HTTP answer. */
static void answer_if_http(struct connection *connection)
{
	struct router *router = connection->router;
	struct request_head head;
	ssize_t length;

	if (connection_make_ready(connection) < 0) {
		destroy(connection);
		return;
	}
	length = recv(connection->fd, router->buffer, sizeof(router->buffer), MSG_PEEK | MSG_DONTWAIT);
	if (length < 0 && errno == EAGAIN) {
		linger(connection, CONNECTION_ANSWERING);
		return;
	}
	if (length > 0) {
		enum head_result result = request_head_parse(&head, router->buffer, (size_t)length);

		if (result == HEAD_DONE || result == HEAD_NEED_MORE) {
			answer(connection);
			return;
		}
	}
	destroy(connection);
}

static bool is_about_the_head(enum close_reason reason)
{
	return reason == CLOSE_HEAD_INVALID || reason == CLOSE_HEAD_TIMEOUT || reason == CLOSE_HEAD_TOO_LARGE;
}

void connection_close(struct connection *connection, enum close_reason reason)
{
	struct router *router = connection->router;

	stats_add(router->stats, close_reasons[reason].counter, 1);
	if (log_enabled(LOG_LEVEL_DEBUG)) {
		char client[ADDRESS_TEXT_MAX];

		log_debug("connection %u closed: %s (client=%s)", connection->id, close_reasons[reason].name,
		    address_format(&connection->peer, client, sizeof(client)));
	}
	if (!close_reasons[reason].status) {
		destroy(connection);
		return;
	}
	connection->answer = reason;
	if (is_about_the_head(reason))
		answer(connection);
	else
		answer_if_http(connection);
}

/* ---- reading ---- */

static bool is_trusted(const struct listener_config *config, const struct address *peer)
{
	for (size_t i = 0; i < config->trusted_proxies_count; i++)
		if (address_prefix_contains(&config->trusted_proxies[i], peer))
			return true;
	return false;
}


static void route(struct connection *connection, const struct proxy_header *proxy, const struct request_head *head)
{
	struct listener *listener = connection->listener;
	struct router *router = connection->router;
	struct sticky_key key;

	client_address_find(&connection->client, &connection->peer, proxy, head, listener->config->trusted_proxies,
	    listener->config->trusted_proxies_count);
	sticky_key_find(&key, listener->config->sticky, listener->config->sticky_count, head, &connection->client,
	    &router->scratch);
	connection->key_type = key.type;
	if (key.type == STICKY_IP && address_family(&connection->client) != AF_INET &&
	    address_family(&connection->client) != AF_INET6) {
		/* Peers of a Unix socket have no address that tells them apart: spread them. */
		uint64_t arrival = router->arrivals++;

		connection->hash = pick_hash(&router->secret, &arrival, sizeof(arrival));
	} else {
		connection->hash = pick_hash(&router->secret, key.bytes, key.length);
	}
	pool_dispatch(connection->pool, connection);
}

static void leave_reading(struct connection *connection)
{
	poller_set(&connection->router->poller, &connection->watch, 0);
	unlist(connection);
}

static void warn_not_http1(struct listener *listener, enum head_result result)
{
	bool tls = result == HEAD_TLS;

	stats_add(listener->router->stats, tls ? COUNTER_head_tls : COUNTER_head_http2, 1);
	if (listener->warned)
		return;
	listener->warned = true;
	log_warning("listener %s: a client speaks %s, but the sticky keys of this listener need an HTTP/1 request head: such "
		    "connections are handed off by client address (said once)",
	    listener->config->name, tls ? "TLS" : "HTTP/2");
}

/* More bytes are needed: wake up when there are at least so many. */
static void read_more(struct connection *connection, size_t need)
{
	set_low_water(connection, need);
	if (poller_set(&connection->router->poller, &connection->watch, EPOLLIN | EPOLLRDHUP) < 0)
		connection_close(connection, CLOSE_OUT_OF_MEMORY);
}

/* Returns false if the connection was closed or waits for more bytes. */
static bool read_proxy(struct connection *connection, const char *bytes, size_t length, struct proxy_header *proxy)
{
	size_t need;

	switch (proxy_header_parse(proxy, bytes, length, &need)) {
	case PROXY_DONE:
		connection->proxy_length = proxy->length;
		return true;
	case PROXY_NEED_MORE:
		read_more(connection, need > length ? need : length + 1);
		return false;
	default:
		connection_close(connection, CLOSE_PROXY_INVALID);
		return false;
	}
}

static void read_head(struct connection *connection, const char *bytes, size_t length, const struct proxy_header *proxy)
{
	struct listener *listener = connection->listener;
	struct request_head head;
	enum head_result result = HEAD_NEED_MORE;

	if (length > 0 && request_head_worth_parsing(bytes, connection->parsed, length)) {
		result = request_head_parse(&head, bytes, length);
		connection->parsed = length;
	}
	switch (result) {
	case HEAD_DONE:
		leave_reading(connection);
		route(connection, proxy, &head);
		return;
	case HEAD_NEED_MORE:
		if (length >= listener->config->head_size)
			connection_close(connection, CLOSE_HEAD_TOO_LARGE);
		else
			read_more(connection, connection->peeked + 1);
		return;
	case HEAD_TLS:
	case HEAD_HTTP2:
		warn_not_http1(listener, result);
		leave_reading(connection);
		route(connection, proxy, NULL);
		return;
	case HEAD_TOO_MANY_FIELDS:
		connection_close(connection, CLOSE_HEAD_TOO_LARGE);
		return;
	case HEAD_INVALID:
		connection_close(connection, CLOSE_HEAD_INVALID);
		return;
	}
}

/* Could the request head say more of the key? With keys by address only behind a trusted proxy. */
static bool head_decides(const struct connection *connection, const struct proxy_header *proxy)
{
	const struct listener *listener = connection->listener;

	if (proxy && proxy->local)
		return listener->needs_head; /* the proxy's own connection */
	return listener->needs_head || is_trusted(listener->config, proxy ? &proxy->source : &connection->peer);
}

/* Looks at what the client sent so far. All of it is peeked again each time: nothing is kept, nothing is consumed. */
static void read_on(struct connection *connection, bool woken)
{
	struct listener *listener = connection->listener;
	struct router *router = connection->router;
	size_t before = connection->peeked, most = listener->config->head_size, length;
	struct proxy_header proxy;
	ssize_t received;

	if (listener->config->proxy_protocol)
		most += PROXY_HEADER_MAX;
	received = recv(connection->fd, router->buffer, most, MSG_PEEK | MSG_DONTWAIT);
	if (received < 0 && (errno == EAGAIN || errno == EINTR)) {
		read_more(connection, 1);
		return;
	}
	/* Woken, though fewer bytes are there than were asked for: nothing will follow. */
	if (received <= 0 || (woken && (size_t)received <= before)) {
		connection_close(connection, CLOSE_CLIENT);
		return;
	}
	length = (size_t)received;
	connection->peeked = length;
	if (listener->config->proxy_protocol) {
		if (!read_proxy(connection, router->buffer, length, &proxy))
			return;
		if (!head_decides(connection, &proxy)) {
			leave_reading(connection);
			route(connection, &proxy, NULL);
			return;
		}
		length -= connection->proxy_length;
	}
	read_head(connection, router->buffer + connection->proxy_length, length,
	    listener->config->proxy_protocol ? &proxy : NULL);
}

static void on_event(struct poller_watch *watch, uint32_t events)
{
	struct connection *connection =
	    (struct connection *)((char *)watch - offsetof(struct connection, watch));

	switch (connection->state) {
	case CONNECTION_READING:
		read_on(connection, true);
		break;
	case CONNECTION_ANSWERING:
		answer_if_http(connection);
		break;
	case CONNECTION_LINGERING:
		if (discard(connection) || (events & (EPOLLHUP | EPOLLERR)))
			destroy(connection);
		break;
	default:
		poller_set(&connection->router->poller, watch, 0);
	}
}

/* ---- timers ---- */

static void arm_head_timer(struct listener *listener)
{
	struct connection *first = TAILQ_FIRST(&listener->reading);
	struct ev_loop *loop = listener->router->loop;
	double delay;

	if (!first || ev_is_active(&listener->head_timer))
		return;
	delay = first->deadline - ev_now(loop);
	ev_timer_set(&listener->head_timer, delay > 0.001 ? delay : 0.001, 0.);
	ev_timer_start(loop, &listener->head_timer);
}

static enum close_reason what_is_late(const struct connection *connection)
{
	if (connection->peeked == connection->proxy_length)
		return CLOSE_HEAD_EMPTY; /* a spare connection, of a browser or of a proxy for one */
	return connection->listener->config->proxy_protocol && !connection->proxy_length ? CLOSE_PROXY_INVALID
											 : CLOSE_HEAD_TIMEOUT;
}

void connection_head_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct listener *listener = timer->data;
	struct connection *first;

	while ((first = TAILQ_FIRST(&listener->reading)) && first->deadline <= ev_now(loop))
		connection_close(first, what_is_late(first));
	arm_head_timer(listener);
}

void connection_linger_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct router *router = timer->data;
	struct connection *first;

	while ((first = TAILQ_FIRST(&router->lingering)) && first->deadline <= ev_now(loop))
		destroy(first);
	if (first) {
		ev_timer_set(timer, first->deadline - ev_now(loop), 0.);
		ev_timer_start(loop, timer);
	}
}

/* ---- a connection's beginning, and its changes of state ---- */

/* May the connection come in? Says why not. */
static bool within_limits(struct connection *connection, enum close_reason *reason)
{
	struct listener *listener = connection->listener;
	const struct listener_config *config = listener->config;
	struct router *router = connection->router;
	bool proxy = is_trusted(config, &connection->peer);
	unsigned from_client;

	*reason = CLOSE_PROXY_UNTRUSTED;
	if (config->proxy_protocol && !proxy)
		return false;
	/* A proxy's address, or that of a Unix peer, stands for many clients. */
	if (!proxy && address_family(&connection->peer) != AF_UNIX) {
		from_client = clients_enter(&router->clients, &connection->peer, &connection->count);
		*reason = from_client ? CLOSE_CLIENT_LIMIT : CLOSE_OUT_OF_MEMORY;
		if (from_client == 0 || from_client > config->max_waiting_per_client)
			return false;
	}
	if (listener->waiting > config->max_waiting) {
		struct connection *oldest = TAILQ_FIRST(&listener->reading);

		*reason = CLOSE_WAITING_LIMIT;
		if (!oldest)
			return false;
		connection_close(oldest, CLOSE_EVICTED);
	}
	return true;
}

void connections_evict_slow(struct router *router, double seconds, unsigned most)
{
	double now = ev_now(router->loop);
	struct listener *listener;

	TAILQ_FOREACH (listener, &router->listeners, entry) {
		double timeout = (double)listener->config->head_timeout / 1000;
		struct connection *oldest;

		for (unsigned i = 0; i < most && (oldest = TAILQ_FIRST(&listener->reading)); i++) {
			if (oldest->deadline - timeout > now - seconds)
				break;
			connection_close(oldest, CLOSE_EVICTED);
		}
	}
}

static void start_reading(struct connection *connection, double deadline)
{
	struct listener *listener = connection->listener;

	if (!listener->config->proxy_protocol && !head_decides(connection, NULL)) {
		route(connection, NULL, NULL);
		return;
	}
	connection->state = CONNECTION_READING;
	connection->deadline = deadline;
	TAILQ_INSERT_TAIL(&listener->reading, connection, entry);
	arm_head_timer(listener);
	read_on(connection, false);
}

void connection_new(struct listener *listener, int fd, const struct address *peer)
{
	struct router *router = listener->router;
	struct connection *connection = allocate(router);
	enum close_reason reason;

	stats_add(router->stats, COUNTER_accepted, 1);
	if (!connection) {
		stats_add(router->stats, COUNTER_out_of_memory, 1);
		close(fd);
		return;
	}
	connection->fd = fd;
	connection->watch.fd = fd;
	connection->watch.callback = on_event;
	connection->listener = listener;
	connection->pool = listener->pool;
	connection->port = address_port(&listener->address);
	connection->peer = *peer;
	connection->client = *peer;
	connection->waits = true;
	router->connections++;
	listener->waiting++;
	if (!within_limits(connection, &reason)) {
		connection_close(connection, reason);
		return;
	}
	start_reading(connection, ev_now(router->loop) + (double)listener->config->head_timeout / 1000);
}

/* Takes up the connection's place in the count of those that wait, without asking for limits: it was let in before. */
static void wait_again(struct connection *connection)
{
	connection->waits = true;
	connection->router->connections++;
	if (connection->listener)
		connection->listener->waiting++;
}

void connection_restore(struct router *router, const struct connection_past *past)
{
	struct connection *connection = past->worker ? allocate_as(router, past->id) : allocate(router);

	if (!connection || !past->pool) {
		stats_add(router->stats, connection ? COUNTER_shut_down : COUNTER_out_of_memory, 1);
		if (connection)
			TAILQ_INSERT_TAIL(&router->unused, connection, entry);
		close(past->fd);
		return;
	}
	connection->fd = past->fd;
	connection->watch.fd = past->fd;
	connection->watch.callback = on_event;
	connection->listener = past->listener;
	connection->pool = past->pool;
	connection->peer = past->peer;
	connection->client = past->client;
	connection->port = past->port;
	connection->key_type = past->key_type;
	connection->hash = past->hash;
	connection->proxy_length = past->proxy_length;
	connection->proxy_consumed = past->routed && !past->proxy_length;
	connection->routed = past->routed;
	connection->deadline = past->deadline;
	connection->low_water_raised = true; /* perhaps: it costs little to put it back */
	if (past->worker) {
		worker_restore_sent(past->worker, connection);
		return;
	}
	wait_again(connection);
	connection->state = CONNECTION_RESTORED;
	TAILQ_INSERT_TAIL(&router->restored, connection, entry);
}

void connections_forget_open(struct router *router)
{
	for (uint32_t i = 0; i < router->chunks_count; i++) {
		for (uint32_t j = 0; j < CONNECTION_CHUNK; j++) {
			struct connection *connection = &router->chunks[i][j];

			if (connection->fd >= 0 && connection->state != CONNECTION_LINGERING &&
			    connection->state != CONNECTION_ANSWERING)
				destroy(connection);
		}
	}
}

void connections_resume(struct router *router)
{
	double now = ev_now(router->loop);
	struct connection *connection;

	while ((connection = TAILQ_FIRST(&router->restored))) {
		unlist(connection);
		if (connection->routed)
			pool_dispatch(connection->pool, connection);
		else if (connection->listener)
			start_reading(connection, connection->deadline > now ? connection->deadline : now);
		else
			connection_close(connection, CLOSE_SHUT_DOWN);
	}
}

int connection_make_ready(struct connection *connection)
{
	struct router *router = connection->router;

	while (connection->proxy_length > 0) {
		ssize_t received = recv(connection->fd, router->buffer, connection->proxy_length, MSG_DONTWAIT);

		if (received <= 0)
			return -ECONNRESET;
		connection->proxy_length -= (size_t)received;
		connection->proxy_consumed = true;
	}
	if (connection->low_water_raised)
		set_low_water(connection, 1);
	return 0;
}

void connection_waits(struct connection *connection, struct slot *slot)
{
	connection->state = CONNECTION_WAITING;
	connection->slot = slot;
	TAILQ_INSERT_TAIL(&slot->waiting, connection, entry);
	slot->stats->waiting = ++slot->waiting_count;
}

void connection_waits_first(struct connection *connection, struct slot *slot)
{
	connection->state = CONNECTION_WAITING;
	connection->slot = slot;
	TAILQ_INSERT_HEAD(&slot->waiting, connection, entry);
	slot->stats->waiting = ++slot->waiting_count;
}

void connection_leaves_queue(struct connection *connection)
{
	unlist(connection);
}

void connection_handed_off(struct connection *connection, struct worker *worker)
{
	stop_waiting(connection);
	connection->state = CONNECTION_HANDED_OFF;
	connection->worker = worker;
	connection->router->handed_off++;
}

void connection_taken_back(struct connection *connection)
{
	unlist(connection);
	wait_again(connection);
}
