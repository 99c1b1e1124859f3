/* What a former router says to its successor, and what the supervisor had told that one before: a whole router imports it, takes
 * up the channels and connections, and ends. Nothing may crash, hang, leak or stay open.
 *
 * An input is a row of messages: type, flags (bit 0 ready, 1 drained, 2 lost, 3 routed, 4 with an fd, 5 a worker that is known, 6 a
 * listener that is known, 7 of another version), id, length in two bytes, then so many bytes. */
#include "../../../src/router/succession.c" /* the layout of its messages is its own */

#include <fcntl.h>
#include <sys/socket.h>

#include "fuzz.h"

#define SLOTS 2
#define WORKERS 3
#define FDS_MAX 256

static char slot_names[SLOTS][2] = {"0", "1"};
static char pool_name[] = "app", listener_name[] = "web", cookie_name[] = "sid";
static struct slot_config slots[SLOTS] = {{.name = slot_names[0], .weight = 1}, {.name = slot_names[1], .weight = 2}};
static struct listener_config listener_config;
static struct pool_config pool_config = {.name = pool_name,
    .slots = slots,
    .slots_count = SLOTS,
    .start_timeout = 30000,
    .stuck_timeout = 5000,
    .hold = 0,
    .window = 4,
    .queue = 8,
    .worker_listener = &listener_config,
    .has_listeners = true};
static struct listener_config listener_config = {.name = listener_name,
    .has_address = true,
    .pool = &pool_config,
    .sticky = {{.type = STICKY_COOKIE, .name = cookie_name}, {.type = STICKY_IP}},
    .sticky_count = 2,
    .head_timeout = 10000,
    .head_size = 16384,
    .max_waiting = 100,
    .max_waiting_per_client = 100};
static struct config config = {.pools = &pool_config, .pools_count = 1, .listeners = &listener_config, .listeners_count = 1};

static struct stats *stats;
static struct slot_stats *slot_stats[SLOTS];
static struct slot_stats *const *all_slot_stats[] = {slot_stats};

static const enum protocol protocols[WORKERS] = {PROTOCOL_LIMPET, PROTOCOL_NODE_CLUSTER, PROTOCOL_NODE_IPC};

static void start_up(void)
{
	static struct slot_stats own[SLOTS];

	if (stats)
		return;
	stats = calloc(1, sizeof(*stats));
	REQUIRE(stats);
	for (int i = 0; i < SLOTS; i++)
		slot_stats[i] = &own[i];
	/* Not what a bad message makes it say. */
	log_configure("fuzz", LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
	log_adopt(open("/dev/null", O_WRONLY | O_CLOEXEC));
}

static void socket_pair(int type, int ends[2])
{
	REQUIRE(socketpair(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
}

static void tell(int link, const struct link_message *message, int fd)
{
	size_t length = offsetof(struct link_message, key) + strlen(message->key) + 1;

	REQUIRE(fd_send(link, message, length, fd) > 0);
}

/* A router begins: a listener, three workers, then the import. Its link ends behind that, and so does it. workers: their ends. */
static void tell_all(int link, int workers[WORKERS])
{
	struct link_message message;
	int ends[2];

	link_message_init(&message, LINK_LISTENER_UP);
	message.listener = 1;
	address_parse_ip(&message.address, "127.0.0.1", 9);
	socket_pair(SOCK_STREAM, ends);
	tell(link, &message, ends[0]);
	close(ends[0]);
	close(ends[1]);
	for (uint32_t i = 0; i < WORKERS; i++) {
		link_message_init(&message, LINK_WORKER_UP);
		message.worker = i + 1;
		message.slot = i % SLOTS;
		message.protocol = protocols[i];
		message.flavour = FLAVOUR_STICKY_SESSION;
		memcpy(message.key, "worker", 7);
		socket_pair(protocols[i] == PROTOCOL_LIMPET ? SOCK_SEQPACKET : SOCK_STREAM, ends);
		tell(link, &message, ends[0]);
		close(ends[0]);
		workers[i] = ends[1];
	}
	link_message_init(&message, LINK_REPLAYED);
	tell(link, &message, -1);
	/* What the supervisor tells next, of workers that the messages spoke of. */
	link_message_init(&message, LINK_WORKER_DRAIN);
	message.worker = 2;
	tell(link, &message, -1);
	link_message_init(&message, LINK_WORKER_GONE);
	message.worker = 1;
	tell(link, &message, -1);
}

/* Sends what the former router is to have said. Returns how many bytes of the input that took, 0 at its end. */
static size_t say(int succession, const uint8_t *data, size_t size, int client)
{
	static struct message message;
	size_t length, whole;
	uint8_t flags;

	if (size < 5)
		return 0;
	flags = data[1];
	length = (size_t)data[3] << 8 | data[4];
	if (length > size - 5)
		length = size - 5;
	if (length > BYTES_MAX)
		length = BYTES_MAX;
	memset(&message, 0, offsetof(struct message, bytes));
	/* All fields are the input's own, as far as it reaches, then come those that must be right for it to go on. */
	if (flags & 0x80)
		memcpy(&message, data + 5, length < offsetof(struct message, bytes) ? length : offsetof(struct message, bytes));
	message.version = (flags & 0x80) && (data[2] & 0x80) ? data[2] : SUCCESSION_VERSION;
	message.type = data[0] % 9;
	message.worker = flags & 0x20 ? data[2] % (WORKERS + 1) : message.worker;
	message.listener = flags & 0x40 ? 1 : message.listener;
	message.id = data[2];
	message.ready |= flags & 1;
	message.drained |= (flags & 2) >> 1;
	message.lost |= (flags & 4) >> 2;
	message.routed |= (flags & 8) >> 3;
	if (message.type == TYPE_IMAGE && !(flags & 0x80)) {
		message.image_length = (uint32_t)length;
		message.image_fds = data[2] >> 6;
	}
	if (!(flags & 0x80))
		memcpy(message.pool, pool_name, sizeof(pool_name));
	message.length = (uint32_t)length;
	memcpy(message.bytes, data + 5, length);
	whole = offsetof(struct message, bytes) + length;
	return fd_send(succession, &message, whole, flags & 0x10 ? client : -1) < 0 ? 0 : 5 + length;
}

static int count_fds(void)
{
	int count = 0;

	for (int fd = 0; fd < FDS_MAX; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const unsigned char seed[32];
	int link[2], succession[2], client[2], workers[WORKERS], before;
	size_t taken;

	start_up();
	before = count_fds();
	socket_pair(SOCK_SEQPACKET, link);
	socket_pair(SOCK_SEQPACKET, succession);
	socket_pair(SOCK_STREAM, client);
	REQUIRE(write(client[1], "GET / HTTP/1.1\r\nCookie: sid=1\r\n\r\n", 33) == 33);
	tell_all(link[0], workers);
	while ((taken = say(succession[0], data, size, client[0])) > 0) {
		data += taken;
		size -= taken;
	}
	close(succession[0]);
	shutdown(link[0], SHUT_WR);
	router_run(&(struct router_start){.config = &config,
	    .stats = stats,
	    .slot_stats = all_slot_stats,
	    .seed = seed,
	    .files = 1024,
	    .link = link[1],
	    .succession = succession[1]});
	close(link[0]);
	close(client[0]);
	close(client[1]);
	for (int i = 0; i < WORKERS; i++)
		close(workers[i]);
	REQUIRE(count_fds() == before);
	return 0;
}
