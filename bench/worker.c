/* The worker of the benchmarks, in C: answers every HTTP request with its process id, and echoes WebSocket
 * messages at /ws.
 *
 *   worker ADDRESS:PORT [-r] [-t THREADS] [-p PROCESSES]   listens itself (-r: SO_REUSEPORT, as with more
 * than one) worker                                                 takes connections from limpet, protocol
 * limpet (LIMPET_FD)
 *
 * The same code serves a connection however it came, so that what differs between two measurements is the way
 * there. Threads share nothing: each has its own epoll set and listening socket, as processes do.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <nettle/base64.h>
#include <nettle/sha1.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <wslay/wslay.h>

#include "base/fd_passing.h"

#define EVENTS_MAX 256
#define ACCEPTS_MAX 64
#define HEAD_MAX 16384
#define ECHO_MAX (1024 * 1024)

struct client {
	int fd;
	wslay_event_context_ptr websocket; /* NULL: HTTP */
	bool writing;
	bool ended;
	char *head; /* what came of an unfinished head, or NULL */
	size_t head_length;
};

struct worker {
	int epoll;
	int listener; /* -1: none */
	int channel;  /* -1: none */
	char answer[160];
	size_t answer_length;
	char bytes[HEAD_MAX + 1];
};

/* The front may have its copy of the socket a moment longer, and a socket leaves an epoll set by itself only
 * when its last copy is closed: so it is taken out, as event libraries do anyway. */
static void client_close(struct worker *worker, struct client *client)
{
	epoll_ctl(worker->epoll, EPOLL_CTL_DEL, client->fd, NULL);
	if (client->websocket)
		wslay_event_context_free(client->websocket);
	close(client->fd);
	free(client->head);
	free(client);
}

/* WebSocket. */

static ssize_t on_receive(
    wslay_event_context_ptr websocket, uint8_t *bytes, size_t size, int flags, void *user)
{
	struct client *client = user;
	ssize_t got = recv(client->fd, bytes, size, MSG_DONTWAIT);

	if (got > 0)
		return got;
	if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
		wslay_event_set_error(websocket, WSLAY_ERR_WOULDBLOCK);
		return -1;
	}
	client->ended = true;
	wslay_event_set_error(websocket, WSLAY_ERR_CALLBACK_FAILURE);
	return -1;
}

static ssize_t on_send(
    wslay_event_context_ptr websocket, const uint8_t *bytes, size_t length, int flags, void *user)
{
	struct client *client = user;
	int more = flags & WSLAY_MSG_MORE ? MSG_MORE : 0;
	ssize_t sent = send(client->fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL | more);

	if (sent >= 0)
		return sent;
	wslay_event_set_error(
	    websocket, errno == EAGAIN || errno == EINTR ? WSLAY_ERR_WOULDBLOCK : WSLAY_ERR_CALLBACK_FAILURE);
	return -1;
}

static void on_message(
    wslay_event_context_ptr websocket, const struct wslay_event_on_msg_recv_arg *message, void *user)
{
	struct wslay_event_msg echo = {message->opcode, message->msg, message->msg_length};

	/* Pings and closes are answered by the library. */
	if (message->opcode == WSLAY_TEXT_FRAME || message->opcode == WSLAY_BINARY_FRAME)
		wslay_event_queue_msg(websocket, &echo);
}

static bool websocket_advance(struct worker *worker, struct client *client)
{
	bool writing;

	if (wslay_event_recv(client->websocket) < 0 || wslay_event_send(client->websocket) < 0 ||
	    client->ended)
		return false;
	writing = wslay_event_want_write(client->websocket) != 0;
	if (writing != client->writing) {
		struct epoll_event event = {writing ? EPOLLIN | EPOLLOUT : EPOLLIN, {.ptr = client}};

		client->writing = writing;
		epoll_ctl(worker->epoll, EPOLL_CTL_MOD, client->fd, &event);
	}
	return writing || wslay_event_want_read(client->websocket);
}

static bool websocket_begin(struct worker *worker, struct client *client, const char *head)
{
	static const struct wslay_event_callbacks callbacks = {
	    .recv_callback = on_receive, .send_callback = on_send, .on_msg_recv_callback = on_message};
	static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	const char *key = strcasestr(head, "\r\nSec-WebSocket-Key:");
	char answer[256], accept[BASE64_ENCODE_RAW_LENGTH(SHA1_DIGEST_SIZE) + 1] = "";
	uint8_t digest[SHA1_DIGEST_SIZE];
	struct sha1_ctx sha1;
	int length;

	if (!key)
		return false;
	key += strlen("\r\nSec-WebSocket-Key:");
	key += strspn(key, " ");
	sha1_init(&sha1);
	sha1_update(&sha1, strcspn(key, " \r"), (const uint8_t *)key);
	sha1_update(&sha1, sizeof(guid) - 1, (const uint8_t *)guid);
	sha1_digest(&sha1, sizeof(digest), digest);
	base64_encode_raw(accept, sizeof(digest), digest);
	length = snprintf(answer, sizeof(answer),
	    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
	    "Sec-WebSocket-Accept: %s\r\n\r\n",
	    accept);
	if (send(client->fd, answer, (size_t)length, MSG_DONTWAIT | MSG_NOSIGNAL) != length)
		return false;
	if (wslay_event_context_server_init(&client->websocket, &callbacks, client))
		return false;
	wslay_event_config_set_max_recv_msg_length(client->websocket, ECHO_MAX);
	return websocket_advance(worker, client);
}

/* HTTP. */

/* Answers what is complete of the bytes, which end with a NUL; keeps the rest. False: close. */
static bool http_answer(struct worker *worker, struct client *client, char *bytes, size_t length)
{
	char *at = bytes, *end = bytes + length, *head_end;

	while ((head_end = memmem(at, (size_t)(end - at), "\r\n\r\n", 4))) {
		if (!strncmp(at, "GET /ws", 7))
			return websocket_begin(worker, client, at);
		if (send(client->fd, worker->answer, worker->answer_length, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
			return false;
		at = head_end + 4;
	}
	free(client->head);
	client->head = NULL;
	client->head_length = (size_t)(end - at);
	if (client->head_length) {
		client->head = malloc(client->head_length);
		if (!client->head)
			return false;
		memcpy(client->head, at, client->head_length);
	}
	return true;
}

static bool http_advance(struct worker *worker, struct client *client)
{
	size_t kept = client->head_length;
	ssize_t got = recv(client->fd, worker->bytes + kept, HEAD_MAX - kept, MSG_DONTWAIT);

	if (got < 0)
		return errno == EAGAIN || errno == EINTR;
	if (got == 0)
		return false;
	if (kept)
		memcpy(worker->bytes, client->head, kept);
	worker->bytes[kept + (size_t)got] = '\0';
	return http_answer(worker, client, worker->bytes, kept + (size_t)got);
}

/* Connections. */

/* fd: consumed. The request is mostly there already, and read before epoll is asked anything. */
static void client_begin(struct worker *worker, int fd)
{
	struct client *client = calloc(1, sizeof(*client));
	struct epoll_event event = {EPOLLIN, {.ptr = client}};

	if (!client) {
		close(fd);
		return;
	}
	client->fd = fd;
	if (!http_advance(worker, client) || epoll_ctl(worker->epoll, EPOLL_CTL_ADD, fd, &event))
		client_close(worker, client);
}

static void accept_some(struct worker *worker)
{
	for (int count = 0; count < ACCEPTS_MAX; count++) {
		int fd = accept4(worker->listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0)
			return;
		client_begin(worker, fd);
	}
}

static void tell(struct worker *worker, const char *message)
{
	fd_send(worker->channel, message, strlen(message), -1);
}

/* Takes what is queued, acknowledges all of it with one message, then serves it. */
static void take_some(struct worker *worker)
{
	int fds[ACCEPTS_MAX], count = 0;
	unsigned long last = 0;
	char text[8193], reply[64];

	while (count < ACCEPTS_MAX) {
		int fd = -1;
		ssize_t got = fd_receive(worker->channel, text, sizeof(text) - 1, &fd, NULL);
		const char *id;

		if (got == -EAGAIN)
			break;
		if (got <= 0)
			exit(0);
		text[got] = '\0';
		id = strstr(text, "\"id\":");
		if (fd >= 0 && id) {
			last = strtoul(id + 5, NULL, 10);
			fds[count++] = fd;
		} else if (strstr(text, "\"type\":\"ping\"") && id) {
			snprintf(reply, sizeof(reply), "{\"type\":\"pong\",\"id\":%lu}",
			    strtoul(id + 5, NULL, 10));
			tell(worker, reply);
		} else if (strstr(text, "\"type\":\"drain\"")) {
			exit(0);
		}
	}
	if (!count)
		return;
	snprintf(reply, sizeof(reply), "{\"type\":\"ack\",\"through\":%lu}", last);
	tell(worker, reply);
	for (int i = 0; i < count; i++)
		client_begin(worker, fds[i]);
}

static int open_listener(const char *where, bool share)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	const char *colon = strrchr(where, ':');
	char host[64] = "";
	int one = 1, fd;

	if (!colon || (size_t)(colon - where) >= sizeof(host))
		return -1;
	memcpy(host, where, (size_t)(colon - where));
	address.sin_port = htons((uint16_t)atoi(colon + 1));
	if (inet_pton(AF_INET, host, &address.sin_addr) != 1)
		return -1;
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (share)
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, 4096))
		return -1;
	return fd;
}

static void worker_poll(struct worker *worker, int fd, int *which)
{
	struct epoll_event event = {EPOLLIN, {.ptr = which}};

	epoll_ctl(worker->epoll, EPOLL_CTL_ADD, fd, &event);
}

static void *worker_run(void *given)
{
	struct worker *worker = given;
	struct epoll_event events[EVENTS_MAX];

	worker->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (worker->listener >= 0)
		worker_poll(worker, worker->listener, &worker->listener);
	if (worker->channel >= 0) {
		worker_poll(worker, worker->channel, &worker->channel);
		tell(worker, "{\"type\":\"hello\",\"version\":1}");
		tell(worker, "{\"type\":\"ready\"}");
	}
	for (;;) {
		int count = epoll_wait(worker->epoll, events, EVENTS_MAX, -1);

		for (int i = 0; i < count; i++) {
			struct client *client = events[i].data.ptr;

			if (events[i].data.ptr == &worker->listener)
				accept_some(worker);
			else if (events[i].data.ptr == &worker->channel)
				take_some(worker);
			else if (!(client->websocket ? websocket_advance(worker, client)
			                             : http_advance(worker, client)))
				client_close(worker, client);
		}
	}
	return NULL;
}

static struct worker *worker_new(const char *where, bool share, int channel)
{
	struct worker *worker = calloc(1, sizeof(*worker));
	int length;

	if (!worker)
		return NULL;
	worker->channel = channel;
	worker->listener = where ? open_listener(where, share) : -1;
	if (where && worker->listener < 0) {
		perror(where);
		exit(1);
	}
	/* Always of one length. */
	length = snprintf(worker->answer, sizeof(worker->answer),
	    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 8\r\n\r\n%07d\n", (int)getpid());
	worker->answer_length = (size_t)length;
	return worker;
}

int main(int argc, char **argv)
{
	const char *where = NULL, *channel = getenv("LIMPET_FD");
	struct rlimit files;
	int option, threads = 1, processes = 1;
	bool share = false;

	while ((option = getopt(argc, argv, "rt:p:")) != -1) {
		if (option == 'r')
			share = true;
		else if (option == 't')
			threads = atoi(optarg);
		else if (option == 'p')
			processes = atoi(optarg);
		else
			return 1;
	}
	where = optind < argc ? argv[optind] : NULL;
	if (!where && !channel) {
		fprintf(stderr, "worker: no address, and no LIMPET_FD\n");
		return 1;
	}
	share |= threads > 1 || processes > 1;
	signal(SIGPIPE, SIG_IGN);
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	for (int i = 1; i < processes; i++) {
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGTERM);
			break;
		}
	}
	for (int i = 1; i < threads; i++) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, worker_run, worker_new(where, share, -1))) {
			perror("pthread_create");
			return 1;
		}
	}
	worker_run(worker_new(where, share, where ? -1 : atoi(channel)));
}
