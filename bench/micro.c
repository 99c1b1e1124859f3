/* What the pieces of a connection's path cost, one by one.
 *
 *   micro            prints nanoseconds, as JSON
 *   micro COUNT      does each so often, and tells callgrind, if that runs it, when one begins and ends
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifdef HAVE_CALLGRIND
#include <valgrind/callgrind.h>
#else
#define CALLGRIND_ZERO_STATS
#define CALLGRIND_DUMP_STATS_AT(name)
#endif

#include "base/fd_passing.h"
#include "channel/channel.h"
#include "heads.h"
#include "route/pick.h"
#include "route/request_head.h"
#include "route/sticky_key.h"

#define SLOTS_MAX 1024
#define SAMPLE_NS 20000000ull

static volatile uint64_t sink;

struct piece {
	const char *name;
	void (*run)(const struct piece *piece, uint64_t count);
	const char *head; /* of those that have one */
	size_t number;    /* slots, or a sticky type */
};

static void must(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "micro: %s failed\n", what);
	exit(1);
}

static void run_head(const struct piece *piece, uint64_t count)
{
	static struct request_head head;
	size_t length = strlen(piece->head);

	while (count--)
		must(request_head_parse(&head, piece->head, length) == HEAD_DONE, piece->name);
	sink = head.fields_count;
}

static void run_key(const struct piece *piece, uint64_t count)
{
	static struct request_head head;
	static struct sticky_scratch scratch;
	struct sticky_source source = {.type = (enum sticky_type)piece->number,
	    .name = (char *)"sid",
	    .segment = 2,
	    .v4_prefix = 32,
	    .v6_prefix = 64};
	struct address client;
	struct sticky_key key;

	must(address_parse(&client, "203.0.113.9:51123", NULL) == 0, "address");
	must(request_head_parse(&head, piece->head, strlen(piece->head)) == HEAD_DONE, piece->name);
	while (count--)
		sticky_key_find(&key, &source, 1, &head, &client, &scratch);
	must(key.type == source.type, piece->name);
	sink = key.length;
}

static void run_pick(const struct piece *piece, uint64_t count)
{
	static const unsigned char seed[PICK_SEED_SIZE] = {1, 2, 3};
	static const char session[] = "s%3AqJ3vK9xLr0b2ZtPq8yWn5cE7dF1gH4iM";
	static struct pick_secret secret;
	static struct pick_slot slots[SLOTS_MAX];
	struct pick_table table;

	pick_secret_init(&secret, seed);
	for (size_t i = 0; i < piece->number; i++) {
		char name[24];

		snprintf(name, sizeof(name), "%zu", i);
		pick_slot_init(&slots[i], &secret, name, 1);
	}
	pick_table_init(&table, slots, piece->number);
	CALLGRIND_ZERO_STATS;
	if (!piece->number) {
		while (count--)
			sink = pick_hash(&secret, session, sizeof(session) - 1);
		return;
	}
	while (count--)
		sink = pick(&table, sink * 0x9e3779b97f4a7c15ull + count, NULL);
}

static unsigned acknowledged;

static void on_acknowledged(void *owner, uint32_t id)
{
	acknowledged++;
}

static void on_ready(void *owner)
{
}

static void on_failed(void *owner, int error, const char *reason)
{
	fprintf(stderr, "micro: the channel failed: %s\n", reason);
	exit(1);
}

static struct channel *open_channel(int *worker)
{
	static const struct channel_events events = {.acknowledged = on_acknowledged,
	    .refused = on_acknowledged,
	    .ready = on_ready,
	    .failed = on_failed};
	struct channel *channel;
	int pair[2];

	must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0, "socketpair");
	channel = channel_new(PROTOCOL_LIMPET, FLAVOUR_NONE, pair[0], 64, &events, NULL);
	must(channel != NULL, "channel_new");
	*worker = pair[1];
	fd_send(*worker, "{\"type\":\"ready\"}", 16, -1);
	channel_readable(channel);
	return channel;
}

/* One hand-off whole: front's message with an fd, the worker's end without any parsing of it, the
 * acknowledgement. */
static void run_channel(const struct piece *piece, uint64_t count)
{
	struct channel_connection connection = {.listener = "web", .key_source = "cookie"};
	struct address client;
	int worker, fd, passed = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct channel *channel = open_channel(&worker);

	must(address_parse(&client, "203.0.113.9:51123", NULL) == 0, "address");
	connection.fd = passed;
	connection.client = &client;
	acknowledged = 0;
	CALLGRIND_ZERO_STATS;
	for (uint64_t i = 0; i < count; i++) {
		char text[1024] = "", reply[64];
		const char *id;
		ssize_t got;

		connection.id = (uint32_t)i;
		must(channel_send_connection(channel, &connection) == 0, "channel_send_connection");
		got = fd_receive(worker, text, sizeof(text) - 1, &fd, NULL);
		id = strstr(text, "\"id\":");
		must(got > 0 && fd >= 0 && id, "fd_receive");
		close(fd);
		snprintf(reply, sizeof(reply), "{\"type\":\"ack\",\"id\":%lu}", strtoul(id + 5, NULL, 10));
		fd_send(worker, reply, strlen(reply), -1);
		channel_readable(channel);
	}
	must(acknowledged == count, "acknowledgement");
	close(worker);
	close(passed);
	channel_free(channel);
}

static const struct piece pieces[] = {
    {"head, Chrome", run_head, head_chrome, 0},
    {"head, Firefox", run_head, head_firefox, 0},
    {"head, Safari", run_head, head_safari, 0},
    {"head, Edge polling", run_head, head_edge, 0},
    {"head, WebSocket", run_head, head_websocket, 0},
    {"key, cookie", run_key, head_chrome, STICKY_COOKIE},
    {"key, path", run_key, head_chrome, STICKY_PATH},
    {"key, query", run_key, head_edge, STICKY_QUERY},
    {"key, address", run_key, head_chrome, STICKY_IP},
    {"hash", run_pick, NULL, 0},
    {"pick of 1", run_pick, NULL, 1},
    {"pick of 4", run_pick, NULL, 4},
    {"pick of 16", run_pick, NULL, 16},
    {"pick of 64", run_pick, NULL, 64},
    {"pick of 256", run_pick, NULL, 256},
    {"pick of 1024", run_pick, NULL, 1024},
    {"hand-off over a channel", run_channel, NULL, 0},
};

static uint64_t now_ns(void)
{
	struct timespec now;

	/* Of CPU time: other processes do not count. */
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Doubles the count until it takes long enough. */
static double nanoseconds(const struct piece *piece)
{
	for (uint64_t count = 64;; count *= 2) {
		uint64_t begun = now_ns(), took;

		piece->run(piece, count);
		took = now_ns() - begun;
		if (took >= SAMPLE_NS)
			return (double)took / (double)count;
	}
}

int main(int argc, char **argv)
{
	uint64_t count = argc > 1 ? strtoull(argv[1], NULL, 10) : 0;

	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		if (!count) {
			printf("%s\"%s\": %.2f", i ? ", " : "{", pieces[i].name, nanoseconds(&pieces[i]));
			continue;
		}
		pieces[i].run(&pieces[i], 1);
		CALLGRIND_ZERO_STATS;
		pieces[i].run(&pieces[i], count);
		CALLGRIND_DUMP_STATS_AT(pieces[i].name);
	}
	if (!count)
		printf("}\n");
	return 0;
}
