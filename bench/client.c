/* One connection of the load client. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "load.h"

/* What a browser's fetch() sends, and a session cookie among others. */
#define FIELDS                                                                                               \
	"Host: example.test\r\nConnection: keep-alive\r\n"                                                   \
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "                \
	"Chrome/126.0.0.0 "                                                                                  \
	"Safari/537.36\r\nAccept: */*\r\nReferer: http://example.test/\r\nAccept-Encoding: gzip, "           \
	"deflate\r\n"                                                                                        \
	"Accept-Language: en-US,en;q=0.9\r\nCookie: theme=dark; sid=%016llx; lang=en\r\n\r\n"
#define WEBSOCKET_FIELDS                                                                                     \
	"Host: example.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nOrigin: http://example.test\r\n" \
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"                       \
	"Cookie: theme=dark; sid=%016llx; lang=en\r\n\r\n"

uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* The path names the user, too, for fronts that go by it. */
static int client_head(const struct load *load, const struct client *client, char *text, size_t size)
{
	unsigned long long cookie = (client->user + 1ull) * 0x9e3779b97f4a7c15ull;

	return snprintf(text, size,
	    load->websocket ? "GET /ws/%u HTTP/1.1\r\n" WEBSOCKET_FIELDS : "GET /u/%u HTTP/1.1\r\n" FIELDS,
	    client->user, cookie);
}

void client_close(struct client *client, bool reset)
{
	struct linger at_once = {1, 0};

	if (client->state == CLIENT_FREE)
		return;
	if (reset)
		setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close(client->fd);
	client->state = CLIENT_FREE;
}

static enum client_event client_fail(struct load *load, struct client *client, enum failure why)
{
	load->failed[why]++;
	client_close(client, true);
	return CLIENT_FAILED;
}

static void client_poll(struct load *load, struct client *client, int operation, uint32_t what)
{
	struct epoll_event event = {what, {.ptr = client}};

	epoll_ctl(load->epoll, operation, client->fd, &event);
}

static bool client_send_head(const struct load *load, const struct client *client)
{
	char head[1024];
	int length = client_head(load, client, head, sizeof(head));

	return send(client->fd, head, (size_t)length, MSG_NOSIGNAL) == length;
}

/* Sends the request, if the connection is there already. */
static bool client_ask(struct load *load, struct client *client)
{
	if (!client_send_head(load, client))
		return false;
	client->state = CLIENT_ASKED;
	return true;
}

void client_connect(struct load *load, struct client *client, unsigned user)
{
	unsigned source = user % load->sources;
	struct sockaddr_in from = {
	    .sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f010001u + source / 250 * 256 + source % 250)};
	int one = 1;

	client->user = user;
	client->heard = client->websocket = false;
	client->got = client->expected = client->unsent = 0;
	client->begun = now_ns();
	client->state = CLIENT_CONNECTING;
	client->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	load->opened++;
	/* The port is chosen at connect(), so that each source has all ports for each address. */
	setsockopt(client->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
	setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (bind(client->fd, (struct sockaddr *)&from, sizeof(from)) ||
	    (connect(client->fd, (struct sockaddr *)&load->address, sizeof(load->address)) &&
	        errno != EINPROGRESS)) {
		client_fail(load, client, FAILED_CONNECT);
		return;
	}
	client_poll(load, client, EPOLL_CTL_ADD, client_ask(load, client) ? EPOLLIN : EPOLLIN | EPOLLOUT);
}

/* The length of the answer in client->answer, 0 if that cannot be told yet. *status: its number. */
static size_t answer_length(struct client *client, int *status)
{
	char *end, *length;

	client->answer[client->got] = '\0';
	end = strstr(client->answer, "\r\n\r\n");
	if (!end || sscanf(client->answer, "HTTP/1.%*d %d", status) != 1)
		return 0;
	length = strcasestr(client->answer, "\r\nContent-Length:");
	return (size_t)(end + 4 - client->answer) +
	       (*status != 101 && length && length < end ? strtoul(length + 17, NULL, 10) : 0);
}

/* The worker's process id is the body. */
static void note_worker(struct load *load, struct client *client, const char *body)
{
	int *known = &load->worker_of_user[client->user % load->users], worker = atoi(body);

	if (*known && *known != worker)
		load->moved++;
	*known = worker;
}

static enum client_event client_echoed(struct load *load, const struct client *client)
{
	load->echoes++;
	histogram_add(&load->echo, now_ns() - client->begun);
	return CLIENT_ECHOED;
}

static enum client_event client_answer(struct load *load, struct client *client)
{
	bool first = client->state == CLIENT_ASKED;
	int status = 0;
	size_t length = answer_length(client, &status);

	if (!length || client->got < length)
		return client->got + 1 >= ANSWER_MAX ? client_fail(load, client, FAILED_STATUS)
		                                     : CLIENT_NOTHING;
	if (status == 101)
		client->websocket = true;
	else if (status == 200)
		note_worker(load, client, client->answer + length - 8);
	else
		return client_fail(load, client, FAILED_STATUS);
	client->got = 0;
	client->state = CLIENT_PINNED;
	if (!first)
		return client_echoed(load, client);
	load->answered++;
	return CLIENT_ANSWERED;
}

static enum client_event client_read(struct load *load, struct client *client)
{
	static char sink[256 * 1024];
	bool echo = client->websocket;
	ssize_t got = echo ? recv(client->fd, sink, sizeof(sink), 0)
	                   : recv(client->fd, client->answer + client->got, ANSWER_MAX - 1 - client->got, 0);

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return CLIENT_NOTHING;
	if (got <= 0 || (echo && (size_t)got > client->expected))
		return client_fail(load, client, FAILED_RESET);
	if (!client->heard) {
		client->heard = true;
		histogram_add(&load->first_byte, now_ns() - client->begun);
	}
	if (!echo) {
		client->got += (size_t)got;
		return client_answer(load, client);
	}
	client->expected -= (size_t)got;
	if (client->expected)
		return CLIENT_NOTHING;
	return client_echoed(load, client);
}

/* Sends what is left of the message. */
static enum client_event client_write(struct load *load, struct client *client)
{
	ssize_t sent = send(
	    client->fd, load->message + load->message_length - client->unsent, client->unsent, MSG_NOSIGNAL);

	if (sent < 0 && errno != EAGAIN)
		return client_fail(load, client, FAILED_RESET);
	client->unsent -= sent > 0 ? (size_t)sent : 0;
	return CLIENT_NOTHING;
}

enum client_event client_say(struct load *load, struct client *client)
{
	enum client_event event;

	client->begun = now_ns();
	if (!client->websocket)
		return client_send_head(load, client) ? CLIENT_NOTHING
		                                      : client_fail(load, client, FAILED_RESET);
	client->expected = load->echo_length;
	client->unsent = load->message_length;
	event = client_write(load, client);
	if (event != CLIENT_FAILED && client->unsent)
		client_poll(load, client, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
	return event;
}

enum client_event client_advance(struct load *load, struct client *client, uint32_t events)
{
	if (client->state == CLIENT_CONNECTING) {
		if (events & (EPOLLERR | EPOLLHUP))
			return client_fail(load, client, FAILED_CONNECT);
		if (client_ask(load, client))
			client_poll(load, client, EPOLL_CTL_MOD, EPOLLIN);
		return CLIENT_NOTHING;
	}
	if (events & EPOLLOUT && client->unsent) {
		if (client_write(load, client) == CLIENT_FAILED)
			return CLIENT_FAILED;
		if (!client->unsent)
			client_poll(load, client, EPOLL_CTL_MOD, EPOLLIN);
	}
	return events & (EPOLLIN | EPOLLERR | EPOLLHUP) ? client_read(load, client) : CLIENT_NOTHING;
}

bool load_message(struct load *load, bool ping)
{
	static const unsigned char mask[4] = {0x37, 0xfa, 0x21, 0x3d};
	size_t size = load->size, head = 0;
	unsigned char *frame = malloc(size + 16);

	if (!frame)
		return false;
	load->message = (char *)frame;
	frame[head++] = ping ? 0x89 : 0x82;
	if (size < 126) {
		frame[head++] = (unsigned char)(0x80 | size);
	} else if (size < 65536) {
		frame[head++] = 0x80 | 126;
		frame[head++] = (unsigned char)(size >> 8);
		frame[head++] = (unsigned char)size;
	} else {
		frame[head++] = 0x80 | 127;
		for (int shift = 56; shift >= 0; shift -= 8)
			frame[head++] = (unsigned char)((uint64_t)size >> shift);
	}
	load->echo_length = head + size;
	memcpy(frame + head, mask, 4);
	head += 4;
	for (size_t i = 0; i < size; i++)
		frame[head + i] = (unsigned char)('a' ^ mask[i % 4]);
	load->message_length = head + size;
	return true;
}
