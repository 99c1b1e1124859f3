/* One client of the demo worker. client_advance() is the only place that moves its state, client_close() the
 * only one that ends it. */
#include "worker/demo_client.h"

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "worker/demo_answer.h"
#include "worker/demo_http.h"
#include "worker/demo_websocket.h"

/* From the end of a request (or the start) to the end of the next response. */
#define REQUEST_SECONDS 60.
/* A WebSocket is pinged after this, and closed after twice this without a frame from the client. */
#define PING_SECONDS 30.
/* How long, and how many bytes, a closing connection is drained: closing over unread bytes would reset the
 * connection and could take the answer with it. */
#define LINGER_SECONDS 2.
#define LINGER_BYTES (4 * 1024 * 1024)
/* Reads and requests in one turn of the event loop. */
#define TURN_MAX 16

enum client_state {
	CLIENT_READING,
	CLIENT_WRITING,
	CLIENT_WEBSOCKET,
	CLIENT_LINGERING,
	CLIENT_CLOSED, /* freed by whoever brought it here */
};

/* What makes two requests come from different visitors. */
struct visitor {
	char cookie[64];
	char sid[64];
	bool known;
};

struct demo_client {
	struct demo_worker *worker;
	ev_io io;
	ev_timer timer;
	int fd;
	enum client_state state;
	enum client_state after_writing;
	struct visitor visitor;
	struct demo_http http;
	struct demo_websocket *websocket;
	char *output;
	size_t output_length, output_sent;
	size_t lingered;
	bool silent; /* the WebSocket's client sent nothing for a whole period */
	bool more;   /* stopped at a bound with input left: come back without waiting for the socket */
	size_t input_start, input_end;
	char input[4096];
	char address[128];
	char key[16];
};

static void copy_text(char *to, size_t size, const char *from)
{
	size_t length = strnlen(from, size - 1);

	memcpy(to, from, length);
	to[length] = '\0';
}

static void client_free(struct demo_client *client)
{
	struct demo_worker *worker = client->worker;

	ev_io_stop(worker->loop, &client->io);
	ev_timer_stop(worker->loop, &client->timer);
	demo_websocket_free(client->websocket);
	free(client->output);
	close(client->fd);
	free(client);
	worker->connections--;
	worker->closed(worker);
}

static struct demo_about client_about(const struct demo_client *client)
{
	const struct demo_worker *worker = client->worker;

	return (struct demo_about){
	    .pool = worker->pool,
	    .slot = worker->slot,
	    .generation = worker->generation,
	    .pid = worker->pid,
	    .key = client->key,
	    .client = client->address,
	    .connections = worker->connections,
	};
}

static void client_set_timer(struct demo_client *client, double seconds)
{
	client->timer.repeat = seconds;
	ev_timer_again(client->worker->loop, &client->timer);
}

static void client_answer(struct demo_client *client, char *output, size_t length, enum client_state after)
{
	free(client->output);
	client->output = output;
	client->output_length = length;
	client->output_sent = 0;
	client->after_writing = after;
	client->state = output ? CLIENT_WRITING : CLIENT_CLOSED;
}

/* A browser keeps its connection, and so the worker that it is pinned to, whatever its cookies say by now.
 * For the page (and only there) a changed visitor is sent round again, on a new connection. */
static bool visitor_changed(struct demo_client *client, const struct demo_request *request)
{
	struct visitor *visitor = &client->visitor;
	struct visitor now = {.known = true};

	demo_http_find(request->cookie, ';', "demo", now.cookie, sizeof(now.cookie));
	demo_http_find(demo_http_query(request->target), '&', "sid", now.sid, sizeof(now.sid));
	if (!visitor->known) {
		*visitor = now;
		return false;
	}
	if (!request->get || demo_http_path_length(request->target) != 1)
		return false;
	return strcmp(visitor->cookie, now.cookie) || (now.sid[0] && strcmp(visitor->sid, now.sid));
}

static void client_handle_request(struct demo_client *client)
{
	const struct demo_request *request = &client->http.request;
	struct demo_about about = client_about(client);
	bool accepted, close = !request->keep_alive || client->worker->draining;
	size_t length = 0;
	char *output;

	if (visitor_changed(client, request)) {
		output = demo_answer_again(request, &length);
		client_answer(client, output, length, CLIENT_LINGERING);
	} else if (request->websocket && !strncmp(request->target, "/ws", 3) &&
	           demo_http_path_length(request->target) == 3) {
		output = demo_answer_websocket(request, &accepted, &length);
		client_answer(client, output, length, accepted ? CLIENT_WEBSOCKET : CLIENT_LINGERING);
	} else {
		output = demo_answer(&about, request, &close, &length);
		client_answer(client, output, length, close ? CLIENT_LINGERING : CLIENT_READING);
	}
}

static ssize_t client_receive(struct demo_client *client, char *bytes, size_t size)
{
	ssize_t got;

	do {
		got = recv(client->fd, bytes, size, 0);
	} while (got < 0 && errno == EINTR);
	return got < 0 ? -errno : got;
}

/* Each of these does one step and returns false if it must wait for the socket. */

static bool client_read(struct demo_client *client)
{
	enum demo_http_result result;
	size_t consumed, length = 0;

	if (client->input_start == client->input_end) {
		ssize_t got = client_receive(client, client->input, sizeof(client->input));

		if (got == -EAGAIN)
			return false;
		if (got <= 0) {
			client->state = CLIENT_CLOSED;
			return true;
		}
		client->input_start = 0;
		client->input_end = (size_t)got;
	}
	result = demo_http_read(&client->http, client->input + client->input_start,
	    client->input_end - client->input_start, &consumed);
	client->input_start += consumed;
	if (result == DEMO_HTTP_REQUEST) {
		client_handle_request(client);
	} else if (result != DEMO_HTTP_NEED_MORE) {
		char *output = demo_answer_error(result, &length);

		client_answer(client, output, length, CLIENT_LINGERING);
	} else {
		client->input_start = client->input_end;
	}
	return true;
}

static void on_websocket_message(void *owner, const char *bytes, size_t length, bool text)
{
	struct demo_client *client = owner;
	struct demo_about about = client_about(client);
	size_t answer_length;
	char *answer = demo_answer_echo(&about, bytes, length, text, &answer_length);

	if (answer)
		demo_websocket_send(client->websocket, answer, answer_length);
	free(answer);
}

static void client_enter(struct demo_client *client, enum client_state state)
{
	client->state = state;
	switch (state) {
	case CLIENT_READING:
		client_set_timer(client, REQUEST_SECONDS);
		break;
	case CLIENT_WEBSOCKET:
		client->websocket = demo_websocket_new(client->fd, client->input + client->input_start,
		    client->input_end - client->input_start, on_websocket_message, client);
		if (!client->websocket)
			client->state = CLIENT_CLOSED;
		client_set_timer(client, PING_SECONDS);
		break;
	case CLIENT_LINGERING:
		shutdown(client->fd, SHUT_WR);
		client_set_timer(client, LINGER_SECONDS);
		break;
	case CLIENT_WRITING:
	case CLIENT_CLOSED:
		break;
	}
}

static bool client_write(struct demo_client *client)
{
	ssize_t sent = send(client->fd, client->output + client->output_sent,
	    client->output_length - client->output_sent, MSG_NOSIGNAL);

	if (sent < 0 && errno == EINTR)
		return true;
	if (sent < 0 && errno == EAGAIN)
		return false;
	if (sent < 0) {
		client->state = CLIENT_CLOSED;
		return true;
	}
	client->output_sent += (size_t)sent;
	if (client->output_sent == client->output_length) {
		free(client->output);
		client->output = NULL;
		client_enter(client, client->after_writing);
	}
	return true;
}

static bool client_linger(struct demo_client *client)
{
	char ignored[16 * 1024];
	ssize_t got = client_receive(client, ignored, sizeof(ignored));

	if (got == -EAGAIN)
		return false;
	if (got > 0)
		client->lingered += (size_t)got;
	if (got <= 0 || client->lingered > LINGER_BYTES)
		client->state = CLIENT_CLOSED;
	return true;
}

static bool client_websocket(struct demo_client *client)
{
	int over = demo_websocket_advance(client->websocket);

	if (over == -ESHUTDOWN) {
		client_enter(client, CLIENT_LINGERING);
		return true;
	}
	if (over)
		client->state = CLIENT_CLOSED;
	client->more = demo_websocket_wants_more(client->websocket);
	return over;
}

static int client_interest(const struct demo_client *client)
{
	switch (client->state) {
	case CLIENT_WRITING:
		return EV_WRITE;
	case CLIENT_WEBSOCKET:
		return (demo_websocket_wants_read(client->websocket) ? EV_READ : 0) |
		       (demo_websocket_wants_write(client->websocket) ? EV_WRITE : 0);
	default:
		return EV_READ;
	}
}

/* Does what can be done now; frees the client if its connection is over. */
static void client_advance(struct demo_client *client)
{
	struct ev_loop *loop = client->worker->loop;
	bool on = true;
	int interest;

	client->more = false;
	for (int turn = 0; on && client->state != CLIENT_CLOSED; turn++) {
		if (turn == TURN_MAX) {
			client->more = true;
			break;
		}
		switch (client->state) {
		case CLIENT_READING:
			on = client_read(client);
			break;
		case CLIENT_WRITING:
			on = client_write(client);
			break;
		case CLIENT_WEBSOCKET:
			on = client_websocket(client);
			break;
		case CLIENT_LINGERING:
			on = client_linger(client);
			break;
		case CLIENT_CLOSED:
			break;
		}
	}
	if (client->state == CLIENT_CLOSED) {
		client_free(client);
		return;
	}
	interest = client_interest(client);
	if (!ev_is_active(&client->io) || (client->io.events & (EV_READ | EV_WRITE)) != interest) {
		ev_io_stop(loop, &client->io);
		ev_io_set(&client->io, client->fd, interest);
		ev_io_start(loop, &client->io);
	}
	if (client->more)
		ev_feed_event(loop, &client->io, EV_READ);
}

static void on_io(struct ev_loop *loop, ev_io *w, int events)
{
	client_advance(w->data);
}

static void on_timer(struct ev_loop *loop, ev_timer *w, int events)
{
	struct demo_client *client = w->data;

	if (client->state == CLIENT_WEBSOCKET && demo_websocket_heard(client->websocket)) {
		client->silent = false;
	} else if (client->state == CLIENT_WEBSOCKET && !client->silent) {
		client->silent = true;
		demo_websocket_ping(client->websocket);
	} else {
		client->state = CLIENT_CLOSED;
	}
	client_advance(client);
}

struct demo_client *demo_client_new(struct demo_worker *worker, int fd, const char *address, const char *key)
{
	struct demo_client *client = calloc(1, sizeof(*client));
	int flags = fcntl(fd, F_GETFL), one = 1;

	if (!client || flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
		free(client);
		close(fd);
		return NULL;
	}
	/* Fails on a Unix socket, where it is not needed. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	client->worker = worker;
	client->fd = fd;
	client->state = CLIENT_READING;
	copy_text(client->address, sizeof(client->address), address);
	copy_text(client->key, sizeof(client->key), key);
	demo_http_init(&client->http);
	ev_init(&client->io, on_io);
	ev_init(&client->timer, on_timer);
	client->io.data = client;
	client->timer.data = client;
	worker->connections++;
	return client;
}

void demo_client_start(struct demo_client *client)
{
	client_enter(client, CLIENT_READING);
	client_advance(client);
}
