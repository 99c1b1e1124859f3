#include "dialogue.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd_passing.h"

struct dialogue_points dialogue_points;

static void tell(void *owner, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void tell(void *owner, const char *format, ...)
{
	struct dialogue *dialogue = owner;
	size_t length = strlen(dialogue->events);
	va_list arguments;

	if (length && length < sizeof(dialogue->events) - 3)
		strcpy(dialogue->events + length, "; ");
	length = strlen(dialogue->events);
	va_start(arguments, format);
	vsnprintf(dialogue->events + length, sizeof(dialogue->events) - length, format, arguments);
	va_end(arguments);
}

static void told_listen(void *owner, const struct channel_listen *listen)
{
	struct dialogue *dialogue = owner;
	char text[ADDRESS_TEXT_MAX];

	dialogue->request = listen->request;
	tell(owner, "listen %s %s%s%s%s index %u backlog %d data %s", listen->key,
	    listen->socket_type == SOCK_DGRAM ? "udp " : "",
	    address_format(&listen->address, text, sizeof(text)), listen->any_address ? " any" : "",
	    listen->ipv6_only ? " v6only" : "", listen->index, listen->backlog,
	    listen->data ? listen->data : "none");
	dialogue->in_event = true;
	if (dialogue->on_listen)
		dialogue->on_listen(dialogue, listen);
	dialogue->in_event = false;
}

static void told_listening(void *owner, const char *key)
{
	tell(owner, "listening %s", key);
}

static void told_closed_server(void *owner, const char *key)
{
	tell(owner, "closed_server %s", key);
}

static void told_ready(void *owner)
{
	tell(owner, "ready");
}

static void told_acknowledged(void *owner, uint32_t id)
{
	struct dialogue *dialogue = owner;

	tell(owner, "acknowledged %u", id);
	dialogue->in_event = true;
	if (dialogue->on_acknowledged)
		dialogue->on_acknowledged(dialogue, id);
	dialogue->in_event = false;
}

static void told_refused(void *owner, uint32_t id)
{
	tell(owner, "refused %u", id);
}

static void told_connections_closed(void *owner, unsigned count)
{
	tell(owner, "connections_closed %u", count);
}

static void told_leaving(void *owner)
{
	tell(owner, "leaving");
}

static void told_alive(void *owner)
{
	tell(owner, "alive");
}

static void told_kept(void *owner, const char *key, uint64_t number, int fd)
{
	struct dialogue *dialogue = owner;

	tell(owner, "kept %s", key);
	close_fd(&dialogue->kept_fd);
	dialogue->kept_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	dialogue->kept_number = number;
}

static void told_dropped(void *owner, uint64_t number)
{
	tell(owner, "dropped");
}

static void told_unreachable(void *owner)
{
	tell(owner, "unreachable");
}

static void told_stats(void *owner, const struct channel_stat *stats, size_t count)
{
	tell(owner, "stats %zu", count);
	for (size_t i = 0; i < count; i++)
		tell(owner, "%s=%g", stats[i].name, stats[i].value);
}

static void told_failed(void *owner, int error, const char *reason)
{
	tell(owner, "failed %s (%s)", error ? strerrorname_np(-error) : "0", reason);
}

static const struct channel_events events = {
    .listen = told_listen,
    .listening = told_listening,
    .closed_server = told_closed_server,
    .ready = told_ready,
    .acknowledged = told_acknowledged,
    .refused = told_refused,
    .connections_closed = told_connections_closed,
    .leaving = told_leaving,
    .alive = told_alive,
    .kept = told_kept,
    .dropped = told_dropped,
    .unreachable = told_unreachable,
    .stats = told_stats,
    .failed = told_failed,
};

int open_fds(void)
{
	DIR *entries = opendir("/proc/self/fd");
	int count = 0;

	assert_non_null(entries);
	while (readdir(entries))
		count++;
	closedir(entries);
	return count;
}

struct channel *dialogue_new(struct dialogue *dialogue, int fd)
{
	return channel_new(dialogue->protocol, dialogue->flavour, fd, dialogue->window, &events, dialogue);
}

struct channel *dialogue_restore(
    struct dialogue *dialogue, int fd, unsigned window, const struct channel_image *image, int *error)
{
	return channel_restore(
	    dialogue->protocol, dialogue->flavour, fd, window, &events, dialogue, image, error);
}

struct channel_image image_with_fds(const struct channel_image *image, int *fds)
{
	struct channel_image copy = *image;

	copy.fds = fds;
	for (size_t i = 0; i < image->fds_count; i++) {
		fds[i] = fcntl(image->fds[i], F_DUPFD_CLOEXEC, 0);
		assert_true(fds[i] >= 0);
	}
	return copy;
}

void dialogue_hand_over(struct dialogue *dialogue, unsigned window)
{
	bool offers = dialogue->front >= 0;
	int fd = fcntl(offers ? dialogue->front : channel_fd(dialogue->channel), F_DUPFD_CLOEXEC, 0);
	int fds[CHANNEL_IMAGE_FDS_MAX], error = -1;
	size_t told = strlen(dialogue->events);
	struct channel_image image, passed, again;

	if (channel_save(dialogue->channel, &image) == -EPIPE) {
		/* It has failed. */
		close(fd);
		return;
	}
	assert_in_range(image.length, 1, CHANNEL_IMAGE_BYTES_MAX);
	assert_in_range(image.fds_count, 0, CHANNEL_IMAGE_FDS_MAX);
	passed = image_with_fds(&image, fds);
	channel_free(dialogue->channel);
	dialogue->channel = dialogue_restore(dialogue, fd, window, &passed, &error);
	assert_int_equal(error, 0);
	assert_non_null(dialogue->channel);
	if (offers)
		channel_offer_accept(dialogue->channel);
	else
		assert_int_equal(channel_fd(dialogue->channel), fd);
	assert_int_equal(channel_save(dialogue->channel, &again), 0);
	assert_int_equal(again.length, image.length);
	assert_memory_equal(again.bytes, image.bytes, image.length);
	assert_int_equal(again.fds_count, image.fds_count);
	assert_int_equal(strlen(dialogue->events), told);
	channel_image_free(&again);
	channel_image_free(&image);
}

/* From here on, `always` is now and then: a long dialogue would take too long. */
#define POINTS_MANY 4000

/* A point, or so many of which only the last one counts. True if the channel changed hands. */
static bool pass_points(struct dialogue *dialogue, size_t count)
{
	unsigned before = dialogue_points.passed;
	bool now;

	if (dialogue->in_event)
		return false;
	now = before < POINTS_MANY || before / POINTS_MANY != (before + count) / POINTS_MANY;

	dialogue_points.passed += (unsigned)count;
	now = dialogue_points.always ? now : dialogue_points.passed == dialogue_points.hand_over_at;
	if (now)
		dialogue_hand_over(dialogue, dialogue->window);
	return now;
}

/* How much the worker sends up to the next point where the channel changes hands. */
static size_t next_piece(const struct dialogue *dialogue, size_t length)
{
	unsigned ahead = dialogue_points.hand_over_at - dialogue_points.passed;

	if (dialogue->datagrams)
		return length;
	if (dialogue_points.always)
		return dialogue_points.passed < POINTS_MANY ? length / 2000 + 1 : length;
	return dialogue_points.hand_over_at > dialogue_points.passed && ahead < length ? ahead : length;
}

void dialogue_open(struct dialogue *dialogue, enum protocol protocol, enum flavour flavour, unsigned window)
{
	int type = protocol == PROTOCOL_LIMPET ? SOCK_SEQPACKET : SOCK_STREAM;
	int ends[2];

	memset(dialogue, 0, sizeof(*dialogue));
	dialogue->heard_fd = dialogue->next_fd = dialogue->front = dialogue->kept_fd = -1;
	dialogue->protocol = protocol;
	dialogue->flavour = flavour;
	dialogue->window = window;
	if (getenv("HAND_OVER"))
		dialogue_points.always = true;
	dialogue_points.passed = 0;
	dialogue->datagrams = type == SOCK_SEQPACKET;
	assert_int_equal(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends), 0);
	dialogue->worker = ends[1];
	dialogue->channel = channel_new(protocol, flavour, ends[0], window, &events, dialogue);
	assert_non_null(dialogue->channel);
	assert_int_equal(channel_fd(dialogue->channel), ends[0]);
	pass_points(dialogue, 1);
}

void dialogue_close(struct dialogue *dialogue)
{
	channel_free(dialogue->channel);
	close_fd(&dialogue->worker);
	close_fd(&dialogue->heard_fd);
	close_fd(&dialogue->next_fd);
	close_fd(&dialogue->front);
	close_fd(&dialogue->kept_fd);
}

void dialogue_offer_accept(struct dialogue *dialogue)
{
	dialogue->front = fcntl(channel_fd(dialogue->channel), F_DUPFD_CLOEXEC, 0);
	channel_offer_accept(dialogue->channel);
}

void dialogue_open_in_step(
    struct dialogue *dialogue, enum protocol protocol, enum flavour flavour, unsigned window)
{
	dialogue_open(dialogue, protocol, flavour, window);
	assert_false(channel_can_send(dialogue->channel));
	worker_hears_with_fd(dialogue, flavour == FLAVOUR_LIMPET_CONNECTION ? PING : PROBE);
	worker_says(dialogue, ACK);
	assert_false(channel_can_send(dialogue->channel));
	if (flavour == FLAVOUR_LIMPET_CONNECTION)
		worker_says(dialogue, "{\"type\":\"limpet:pong\",\"id\":%llu}", (unsigned long long)dialogue->number);
	else
		worker_says(dialogue, "{\"cmd\":\"NODE_CLUSTER\",\"ack\":%llu,\"accepted\":false,\"seq\":1}",
		    (unsigned long long)dialogue->number);
	assert_true(channel_can_send(dialogue->channel));
}

void worker_sends(struct dialogue *dialogue, const void *bytes, size_t length, int fd)
{
	const char *at = bytes;

	while (length) {
		ssize_t sent = fd_send(dialogue->worker, at, next_piece(dialogue, length), fd);

		if (sent == -EAGAIN) {
			channel_readable(dialogue->channel);
			continue;
		}
		if (sent <= 0)
			break; /* the channel broke it off */
		fd = -1;
		at += sent;
		length -= (size_t)sent;
		/* Before it is read, and afterwards. */
		if (pass_points(dialogue, dialogue->datagrams ? 1 : (size_t)sent)) {
			channel_readable(dialogue->channel);
			dialogue_hand_over(dialogue, dialogue->window);
		}
	}
	channel_readable(dialogue->channel);
}

void worker_says(struct dialogue *dialogue, const char *format, ...)
{
	char line[16384];
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(line, sizeof(line) - 1, format, arguments);
	va_end(arguments);
	assert_in_range(length, 0, sizeof(line) - 2);
	if (!dialogue->datagrams)
		line[length++] = '\n';
	worker_sends(dialogue, line, (size_t)length, -1);
}

/* Reads one piece: of a stream, at most to the end of a message with an fd. */
static bool hear_more(struct dialogue *dialogue)
{
	ssize_t length;
	int fd;

	if (dialogue->datagrams && dialogue->heard_length)
		return false;
	if (channel_wants_write(dialogue->channel))
		channel_writable(dialogue->channel);
	length = fd_receive(dialogue->worker, dialogue->heard + dialogue->heard_length,
	    sizeof(dialogue->heard) - dialogue->heard_length - 1, &fd, NULL);
	if (length <= 0)
		return false;
	if (fd >= 0) {
		assert_int_equal(dialogue->next_fd, -1);
		dialogue->next_fd = fd;
	}
	dialogue->heard_length += (size_t)length;
	if (dialogue->datagrams)
		dialogue->heard[dialogue->heard_length++] = '\n';
	return true;
}

/* Moves the next line to `line`, and its fd to heard_fd. */
static bool hear(struct dialogue *dialogue, char *line, size_t size)
{
	char *end;
	size_t length;

	close_fd(&dialogue->heard_fd);
	while (!(end = memchr(dialogue->heard, '\n', dialogue->heard_length)))
		if (!hear_more(dialogue))
			return false;
	length = (size_t)(end - dialogue->heard);
	assert_in_range(length, 0, size - 1);
	memcpy(line, dialogue->heard, length);
	line[length] = '\0';
	dialogue->heard_length -= length + 1;
	memmove(dialogue->heard, end + 1, dialogue->heard_length);
	if (!dialogue->heard_length) {
		dialogue->heard_fd = dialogue->next_fd;
		dialogue->next_fd = -1;
	}
	return true;
}

static bool matches(const char *pattern, const char *text, uint64_t *number)
{
	for (; *pattern; pattern++) {
		if (*pattern == '#' && isdigit((unsigned char)*text)) {
			char *end;

			*number = strtoull(text, &end, 10);
			text = end;
		} else if (*pattern != *text++) {
			return false;
		}
	}
	return !*text;
}

static void hear_this(struct dialogue *dialogue, const char *pattern, bool with_fd)
{
	char line[16384];

	if (!hear(dialogue, line, sizeof(line)))
		fail_msg("the worker hears nothing, but should hear %s", pattern);
	if (!matches(pattern, line, &dialogue->number))
		assert_string_equal(line, pattern);
	assert_int_equal(dialogue->heard_fd >= 0, with_fd);
	if (with_fd)
		assert_true(fcntl(dialogue->heard_fd, F_GETFD) >= 0);
	pass_points(dialogue, 1);
}

void worker_hears(struct dialogue *dialogue, const char *pattern)
{
	hear_this(dialogue, pattern, false);
}

void worker_hears_with_fd(struct dialogue *dialogue, const char *pattern)
{
	hear_this(dialogue, pattern, true);
}

void worker_hears_nothing(struct dialogue *dialogue)
{
	char line[16384];

	if (hear(dialogue, line, sizeof(line)))
		fail_msg("the worker should hear nothing, but hears %s", line);
}

void worker_ends(struct dialogue *dialogue)
{
	close_fd(&dialogue->worker);
	channel_readable(dialogue->channel);
}

void owner_is_told(struct dialogue *dialogue, const char *pattern)
{
	if (!matches(pattern, dialogue->events, &dialogue->number))
		assert_string_equal(dialogue->events, pattern);
	dialogue->events[0] = '\0';
}

int owner_sends(struct dialogue *dialogue, uint32_t id, const char *server_key)
{
	struct channel_connection connection = {
	    .id = id, .server_key = server_key, .listener = "web", .key_source = "cookie"};
	struct address client;
	int ends[2], result;

	address_parse(&client, "203.0.113.9:51123", NULL);
	connection.client = &client;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	connection.fd = ends[0];
	result = channel_send_connection(dialogue->channel, &connection);
	close(ends[0]);
	close(ends[1]);
	pass_points(dialogue, 1);
	return result;
}
