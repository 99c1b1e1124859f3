/* Images that are not what they should be: refused, or of no harm. Good ones are in test_handover.c. */
#include "dialogue.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "channel/image.h"

#define CLUSTER "{\"cmd\":\"NODE_CLUSTER\","

static struct dialogue d;

static struct channel_image save(void)
{
	struct channel_image image;

	assert_int_equal(channel_save(d.channel, &image), 0);
	return image;
}

static void open_cluster_with_much(void)
{
	struct address address;

	address_parse(&address, "[::]:8080", NULL);
	dialogue_open_in_step(&d, PROTOCOL_NODE_CLUSTER, FLAVOUR_NONE, 4);
	for (int i = 0; i < 3; i++) {
		worker_says(&d,
		    CLUSTER "\"act\":\"queryServer\",\"index\":%d,\"data\":{\"x\":1},"
		            "\"address\":null,\"port\":0,\"addressType\":\"udp4\",\"seq\":2}",
		    i);
		if (i < 2) {
			assert_int_equal(owner_sends(&d, 7 + (uint32_t)i, "k"), 0);
			channel_answer_listen(d.channel, d.request, 0, &address, 0, NULL);
		}
	}
	channel_probe(d.channel);
	worker_sends(&d, "{\"half\":", 8, -1);
}

/* Not in step: the answer with its fd waits. */
static void open_cluster_with_an_fd(void)
{
	struct address address;

	address_parse(&address, "[::]:8080", NULL);
	dialogue_open(&d, PROTOCOL_NODE_CLUSTER, FLAVOUR_NONE, 4);
	worker_says(&d, CLUSTER "\"act\":\"queryServer\",\"index\":0,\"address\":null,\"port\":0,"
	                        "\"addressType\":\"udp4\",\"seq\":2}");
	assert_int_equal(channel_answer_listen(d.channel, d.request, 0, &address, 0, NULL), 0);
	channel_drain(d.channel);
}

static void open_ipc(void)
{
	dialogue_open_in_step(&d, PROTOCOL_NODE_IPC, FLAVOUR_SOCKET_IO, 4);
	for (uint32_t i = 0; i < 4; i++)
		assert_int_equal(owner_sends(&d, i, NULL), 0);
}

static void open_limpet(void)
{
	dialogue_open(&d, PROTOCOL_LIMPET, FLAVOUR_NONE, 8);
	for (uint32_t i = 0; i < 8; i++)
		assert_int_equal(owner_sends(&d, i, NULL), 0);
	channel_probe(d.channel);
}

static void (*const openers[])(void) = {
    open_cluster_with_much, open_cluster_with_an_fd, open_ipc, open_limpet};
#define OPENERS (sizeof(openers) / sizeof(openers[0]))

/* Whatever was restored works on without harm. */
static void use(struct channel *channel, int worker)
{
	static const char *const lines[] = {ACK "\n", NACK "\n", "{\"type\":\"ack\",\"through\":7}",
	    CLUSTER
	    "\"act\":\"queryServer\",\"index\":9,\"address\":null,\"port\":1,\"addressType\":4,\"seq\":1}\n",
	    CLUSTER "\"act\":\"close\",\"key\":\"k\"}\n", ACK "\n" ACK "\n"};
	struct channel_connection connection = {.id = 4711, .fd = 0, .server_key = "k", .listener = "web"};
	uint32_t id;
	size_t count = 0;

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		channel_send_connection(channel, &connection);
		connection.id++;
		channel_probe(channel);
		if (send(worker, lines[i], strlen(lines[i]), MSG_NOSIGNAL | MSG_DONTWAIT) > 0)
			channel_readable(channel);
		if (channel_wants_write(channel))
			channel_writable(channel);
		channel_answer_listen(channel, i, 0, NULL, 0, NULL);
	}
	for (size_t cursor = 0; channel_next_unacknowledged(channel, &cursor, &id);)
		count++;
	assert_int_equal(count, channel_unacknowledged(channel));
}

/* Restores it with copies of the fds of `image`; true if it was taken. */
static bool try_image(const struct channel_image *image)
{
	int type = d.protocol == PROTOCOL_LIMPET ? SOCK_SEQPACKET : SOCK_STREAM;
	int ends[2], fds[16], error = 1;
	struct channel_image copy = image_with_fds(image, fds);
	struct channel *channel;
	unsigned char *exact = malloc(image->length ? image->length : 1);

	/* Memory of just that size, so that a byte too much shows. */
	assert_non_null(exact);
	if (image->length)
		memcpy(exact, image->bytes, image->length);
	copy.bytes = exact;
	assert_int_equal(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends), 0);
	channel = dialogue_restore(&d, ends[0], 4, &copy, &error);
	free(exact);
	if (channel) {
		assert_int_equal(error, 0);
		use(channel, ends[1]);
		channel_free(channel);
	} else {
		assert_int_equal(error, -EPROTO);
	}
	close(ends[1]);
	d.events[0] = '\0';
	return channel != NULL;
}

static void cut_images_are_refused(void **state)
{
	for (size_t i = 0; i < OPENERS; i++) {
		struct channel_image image, longer;
		int before = open_fds();

		openers[i]();
		image = longer = save();
		assert_true(try_image(&image));
		for (size_t length = 0; length < image.length; length++)
			assert_false(try_image(&(struct channel_image){.bytes = image.bytes,
			    .length = length,
			    .fds = image.fds,
			    .fds_count = image.fds_count}));
		longer.bytes = calloc(1, image.length + 1);
		assert_non_null(longer.bytes);
		memcpy(longer.bytes, image.bytes, image.length);
		longer.length++;
		assert_false(try_image(&longer));
		free(longer.bytes);
		dialogue_close(&d);
		channel_image_free(&image);
		assert_int_equal(open_fds(), before);
	}
}

static void changed_images_do_no_harm(void **state)
{
	uint64_t random = 20240521;

	for (size_t i = 0; i < OPENERS; i++) {
		struct channel_image image, changed;
		int before = open_fds();
		unsigned refused = 0, tries = 3000;

		openers[i]();
		image = changed = save();
		changed.bytes = malloc(image.length);
		assert_non_null(changed.bytes);
		for (unsigned try = 0; try < tries; try++) {
			memcpy(changed.bytes, image.bytes, image.length);
			for (unsigned flips = try % 3 + 1; flips; flips--) {
				random = random * 6364136223846793005u + 1442695040888963407u;
				changed.bytes[(random >> 33) % image.length] ^=
				    (unsigned char)(1 << (random >> 60));
			}
			refused += !try_image(&changed);
		}
		assert_in_range(refused, tries / 10, tries - 1);
		free(changed.bytes);
		dialogue_close(&d);
		channel_image_free(&image);
		assert_int_equal(open_fds(), before);
	}
}

/* Each place in turn says that there are very many, or the most. */
static void huge_counts_are_refused(void **state)
{
	static const uint32_t counts[] = {UINT32_MAX, INT32_MAX, 0x80000000u, 65536, 1000000, 257};

	for (size_t i = 0; i < OPENERS; i++) {
		struct channel_image image;

		openers[i]();
		image = save();
		for (size_t at = 0; at + 4 <= image.length; at++) {
			unsigned char kept[4];

			memcpy(kept, image.bytes + at, 4);
			for (size_t c = 0; c < sizeof(counts) / sizeof(counts[0]); c++) {
				memcpy(image.bytes + at, &counts[c], 4);
				try_image(&image);
			}
			memcpy(image.bytes + at, kept, 4);
		}
		image.length = CHANNEL_IMAGE_BYTES_MAX + 1;
		image.bytes = realloc(image.bytes, image.length);
		assert_non_null(image.bytes);
		assert_false(try_image(&image));
		dialogue_close(&d);
		channel_image_free(&image);
	}
}

/* Images in words: WIDTH=NUMBER, or 'TEXT' with its length before it in four bytes, or "TEXT" without. */
#define START(code, flags) "4=0x43504d4c 2=2 1=" code " 1=" flags " 2=0 8=0 "
#define NONE_PENDING "4=5 4=0 "
#define EMPTY "4=0 "
#define IN_STEP "1=1 4=0x80000001 4=0 4=0 1=0 '' "
#define CLUSTER_UP_TO_NODE START("1", "0") NONE_PENDING EMPTY
#define CLUSTER_UP_TO_SERVERS CLUSTER_UP_TO_NODE IN_STEP
#define LIMPET_UP_TO_PENDING START("3", "0")
#define LIMPET_END EMPTY "4=7 1=0"
#define SERVER(request, key, data) "8=" request " 8=1 1=0 2=80 '" key "' '" data "' '' "
#define MESSAGE(kind, with_fd, sent) "1=" kind " 1=" with_fd " 8=0 4=5 4=" sent " \"line\n\" "

static const struct {
	enum protocol protocol;
	size_t fds;
	const char *text;
} good[] =
    {
        {PROTOCOL_LIMPET, 0, LIMPET_UP_TO_PENDING NONE_PENDING LIMPET_END},
        {PROTOCOL_LIMPET, 0, LIMPET_UP_TO_PENDING "4=5 4=2 4=3 4=1 4=4 4=0 " LIMPET_END},
        {PROTOCOL_LIMPET, 0, START("3", "12") NONE_PENDING LIMPET_END},
        {PROTOCOL_LIMPET, 0, "4=0x43504d4c 2=2 1=3 1=1 2=32 8=0 " NONE_PENDING LIMPET_END},
        {PROTOCOL_LIMPET, 0, LIMPET_UP_TO_PENDING NONE_PENDING "4=1 " MESSAGE("0", "0", "0") "4=7 1=1"},
        {PROTOCOL_NODE_CLUSTER, 0, CLUSTER_UP_TO_SERVERS "8=0 4=0 1=0"},
        {PROTOCOL_NODE_CLUSTER, 0,
            CLUSTER_UP_TO_SERVERS "8=2 4=3 " SERVER("2", "a", "1") SERVER("0", "b", "") SERVER("1", "c", "") "1=0"},
        {PROTOCOL_NODE_CLUSTER, 0,
            CLUSTER_UP_TO_NODE "1=1 4=0 4=9 4=2 4=1 1=1 8=0 4=9 1=3 8=0 1=0 'x' 8=0 4=0 1=0"},
        {PROTOCOL_NODE_CLUSTER, 0, CLUSTER_UP_TO_NODE "1=2 4=0 4=9 4=1 4=9 1=3 8=0 1=0 'x' 8=0 4=0 1=0"},
        {PROTOCOL_NODE_CLUSTER, 1,
            START("1", "0") NONE_PENDING "4=2 " MESSAGE("0", "0", "2") MESSAGE("3", "1", "0") IN_STEP
            "8=0 4=0 1=0"},
        {PROTOCOL_NODE_CLUSTER, 0,
            START("1", "0") NONE_PENDING "4=1 " MESSAGE("3", "0", "4") IN_STEP "8=0 4=0 1=0"},
        {PROTOCOL_NODE_CLUSTER, 1, CLUSTER_UP_TO_NODE "1=34 4=0 4=9 4=1 4=9 1=3 8=0 1=0 'x' 8=0 4=0 1=0"},
        {PROTOCOL_NODE_CLUSTER, 0, CLUSTER_UP_TO_SERVERS "8=2 4=1 8=0 8=1 1=2 2=80 'a' '1' 4=2 2=2 1=0"},
        {PROTOCOL_NODE_CLUSTER, 0, CLUSTER_UP_TO_SERVERS "8=0 4=0 1=1 8=3 4=0 4=0"},
},
  bad[] = {
      /* More than is there. */
      {PROTOCOL_LIMPET, 0, LIMPET_UP_TO_PENDING NONE_PENDING LIMPET_END " 1=0"},
      {PROTOCOL_LIMPET, 1, LIMPET_UP_TO_PENDING NONE_PENDING LIMPET_END},
      /* Flags. */
      {PROTOCOL_LIMPET, 0, START("3", "32") NONE_PENDING LIMPET_END},
      {PROTOCOL_LIMPET, 0, START("3", "8") NONE_PENDING LIMPET_END},
      {PROTOCOL_LIMPET, 0, "4=0x43504d4c 2=2 1=3 1=0 2=32 8=0 " NONE_PENDING LIMPET_END},
      {PROTOCOL_LIMPET, 0, "4=0x43504d4c 2=2 1=3 1=1 2=4096 8=0 " NONE_PENDING LIMPET_END},
      {PROTOCOL_LIMPET, 0, LIMPET_UP_TO_PENDING NONE_PENDING EMPTY "4=7 1=2"},
      /* Hand-offs: one id or one seq twice, seqs of more than 31 bits, or 65536 apart. */
      {PROTOCOL_LIMPET, 0, LIMPET_UP_TO_PENDING "4=5 4=2 4=3 4=1 4=4 4=1 " LIMPET_END},
      {PROTOCOL_LIMPET, 0, LIMPET_UP_TO_PENDING "4=5 4=2 4=3 4=1 4=3 4=0 " LIMPET_END},
      {PROTOCOL_LIMPET, 0, LIMPET_UP_TO_PENDING "4=5 4=2 4=3 4=1 4=65539 4=0 " LIMPET_END},
      {PROTOCOL_LIMPET, 0, LIMPET_UP_TO_PENDING "4=5 4=1 4=0x80000000 4=1 " LIMPET_END},
      {PROTOCOL_LIMPET, 0, LIMPET_UP_TO_PENDING "4=0x80000000 4=0 " LIMPET_END},
      {PROTOCOL_LIMPET, 0, LIMPET_UP_TO_PENDING NONE_PENDING EMPTY "4=0x80000000 1=0"},
      /* Datagrams go whole and without a socket. */
      {PROTOCOL_LIMPET, 0, LIMPET_UP_TO_PENDING NONE_PENDING "4=1 " MESSAGE("0", "0", "1") "4=7 1=1"},
      {PROTOCOL_LIMPET, 1, LIMPET_UP_TO_PENDING NONE_PENDING "4=1 " MESSAGE("0", "1", "0") "4=7 1=1"},
      {PROTOCOL_LIMPET, 0, LIMPET_UP_TO_PENDING NONE_PENDING "4=1 " MESSAGE("1", "0", "0") "4=7 1=1"},
      /* Lines: all of it sent, the second one half sent, a socket too much or missing, of no kind, without an
         end. */
      {PROTOCOL_NODE_CLUSTER, 0,
          START("1", "0") NONE_PENDING "4=1 " MESSAGE("0", "0", "5") IN_STEP "8=0 4=0 1=0"},
      {PROTOCOL_NODE_CLUSTER, 0,
          START("1", "0") NONE_PENDING "4=2 " MESSAGE("0", "0", "0") MESSAGE("0", "0", "2") IN_STEP
          "8=0 4=0 1=0"},
      {PROTOCOL_NODE_CLUSTER, 1,
          START("1", "0") NONE_PENDING "4=1 " MESSAGE("0", "1", "0") IN_STEP "8=0 4=0 1=0"},
      {PROTOCOL_NODE_CLUSTER, 0,
          START("1", "0") NONE_PENDING "4=1 " MESSAGE("3", "0", "0") IN_STEP "8=0 4=0 1=0"},
      {PROTOCOL_NODE_CLUSTER, 1,
          START("1", "0") NONE_PENDING "4=1 " MESSAGE("3", "1", "4") IN_STEP "8=0 4=0 1=0"},
      {PROTOCOL_NODE_CLUSTER, 1,
          START("1", "0") NONE_PENDING "4=1 " MESSAGE("1", "1", "0") IN_STEP "8=0 4=0 1=0"},
    {PROTOCOL_NODE_CLUSTER, 0,
          START("1", "0") NONE_PENDING "4=1 " MESSAGE("1", "0", "0") IN_STEP "8=0 4=0 1=0"},
      {PROTOCOL_NODE_CLUSTER, 1,
          START("1", "0") NONE_PENDING "4=1 " MESSAGE("4", "1", "0") IN_STEP "8=0 4=0 1=0"},
      {PROTOCOL_NODE_CLUSTER, 0,
          START("1", "0") NONE_PENDING "4=1 1=0 1=0 8=0 4=4 4=0 \"line\" " IN_STEP "8=0 4=0 1=0"},
      {PROTOCOL_NODE_CLUSTER, 0, START("1", "0") NONE_PENDING "4=1 1=0 1=0 8=0 4=0 4=0 " IN_STEP "8=0 4=0 1=0"},
      /* Handles: ends that do not rise or are not there, of no kind; too much unread. */
      {PROTOCOL_NODE_CLUSTER, 0,
          CLUSTER_UP_TO_NODE "1=1 4=0 4=9 4=2 4=1 1=1 8=0 4=1 1=3 8=0 1=0 'x' 8=0 4=0 1=0"},
      {PROTOCOL_NODE_CLUSTER, 0, CLUSTER_UP_TO_NODE "1=1 4=0 4=9 4=1 4=0 1=1 8=0 1=0 'x' 8=0 4=0 1=0"},
      {PROTOCOL_NODE_CLUSTER, 0, CLUSTER_UP_TO_NODE "1=1 4=0 4=9 4=1 4=10 1=1 8=0 1=0 'x' 8=0 4=0 1=0"},
      {PROTOCOL_NODE_CLUSTER, 0, CLUSTER_UP_TO_NODE "1=1 4=0 4=9 4=1 4=1 1=0 8=0 1=0 'x' 8=0 4=0 1=0"},
      {PROTOCOL_NODE_CLUSTER, 0, CLUSTER_UP_TO_NODE "1=1 4=0 4=9 4=1 4=1 1=4 8=0 1=0 'x' 8=0 4=0 1=0"},
      {PROTOCOL_NODE_CLUSTER, 0, CLUSTER_UP_TO_NODE "1=1 4=0 4=53249 4=0 1=0 '' 8=0 4=0 1=0"},
      /* Out of step: nothing to wait for, or a hand-off. */
      {PROTOCOL_NODE_CLUSTER, 0, CLUSTER_UP_TO_NODE "1=0 4=0 4=0 4=0 1=0 '' 8=0 4=0 1=0"},
      {PROTOCOL_NODE_CLUSTER, 0, CLUSTER_UP_TO_NODE "1=2 4=0 4=9 4=1 4=9 1=1 8=0 1=0 'x' 8=0 4=0 1=0"},
      {PROTOCOL_NODE_CLUSTER, 0, START("1", "0") "4=5 4=1 4=3 4=1 " EMPTY "1=2 4=0 4=0 4=0 1=0 '' 8=0 4=0 1=0"},
      {PROTOCOL_NODE_CLUSTER, 0, CLUSTER_UP_TO_NODE "1=64 4=0 4=0 4=0 1=0 '' 8=0 4=0 1=0"},
      /* Half a line: with an end, or cut and short. */
      {PROTOCOL_NODE_CLUSTER, 0, CLUSTER_UP_TO_NODE "1=1 4=0 4=0 4=0 1=0 '\n' 8=0 4=0 1=0"},
      {PROTOCOL_NODE_CLUSTER, 0, CLUSTER_UP_TO_NODE "1=1 4=0 4=0 4=0 1=1 'x' 8=0 4=0 1=0"},
      /* Servers: one request or key twice, a request not made, data of an answered one, data of two lines, a
         NUL. */
      {PROTOCOL_NODE_CLUSTER, 0, CLUSTER_UP_TO_SERVERS "8=2 4=2 " SERVER("1", "a", "") SERVER("1", "b", "") "1=0"},
      {PROTOCOL_NODE_CLUSTER, 0, CLUSTER_UP_TO_SERVERS "8=2 4=2 " SERVER("0", "a", "") SERVER("1", "a", "") "1=0"},
      {PROTOCOL_NODE_CLUSTER, 0, CLUSTER_UP_TO_SERVERS "8=2 4=1 " SERVER("3", "a", "") "1=0"},
      {PROTOCOL_NODE_CLUSTER, 0, CLUSTER_UP_TO_SERVERS "8=2 4=1 " SERVER("0", "a", "1") "1=0"},
      {PROTOCOL_NODE_CLUSTER, 0, CLUSTER_UP_TO_SERVERS "8=2 4=1 " SERVER("1", "a", "1\n") "1=0"},
      {PROTOCOL_NODE_CLUSTER, 0, CLUSTER_UP_TO_SERVERS "8=2 4=1 8=1 8=1 1=0 2=80 4=2 1=0x61 1=0 '' '' 1=0"},
      {PROTOCOL_NODE_CLUSTER, 0, CLUSTER_UP_TO_SERVERS "8=2 4=1 8=1 8=1 1=4 2=80 'a' '' '' 1=0"},
      /* Answers that wait: to a request that was not answered, for UDP, without an address; an address without. */
      {PROTOCOL_NODE_CLUSTER, 0, CLUSTER_UP_TO_SERVERS "8=2 4=1 8=1 8=1 1=2 2=80 'a' '' 4=2 2=2 1=0"},
      {PROTOCOL_NODE_CLUSTER, 0, CLUSTER_UP_TO_SERVERS "8=2 4=1 8=0 8=1 1=3 2=80 'a' '' 4=2 2=2 1=0"},
      {PROTOCOL_NODE_CLUSTER, 0, CLUSTER_UP_TO_SERVERS "8=2 4=1 8=0 8=1 1=2 2=80 'a' '' '' 1=0"},
      {PROTOCOL_NODE_CLUSTER, 0, CLUSTER_UP_TO_SERVERS "8=2 4=1 8=0 8=1 1=0 2=80 'a' '' 4=2 2=2 1=0"},
      /* Data sockets that are not there, a copy of the probe's that is not. */
      {PROTOCOL_NODE_CLUSTER, 0, CLUSTER_UP_TO_SERVERS "8=0 4=0 1=2"},
      {PROTOCOL_NODE_CLUSTER, 0, CLUSTER_UP_TO_SERVERS "8=0 4=0 1=1 8=3 4=0"},
      {PROTOCOL_NODE_CLUSTER, 0,
          CLUSTER_UP_TO_SERVERS "8=0 4=0 1=1 8=3 4=0 4=1 8=1 1=5 1=0 4=0 'a' '' 4=0"},
      {PROTOCOL_NODE_CLUSTER, 0, CLUSTER_UP_TO_NODE "1=34 4=0 4=9 4=1 4=9 1=3 8=0 1=0 'x' 8=0 4=0 1=0"},
      {PROTOCOL_NODE_CLUSTER, 0, CLUSTER_UP_TO_SERVERS "8=9007199254740992 4=0 1=0"},
};

static void write_image(struct image_writer *writer, const char *text)
{
	while (*text) {
		char *end = NULL;

		if (*text == ' ') {
			text++;
		} else if (*text == '\'' || *text == '"') {
			end = strchr(text + 1, *text);
			assert_non_null(end);
			if (*text == '\'')
				image_put_block(writer, text + 1, (size_t)(end - text - 1));
			else
				image_put_bytes(writer, text + 1, (size_t)(end - text - 1));
			text = end + 1;
		} else {
			image_put(writer, (unsigned)(*text - '0'), strtoull(text + 2, &end, 0));
			text = end;
		}
	}
	assert_int_equal(writer->error, 0);
}

static bool is_taken(enum protocol protocol, size_t fds, const char *text)
{
	struct channel_image image;
	struct image_writer writer;
	bool taken;

	image_writer_init(&writer, &image);
	write_image(&writer, text);
	while (image.fds_count < fds)
		image_put_fd(&writer, 0);
	d.protocol = protocol;
	taken = try_image(&image);
	channel_image_free(&image);
	return taken;
}

static void every_part_is_checked(void **state)
{
	int before = open_fds();

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		if (!is_taken(good[i].protocol, good[i].fds, good[i].text))
			fail_msg("refused: %s", good[i].text);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (is_taken(bad[i].protocol, bad[i].fds, bad[i].text))
			fail_msg("taken: %s", bad[i].text);
	assert_int_equal(open_fds(), before);
}

static void servers_are_bounded(void **state)
{
	for (unsigned count = 256; count <= 257; count++) {
		static char text[65536] = CLUSTER_UP_TO_SERVERS;
		size_t length = strlen(CLUSTER_UP_TO_SERVERS);

		length += (size_t)sprintf(text + length, "8=0 4=%u ", count);
		for (unsigned i = 0; i < count; i++)
			length += (size_t)sprintf(text + length, "8=0 8=1 1=0 2=80 '%u' '' '' ", i);
		sprintf(text + length, "1=0");
		assert_int_equal(is_taken(PROTOCOL_NODE_CLUSTER, 0, text), count == 256);
	}
}

static void versions_and_protocols_are_told_apart(void **state)
{
	/* The magic, the version, the protocol. */
	for (size_t at = 0; at < 7; at++) {
		struct channel_image image;

		open_limpet();
		image = save();
		assert_true(try_image(&image));
		image.bytes[at]++;
		assert_false(try_image(&image));
		image.bytes[at]--;
		d.protocol = PROTOCOL_NODE_IPC;
		assert_false(try_image(&image));
		dialogue_close(&d);
		channel_image_free(&image);
	}
}

static void the_fds_have_to_be_there(void **state)
{
	static const int fds[] = {0, 0, 0};
	struct channel_image image, other;
	int before = open_fds(), error = 0, end = dup(0);

	open_cluster_with_an_fd();
	image = other = save();
	assert_int_equal(image.fds_count, 2); /* and that of the probe's copy */
	other.fds = (int *)fds;
	for (other.fds_count = 0; other.fds_count <= 3; other.fds_count++)
		assert_int_equal(try_image(&other), other.fds_count == 2);
	other.fds_count = 2;
	other.fds = (int[]){-1, -1};
	assert_null(dialogue_restore(&d, end, 4, &other, &error));
	assert_int_equal(error, -EPROTO);
	dialogue_close(&d);
	channel_image_free(&image);
	assert_int_equal(open_fds(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(cut_images_are_refused),
	    cmocka_unit_test(changed_images_do_no_harm),
	    cmocka_unit_test(huge_counts_are_refused),
	    cmocka_unit_test(every_part_is_checked),
	    cmocka_unit_test(servers_are_bounded),
	    cmocka_unit_test(versions_and_protocols_are_told_apart),
	    cmocka_unit_test(the_fds_have_to_be_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
