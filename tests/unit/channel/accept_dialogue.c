#include "accept_dialogue.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd_passing.h"

struct channel *channel;
int control; /* the worker's end; -1: closed */
char told[TOLD_MAX]; /* events since last looked at */
uint64_t request;
int kept_fd; /* of the last kept event */

int front; /* a copy of the front's, for handing over */
unsigned window;
static bool hand_overs;

static void tell(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void tell(const char *format, ...)
{
	size_t length = strlen(told);
	va_list arguments;

	if (length)
		length += (size_t)snprintf(told + length, sizeof(told) - length, "; ");
	assert_true(length < sizeof(told));
	va_start(arguments, format);
	vsnprintf(told + length, sizeof(told) - length, format, arguments);
	va_end(arguments);
}

static void on_listen(void *owner, const struct channel_listen *listen)
{
	request = listen->request;
	assert_int_equal(listen->socket_type, SOCK_STREAM);
	assert_true(listen->bind_only ? listen->fd >= 0 : listen->fd < 0);
	if (listen->bind_only)
		tell("bind %s%s", listen->key, listen->ipv6_only ? " v6only" : "");
	else
		tell("listen %s backlog %d", listen->key, listen->backlog);
}

static void on_listening(void *owner, const char *key)
{
	tell("listening %s", key);
}

static void on_option(void *owner, const char *key, int level, int name, const void *value, size_t length)
{
	int number = 0;

	assert_in_range(length, 1, CHANNEL_OPTION_MAX);
	memcpy(&number, value, length < sizeof(number) ? length : sizeof(number));
	tell("option %s %d/%d=%d", key, level, name, number);
}

static void on_closed_server(void *owner, const char *key)
{
	tell("closed %s", key);
}

static void on_kept(void *owner, const char *key, uint64_t number, int fd)
{
	tell("kept %s", key);
	if (kept_fd >= 0)
		close(kept_fd);
	kept_fd = dup(fd);
}

static void on_dropped(void *owner, uint64_t number)
{
	tell("dropped");
}

static void on_ready(void *owner)
{
	tell("ready");
}

static void on_acknowledged(void *owner, uint32_t id)
{
	tell("acknowledged %u", id);
}

static void on_refused(void *owner, uint32_t id)
{
	tell("refused %u", id);
}

static void on_failed(void *owner, int error, const char *reason)
{
	tell("failed %d (%s)", error, reason);
}

const struct channel_events events = {
    .listen = on_listen,
    .listening = on_listening,
    .option = on_option,
    .closed_server = on_closed_server,
    .kept = on_kept,
    .dropped = on_dropped,
    .ready = on_ready,
    .acknowledged = on_acknowledged,
    .refused = on_refused,
    .failed = on_failed,
};

/* ---- the owner ---- */

void hand_over(void)
{
	struct channel_image image, again;
	int fds[CHANNEL_IMAGE_FDS_MAX], error;

	channel_set_quiet(channel, false);
	channel_look(channel);
	if (channel_save(channel, &image) < 0)
		return; /* it has failed */
	for (size_t i = 0; i < image.fds_count; i++)
		image.fds[i] = fds[i] = dup(image.fds[i]);
	channel_free(channel);
	channel =
	    channel_restore(PROTOCOL_ACCEPT, FLAVOUR_NONE, dup(front), window, &events, NULL, &image, &error);
	assert_non_null(channel);
	assert_int_equal(channel_save(channel, &again), 0);
	assert_int_equal(again.length, image.length);
	assert_memory_equal(again.bytes, image.bytes, image.length);
	assert_int_equal(again.fds_count, image.fds_count);
	channel_image_free(&again);
	channel_image_free(&image);
}

void open_channel(unsigned new_window)
{
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	control = ends[1];
	front = dup(ends[0]);
	window = new_window;
	told[0] = '\0';
	kept_fd = -1;
	hand_overs = getenv("HAND_OVER") != NULL;
	channel = channel_new(PROTOCOL_ACCEPT, FLAVOUR_NONE, ends[0], window, &events, NULL);
	assert_non_null(channel);
}

void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void close_channel(void)
{
	channel_free(channel);
	close_fd(&control);
	close_fd(&front);
	close_fd(&kept_fd);
}

/* Reads while there is something to be read, as the owner's poll would tell. */
void owner_reads(void)
{
	struct pollfd readable = {.fd = channel_fd(channel), .events = POLLIN};

	for (int i = 0; i < 1000 && poll(&readable, 1, 0) > 0 && !strstr(told, "failed"); i++) {
		channel_readable(channel);
		if (hand_overs)
			hand_over();
		readable.fd = channel_fd(channel);
	}
}

void owner_is_told(const char *expected)
{
	owner_reads();
	assert_string_equal(told, expected);
	told[0] = '\0';
}

int owner_sends(uint32_t id, const char *key)
{
	struct address client;
	struct channel_connection connection = {
	    .id = id, .fd = 0, .server_key = key, .listener = "web", .client = &client};

	address_parse(&client, "203.0.113.9:51123", NULL);
	return channel_send_connection(channel, &connection);
}

/* ---- the worker ---- */

int worker_opens(void)
{
	struct accept_message message = {.type = ACCEPT_OPEN, .number = ACCEPT_VERSION};
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	assert_int_equal(fd_send(control, &message, sizeof(message), ends[1]), sizeof(message));
	close(ends[1]);
	return ends[0];
}

void worker_says(int near, enum accept_type type, uint32_t number, int value)
{
	struct accept_message message = {.type = type, .number = number, .value = value};

	assert_int_equal(fd_send(near, &message, sizeof(message), -1), sizeof(message));
}

void worker_binds(int near, const char *text, unsigned flags)
{
	struct accept_message message = {.type = ACCEPT_BIND, .flags = flags};
	struct address address;
	int fd;

	address_parse(&address, text, NULL);
	fd = socket(address_family(&address), SOCK_STREAM | SOCK_CLOEXEC, 0);
	message.address_length = address.length;
	memcpy(&message.address, &address.sa, address.length);
	assert_int_equal(fd_send(near, &message, sizeof(message), fd), sizeof(message));
	close(fd);
}

void worker_sets(int near, uint32_t level, uint32_t name, int value, uint32_t length)
{
	struct accept_message message = {
	    .type = ACCEPT_OPTION, .number = level, .flags = name, .address_length = length};

	memcpy(&message.address, &value, sizeof(value));
	assert_int_equal(fd_send(near, &message, sizeof(message), -1), sizeof(message));
}

/* Returns its number; *fd may be NULL. */
uint32_t worker_hears(int near, enum accept_type type, int value)
{
	struct accept_message message;
	int fd;

	assert_int_equal(fd_receive(near, &message, sizeof(message), &fd, NULL), sizeof(message));
	assert_int_equal(message.type, type);
	assert_int_equal(message.value, value);
	assert_true((type == ACCEPT_CONNECTION) == (fd >= 0));
	if (type == ACCEPT_CONNECTION) {
		assert_int_equal(message.address_length, sizeof(struct sockaddr_in));
		assert_int_equal(message.address.in.sin_port, htons(51123));
		close(fd);
	}
	return message.number;
}

void worker_hears_nothing(int near)
{
	struct accept_message message;

	assert_int_equal(fd_receive(near, &message, sizeof(message), NULL, NULL), -EAGAIN);
}

void owner_answers(int error)
{
	struct address address;

	address_parse(&address, ANY, NULL);
	assert_int_equal(channel_answer_listen(channel, request, error, &address, -1, NULL), 0);
}

/* A server that takes connections; what the owner is told on the way is not looked at. */
int listening(const char *address)
{
	int near = worker_opens();

	worker_binds(near, address, 0);
	owner_reads();
	owner_answers(0);
	worker_hears(near, ACCEPT_ANSWER, 0);
	worker_says(near, ACCEPT_LISTEN, 0, 5);
	owner_reads();
	owner_answers(0);
	worker_hears(near, ACCEPT_ANSWER, 0);
	worker_says(near, ACCEPT_LISTENING, 0, 0);
	owner_reads();
	told[0] = '\0';
	return near;
}
