/* Images of channels, and what a worker says to a channel that was restored from one.
 *
 * The input: a byte that chooses protocol and flavour as for the other targets ('0' node-cluster, '1' to '5'
 * the flavours of node-ipc, '6' limpet), a byte for the window, a byte for the number of fds, two for the
 * length of the image (little-endian), the image, and what the worker says. */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd_passing.h"
#include "channel/channel.h"
#include "fuzz.h"

#define HEAD 5
#define FDS_MAX 8
#define LIMPET (FLAVOUR_STICKY_LISTEN + 1)

struct run {
	bool working; /* callbacks may come */
	bool failed;
};

static void called(void *owner)
{
	struct run *run = owner;

	REQUIRE(run->working && !run->failed);
}

static void on_listen(void *owner, const struct channel_listen *listen)
{
	called(owner);
	REQUIRE(strlen(listen->key) <= CHANNEL_KEY_MAX);
}

static void on_key(void *owner, const char *key)
{
	called(owner);
	REQUIRE(strlen(key) <= CHANNEL_KEY_MAX);
}

static void on_answer(void *owner, uint32_t id)
{
	called(owner);
}

static void on_count(void *owner, unsigned count)
{
	called(owner);
}

static void on_failed(void *owner, int error, const char *reason)
{
	called(owner);
	REQUIRE(error <= 0 && reason);
	((struct run *)owner)->failed = true;
}

static const struct channel_events events = {
    .listen = on_listen,
    .listening = on_key,
    .closed_server = on_key,
    .ready = called,
    .acknowledged = on_answer,
    .refused = on_answer,
    .connections_closed = on_count,
    .leaving = called,
    .alive = called,
    .failed = on_failed,
};

static void check_pending(const struct channel *channel)
{
	size_t cursor = 0, count = 0;
	uint32_t id;

	while (channel_next_unacknowledged(channel, &cursor, &id))
		count++;
	REQUIRE(count == channel_unacknowledged(channel));
}

/* What was read from an image can be written to one, and is the same. */
static void check_image(struct channel *channel, const struct channel_image *image)
{
	struct channel_image again;

	REQUIRE(channel_save(channel, &again) == 0);
	REQUIRE(again.length == image->length && memcmp(again.bytes, image->bytes, again.length) == 0);
	REQUIRE(again.fds_count == image->fds_count);
	channel_image_free(&again);
}

static void work(struct channel *channel, int worker, const uint8_t *said, size_t size)
{
	struct channel_connection connection = {.id = 1, .fd = 0, .server_key = "k", .listener = "web"};
	char heard[65536];

	channel_readable(channel);
	for (int i = 0; i < 4; i++) {
		channel_send_connection(channel, &connection);
		connection.id++;
		channel_probe(channel);
		channel_answer_listen(channel, (uint64_t)i + 1, i == 3 ? 13 : 0, NULL, i % 2 - 1, NULL);
		if (size && fd_send(worker, said, size, -1) > 0)
			channel_readable(channel);
		if (channel_wants_write(channel))
			channel_writable(channel);
		while (fd_receive(worker, heard, sizeof(heard), NULL, NULL) > 0)
			;
		check_pending(channel);
	}
	channel_drain(channel);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct run run = {0};
	struct channel_image image = {0};
	struct channel *channel;
	unsigned kind;
	int ends[2], fds[FDS_MAX], error = 1;

	if (size < HEAD)
		return 0;
	kind = data[0] % (LIMPET + 1);
	image.fds = fds;
	image.fds_count = data[2] % (FDS_MAX + 1);
	for (size_t i = 0; i < image.fds_count; i++)
		fds[i] = dup(0);
	image.length = (size_t)data[3] | (size_t)data[4] << 8;
	if (image.length > size - HEAD)
		image.length = size - HEAD;
	/* Only borrowed, and not written to. */
	image.bytes = (unsigned char *)(uintptr_t)data + HEAD;
	REQUIRE(socketpair(
	            AF_UNIX, (kind == LIMPET ? SOCK_SEQPACKET : SOCK_STREAM) | SOCK_CLOEXEC, 0, ends) == 0);
	channel = channel_restore(kind == LIMPET ? PROTOCOL_LIMPET
	                          : kind         ? PROTOCOL_NODE_IPC
	                                         : PROTOCOL_NODE_CLUSTER,
	    kind == LIMPET ? FLAVOUR_NONE : (enum flavour)kind, ends[0], data[1] + 1u, &events, &run, &image,
	    &error);
	REQUIRE(channel ? error == 0 : error < 0);
	if (channel) {
		check_pending(channel);
		check_image(channel, &image);
		run.working = true;
		work(channel, ends[1], data + HEAD + image.length, size - HEAD - image.length);
		check_pending(channel);
	}
	channel_free(channel);
	close(ends[1]);
	return 0;
}
