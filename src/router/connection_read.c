/* Finding out who a client is: PROXY header and request head, looked at by MSG_PEEK, in bounded time. */
#include "router/connection_inside.h"

#include <errno.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/log.h"
#include "route/client_address.h"
#include "route/proxy_header.h"
#include "route/request_head.h"
#include "route/sticky_key.h"
#include "router/pool.h"

bool connection_peer_is_trusted(const struct listener_config *config, const struct address *peer)
{
	for (size_t i = 0; i < config->trusted_proxies_count; i++)
		if (address_prefix_contains(&config->trusted_proxies[i], peer))
			return true;
	return false;
}


/* Did a proxy say who the client is, and has this one too many connections waiting? */
static bool is_over_limit(struct connection *connection, enum close_reason *reason)
{
	int family = address_family(&connection->client);

	if (connection->count || (family != AF_INET && family != AF_INET6) ||
	    connection_peer_is_trusted(connection->listener->config, &connection->client))
		return false;
	return !connection_count_client(connection, &connection->client, reason);
}

static void route(struct connection *connection, const struct proxy_header *proxy, const struct request_head *head)
{
	struct listener *listener = connection->listener;
	struct router *router = connection->router;
	enum close_reason reason;
	struct sticky_key key;

	client_address_find(&connection->client, &connection->peer, proxy, head, listener->config->trusted_proxies,
	    listener->config->trusted_proxies_count);
	if (is_over_limit(connection, &reason)) {
		connection_close(connection, reason);
		return;
	}
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
	connection_unlist(connection);
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
	connection_set_low_water(connection, need);
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
	return listener->needs_head || connection_peer_is_trusted(listener->config, proxy ? &proxy->source : &connection->peer);
}

/* Looks at what the client sent so far. All of it is peeked again each time: nothing is kept, nothing is consumed. */
void connection_read_on(struct connection *connection, bool woken)
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

/* ---- time ---- */

static void arm_head_timer(struct listener *listener)
{
	struct connection *first = TAILQ_FIRST(&listener->reading);
	struct ev_loop *loop = listener->router->loop;
	double delay;

	if (!first || ev_is_active(&listener->head_timer))
		return;
	delay = first->deadline - clock_now();
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

	while ((first = TAILQ_FIRST(&listener->reading)) && first->deadline <= clock_now())
		connection_close(first, what_is_late(first));
	arm_head_timer(listener);
}

void connections_evict_slow(struct router *router, double seconds, unsigned most)
{
	double now = clock_now();
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

void connection_start_reading(struct connection *connection, double deadline)
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
	connection_read_on(connection, false);
}
