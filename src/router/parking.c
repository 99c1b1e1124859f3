#include "router/parking.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "router/connection.h"
#include "router/listener.h"

/* Waits that are shorter cost nothing. What has waited for less is lost if the router is killed. */
#define PARK_SECONDS 0.25

/* Bounds what the supervisor keeps. */
#define PARKED_MAX 16384

static void arm(struct router *router, double delay)
{
	ev_timer_stop(router->loop, &router->parking_timer);
	ev_timer_set(&router->parking_timer, delay > 0.001 ? delay : 0.001, 0.);
	ev_timer_start(router->loop, &router->parking_timer);
}

/* False: not now. */
static bool park(struct connection *connection)
{
	struct router *router = connection->router;
	struct link_message message;

	link_message_init(&message, LINK_PARK);
	message.request = router->parked_last + 1;
	message.listener = connection->listener ? connection->listener->id : 0;
	message.index = connection->port;
	message.address = connection->peer;
	message.client = connection->client;
	message.hash = connection->hash;
	message.proxy_length = connection->proxy_length;
	message.deadline = connection->deadline;
	message.key_type = connection->key_type;
	message.routed = connection->proxy_consumed || !connection->listener;
	strncpy(message.key, connection->pool->config->name, CHANNEL_KEY_MAX);
	if (link_send_now(router->link, &message, connection->fd) < 0)
		return false;
	connection->parked = ++router->parked_last;
	router->parked_count++;
	return true;
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct router *router = timer->data;
	struct connection *first;
	double now = clock_now();

	while ((first = TAILQ_FIRST(&router->unparked))) {
		double left = first->waiting_since + PARK_SECONDS - now;

		if (left > 0) {
			arm(router, left);
			return;
		}
		if (router->parked_count >= router->parked_most || !park(first)) {
			arm(router, PARK_SECONDS);
			return;
		}
		parking_waits_no_more(first);
	}
}

void parking_init(struct router *router, uint64_t files)
{
	TAILQ_INIT(&router->unparked);
	router->parked_most = files / 4 < PARKED_MAX ? (unsigned)(files / 4) : PARKED_MAX;
	ev_timer_init(&router->parking_timer, on_timer, 0., 0.);
	router->parking_timer.data = router;
}

void parking_waits(struct connection *connection)
{
	struct router *router = connection->router;

	if (connection->parked)
		return;
	connection->waiting_since = clock_now();
	connection->is_unparked = true;
	TAILQ_INSERT_TAIL(&router->unparked, connection, unparked);
	if (!ev_is_active(&router->parking_timer))
		arm(router, PARK_SECONDS);
}

void parking_waits_no_more(struct connection *connection)
{
	if (!connection->is_unparked)
		return;
	connection->is_unparked = false;
	TAILQ_REMOVE(&connection->router->unparked, connection, unparked);
}

static void init_unpark(struct connection *connection, struct link_message *message)
{
	link_message_init(message, LINK_UNPARK);
	message->request = connection->parked;
}

static void is_unparked(struct connection *connection)
{
	connection->parked = 0;
	connection->router->parked_count--;
}

int parking_release(struct connection *connection)
{
	struct link_message message;
	int result;

	if (!connection->parked)
		return 0;
	init_unpark(connection, &message);
	result = link_send_now(connection->router->link, &message, -1);
	if (result == 0)
		is_unparked(connection);
	return result;
}

void parking_forget(struct connection *connection)
{
	struct link_message message;

	if (!connection->parked)
		return;
	init_unpark(connection, &message);
	is_unparked(connection);
	/* What was handed over to a successor the supervisor has forgotten by itself. */
	if (!connection->router->succeeded)
		router_tell(connection->router, &message);
}

void parking_restore(struct router *router, const struct link_message *message, int fd)
{
	struct connection_past past = {.fd = fd,
	    .listener = listener_find(router, message->listener),
	    .peer = message->address,
	    .client = message->client,
	    .port = (uint16_t)message->index,
	    .key_type = (enum sticky_type)message->key_type,
	    .hash = message->hash,
	    .proxy_length = message->proxy_length,
	    .deadline = message->deadline,
	    .routed = message->routed != 0};
	struct connection *connection = NULL;

	past.pool = past.listener ? past.listener->pool : router_find_pool(router, message->key);
	if (message->request > router->parked_last)
		router->parked_last = message->request;
	if (fd >= 0 && connection_past_is_sane(&past)) {
		connection = connection_restore(router, &past);
	} else {
		log_error("a parked connection is malformed");
		if (fd >= 0)
			close(fd);
	}
	if (connection) {
		connection->parked = message->request;
		router->parked_count++;
	} else {
		struct link_message unpark;

		link_message_init(&unpark, LINK_UNPARK);
		unpark.request = message->request;
		router_tell(router, &unpark);
	}
}
