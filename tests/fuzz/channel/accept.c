/* What a worker with protocol accept does. The input is a list of actions, one byte each and what it needs
 * behind it:
 *
 *   o          opens a data socket (the n-th from 0)
 *   b N F A    binds the N-th with flags F, to 127.0.0.1 port A
 *   m N T S    says type T on the N-th, about the S-th connection that it heard of
 *   r N L ...  sends L bytes on the N-th, c L ... on the control socket
 *   y, z       the owner answers the last question: yes, no
 *   s N        the owner sends a connection to the server that the N-th would be
 *   h          the channel is handed over
 *   x N, e     closes the N-th, the control socket
 */
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd_passing.h"
#include "channel/accept_message.h"
#include "channel/channel.h"
#include "fuzz.h"

#define WINDOW 8
#define SOCKETS 8
#define CONNECTIONS 256

static struct run {
	struct channel *channel;
	int control, front;
	int nears[SOCKETS];
	unsigned opened;
	uint64_t request;
	uint32_t sent;
	bool answered[CONNECTIONS + 1];
	uint32_t heard[CONNECTIONS];
	unsigned heard_count;
	unsigned kept;
	bool failed;
} run;

static void on_listen(void *owner, const struct channel_listen *listen)
{
	REQUIRE(
	    !run.failed && listen->bind_only == (listen->fd >= 0) && strlen(listen->key) <= CHANNEL_KEY_MAX);
	run.request = listen->request;
}

static void on_key(void *owner, const char *key)
{
	REQUIRE(!run.failed && *key);
}

static void on_kept(void *owner, const char *key, uint64_t number, int fd)
{
	REQUIRE(!run.failed && number && fd >= 0);
	run.kept++;
}

static void on_dropped(void *owner, uint64_t number)
{
	REQUIRE(!run.failed && run.kept-- > 0);
}

static void on_ready(void *owner)
{
	REQUIRE(!run.failed);
}

static void on_answer(void *owner, uint32_t id)
{
	REQUIRE(!run.failed && id >= 1 && id <= run.sent && !run.answered[id]);
	run.answered[id] = true;
}

static void on_failed(void *owner, int error, const char *reason)
{
	REQUIRE(!run.failed && error <= 0 && reason);
	run.failed = true;
}

static const struct channel_events events = {
    .listen = on_listen,
    .listening = on_key,
    .closed_server = on_key,
    .kept = on_kept,
    .dropped = on_dropped,
    .ready = on_ready,
    .acknowledged = on_answer,
    .refused = on_answer,
    .failed = on_failed,
};

static void send_whole(int fd, const struct accept_message *message, int with)
{
	if (fd >= 0)
		fd_send(fd, message, sizeof(*message), with);
}

static void open_socket(void)
{
	struct accept_message message = {.type = ACCEPT_OPEN, .number = ACCEPT_VERSION};
	int ends[2];

	if (run.opened == SOCKETS || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return;
	send_whole(run.control, &message, ends[1]);
	close(ends[1]);
	run.nears[run.opened++] = ends[0];
}

static void bind_socket(int near, uint8_t flags, uint8_t port)
{
	struct accept_message message = {
	    .type = ACCEPT_BIND, .flags = flags, .address_length = sizeof(struct sockaddr_in)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	message.address.in.sin_family = AF_INET;
	message.address.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	message.address.in.sin_port = htons(port);
	send_whole(near, &message, fd);
	close(fd);
}

static void hear(int near)
{
	struct accept_message message;

	while (near >= 0 && fd_receive(near, &message, sizeof(message), NULL, NULL) > 0)
		if (message.type == ACCEPT_CONNECTION && run.heard_count < CONNECTIONS)
			run.heard[run.heard_count++] = message.number;
}

static void send_connection(uint8_t port)
{
	char key[32];
	struct channel_connection connection = {
	    .id = run.sent + 1, .fd = 0, .server_key = key, .listener = "web"};

	snprintf(key, sizeof(key), "127.0.0.1:%u", port);
	if (run.sent < CONNECTIONS && channel_send_connection(run.channel, &connection) == 0)
		run.sent++;
}

static void hand_over(void)
{
	struct channel_image image, again;
	int error;

	if (channel_save(run.channel, &image) < 0)
		return;
	for (size_t i = 0; i < image.fds_count; i++)
		image.fds[i] = dup(image.fds[i]);
	channel_free(run.channel);
	run.channel = channel_restore(
	    PROTOCOL_ACCEPT, FLAVOUR_NONE, dup(run.front), WINDOW, &events, &run, &image, &error);
	REQUIRE(run.channel && !error);
	REQUIRE(channel_save(run.channel, &again) == 0);
	REQUIRE(again.length == image.length && memcmp(again.bytes, image.bytes, again.length) == 0);
	channel_image_free(&again);
	channel_image_free(&image);
}

static void close_socket(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* Returns how many bytes it took behind the first. */
static size_t act(const uint8_t *at, size_t left)
{
	int *near = left > 1 && at[1] < run.opened ? &run.nears[at[1]] : NULL;
	struct accept_message message = {0};

	switch (at[0]) {
	case 'o':
		open_socket();
		return 0;
	case 'b':
		if (near && left > 3)
			bind_socket(*near, at[2], at[3]);
		return 3;
	case 'm':
		if (near && left > 3) {
			hear(*near);
			message.type = at[2];
			message.number = at[3] < run.heard_count ? run.heard[at[3]] : at[3];
			send_whole(*near, &message, -1);
		}
		return 3;
	case 'c':
	case 'r':
		if (left > 2 && at[2] <= left - 3 && (near || at[0] == 'c'))
			fd_send(at[0] == 'c' ? run.control : *near, at + 3, at[2], at[1] % 2 - 1);
		return left > 2 ? 2u + at[2] : 2;
	case 'y':
	case 'z':
		channel_answer_listen(run.channel, run.request, at[0] == 'z' ? 13 : 0, NULL, -1, NULL);
		return 0;
	case 's':
		if (left > 1)
			send_connection(at[1]);
		return 1;
	case 'h':
		hand_over();
		return 0;
	case 'x':
		if (near)
			close_socket(near);
		return 1;
	case 'e':
		close_socket(&run.control);
		return 0;
	default:
		return 0;
	}
}

static void check_pending(void)
{
	size_t cursor = 0, count = 0;
	uint32_t id;

	while (channel_next_unacknowledged(run.channel, &cursor, &id)) {
		REQUIRE(id <= run.sent && !run.answered[id]);
		count++;
	}
	REQUIRE(count == channel_unacknowledged(run.channel) && count <= WINDOW);
	for (id = 1; id <= run.sent; id++)
		count += run.answered[id];
	REQUIRE(count == run.sent);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int ends[2];

	memset(&run, 0, sizeof(run));
	REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
	run.control = ends[1];
	run.front = dup(ends[0]);
	run.channel = channel_new(PROTOCOL_ACCEPT, FLAVOUR_NONE, ends[0], WINDOW, &events, &run);
	REQUIRE(run.channel);
	for (size_t i = 0; i < size; i++) {
		i += act(data + i, size - i);
		channel_readable(run.channel);
	}
	check_pending();
	close_socket(&run.control);
	for (unsigned i = 0; i < run.opened; i++)
		close_socket(&run.nears[i]);
	for (int i = 0; i < 100 && !run.failed; i++)
		channel_readable(run.channel);
	REQUIRE(run.failed && run.kept == 0);
	check_pending();
	channel_free(run.channel);
	close(run.front);
	return 0;
}
