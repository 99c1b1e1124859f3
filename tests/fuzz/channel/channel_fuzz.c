#include "channel_fuzz.h"

#include <ctype.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd_passing.h"

#define WINDOW 8

struct run {
	struct channel *channel;
	enum protocol protocol;
	enum flavour flavour;
	int worker;
	bool datagrams;
	bool failed;
	uint32_t sent; /* ids are 1 to sent */
	bool answered[4096];
	uint64_t request;
	uint64_t number;
	char said[65536];
	size_t said_length;
};

static struct run *in_event(void *owner)
{
	struct run *run = owner;

	REQUIRE(!run->failed);
	return run;
}

static void on_listen(void *owner, const struct channel_listen *listen)
{
	struct run *run = in_event(owner);

	REQUIRE(strlen(listen->key) <= CHANNEL_KEY_MAX);
	REQUIRE(!listen->data || strlen(listen->data) <= CHANNEL_DATA_MAX);
	REQUIRE(listen->address.length > 0);
	run->request = listen->request;
}

static void on_key(void *owner, const char *key)
{
	in_event(owner);
	REQUIRE(strlen(key) <= CHANNEL_KEY_MAX);
}

static void on_plain(void *owner)
{
	in_event(owner);
}

static void on_answer(void *owner, uint32_t id)
{
	struct run *run = in_event(owner);

	REQUIRE(id >= 1 && id <= run->sent && !run->answered[id]);
	run->answered[id] = true;
}

static void on_closed(void *owner, unsigned count)
{
	in_event(owner);
	REQUIRE(count > 0);
}

static void on_failed(void *owner, int error, const char *reason)
{
	in_event(owner)->failed = true;
	REQUIRE(error <= 0 && reason);
}

static const struct channel_events events = {
    .listen = on_listen,
    .listening = on_key,
    .closed_server = on_key,
    .ready = on_plain,
    .acknowledged = on_answer,
    .refused = on_answer,
    .connections_closed = on_closed,
    .leaving = on_plain,
    .alive = on_plain,
    .failed = on_failed,
};

/* The worker reads, and remembers the last number of its length that a hand-off or probe has. */
static void hear(struct run *run)
{
	char bytes[65536];
	ssize_t length;

	while ((length = fd_receive(run->worker, bytes, sizeof(bytes) - 1, NULL, NULL)) > 0) {
		const char *at = bytes, *next;

		bytes[length] = '\0';
		while ((next = strstr(at, "\"seq\":")) || (next = strstr(at, "\"id\":"))) {
			at = strchr(next, ':') + 1;
			run->number = strtoull(at, NULL, 10);
		}
	}
}

static void say(struct run *run)
{
	const char *at = run->said;
	size_t length = run->said_length;

	run->said_length = 0;
	while (length && run->worker >= 0) {
		ssize_t sent = fd_send(run->worker, at, length, -1);

		if (sent <= 0)
			break;
		at += sent;
		length -= (size_t)sent;
	}
	channel_readable(run->channel);
	if (channel_wants_write(run->channel))
		channel_writable(run->channel);
}

static void send_connection(struct run *run)
{
	struct channel_connection connection = {
	    .id = run->sent + 1, .fd = 0, .server_key = "k", .listener = "web"};
	bool could = channel_can_send(run->channel);
	int result;

	if (run->sent + 1 >= sizeof(run->answered))
		return;
	result = channel_send_connection(run->channel, &connection);
	REQUIRE(could || result < 0);
	if (result == 0)
		run->sent++;
}

/* What was saved is what is restored. */
static void hand_over(struct run *run)
{
	struct channel_image image, again;
	int fd = dup(channel_fd(run->channel)), fds[CHANNEL_IMAGE_FDS_MAX], error;

	if (channel_save(run->channel, &image) < 0) {
		REQUIRE(run->failed);
		close(fd);
		return;
	}
	for (size_t i = 0; i < image.fds_count; i++) {
		fds[i] = dup(image.fds[i]);
		image.fds[i] = fds[i];
	}
	channel_free(run->channel);
	run->channel = channel_restore(run->protocol, run->flavour, fd, WINDOW, &events, run, &image, &error);
	REQUIRE(run->channel && !error);
	REQUIRE(channel_save(run->channel, &again) == 0);
	REQUIRE(again.length == image.length && memcmp(again.bytes, image.bytes, again.length) == 0);
	REQUIRE(again.fds_count == image.fds_count);
	channel_image_free(&again);
	channel_image_free(&image);
}

static void act(struct run *run, uint8_t what)
{
	struct address address;

	switch (what) {
	case 's':
		send_connection(run);
		break;
	case 'p':
		channel_probe(run->channel);
		break;
	case 'd':
		channel_drain(run->channel);
		break;
	case 'l':
	case 'L':
		address_parse(&address, "[::]:80", NULL);
		channel_answer_listen(run->channel, run->request, what == 'L' ? 13 : 0, &address, 0, NULL);
		break;
	case 'n':
		if (run->worker >= 0)
			hear(run);
		run->said_length += (size_t)snprintf(
		    run->said + run->said_length, 24, "%llu", (unsigned long long)run->number);
		break;
	case 'h':
		hand_over(run);
		break;
	case 'e':
		if (run->worker >= 0)
			close(run->worker);
		run->worker = -1;
		break;
	default:
		break;
	}
}

static void check_pending(const struct run *run)
{
	size_t cursor = 0, count = 0;
	uint32_t id, previous = 0;

	while (channel_next_unacknowledged(run->channel, &cursor, &id)) {
		REQUIRE(id > previous && id <= run->sent && !run->answered[id]);
		previous = id;
		count++;
	}
	REQUIRE(count == channel_unacknowledged(run->channel) && count <= WINDOW);
	for (id = 1; id <= run->sent; id++)
		count += run->answered[id];
	REQUIRE(count == run->sent);
}

void channel_fuzz(
    enum protocol protocol, enum flavour flavour, bool datagrams, const uint8_t *data, size_t size)
{
	static struct run run;
	int ends[2];

	memset(&run, 0, sizeof(run));
	REQUIRE(socketpair(AF_UNIX, (datagrams ? SOCK_SEQPACKET : SOCK_STREAM) | SOCK_CLOEXEC, 0, ends) == 0);
	run.worker = ends[1];
	run.datagrams = datagrams;
	run.protocol = protocol;
	run.flavour = flavour;
	run.channel = channel_new(protocol, flavour, ends[0], WINDOW, &events, &run);
	REQUIRE(run.channel);
	for (size_t i = 0; i < size; i++) {
		if (data[i] == 1 && i + 1 < size)
			act(&run, data[++i]);
		else if (!datagrams || data[i] != '\n')
			run.said[run.said_length++] = (char)data[i];
		if (data[i] == '\n' || run.said_length > sizeof(run.said) - 32)
			say(&run);
	}
	say(&run);
	check_pending(&run);
	if (run.worker >= 0)
		close(run.worker);
	for (int i = 0; i < 100 && !run.failed; i++)
		channel_readable(run.channel);
	REQUIRE(run.failed);
	check_pending(&run);
	channel_free(run.channel);
}
