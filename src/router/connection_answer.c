/* Errors to clients, in such a way that they arrive. */
#include "router/connection_inside.h"

#include <errno.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "route/request_head.h"

#define LINGER_SECONDS 1.0

bool connection_discard(struct connection *connection)
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

	connection_unlist(connection);
	connection_stop_waiting(connection);
	if (router->lingering_count >= CONNECTION_LINGERING_MAX ||
	    poller_set(&router->poller, &connection->watch, EPOLLIN) < 0) {
		connection_destroy(connection);
		return;
	}
	connection->state = state;
	connection->deadline = clock_now() + LINGER_SECONDS;
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
void connection_answer(struct connection *connection)
{
	size_t length;
	const char *text = answer_text(close_reasons[connection->answer].status, &length);

	if (connection->low_water_raised)
		connection_set_low_water(connection, 1);
	if (send(connection->fd, text, length, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)length ||
	    shutdown(connection->fd, SHUT_WR) < 0 || connection_discard(connection)) {
		connection_destroy(connection);
		return;
	}
	linger(connection, CONNECTION_LINGERING);
}

/* Not every listener reads heads, and not every client that it lets through speaks HTTP: only HTTP gets an HTTP answer. */
void connection_answer_if_http(struct connection *connection)
{
	struct router *router = connection->router;
	struct request_head head;
	ssize_t length;

	if (connection_make_ready(connection) < 0) {
		connection_destroy(connection);
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
			connection_answer(connection);
			return;
		}
	}
	connection_destroy(connection);
}

void connection_linger_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct router *router = timer->data;
	struct connection *first;

	while ((first = TAILQ_FIRST(&router->lingering)) && first->deadline <= clock_now())
		connection_destroy(first);
	if (first) {
		ev_timer_set(timer, first->deadline - clock_now(), 0.);
		ev_timer_start(loop, timer);
	}
}
