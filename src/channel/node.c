#include "channel/node.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd_passing.h"
#include "channel/accept_message.h"

/* Handles that are no hand-offs and may be under way besides those of the window. */
#define HANDLES_EXTRA 16

/* Longest application message that is looked at. */
#define APPLICATION_MAX 1024

#define ACK "{\"cmd\":\"NODE_HANDLE_ACK\"}"
#define ACK_LINE ACK "\n"
#define NACK "{\"cmd\":\"NODE_HANDLE_NACK\"}"
#define HANDLE_HEAD "{\"cmd\":\"NODE_HANDLE\","
#define ANSWER_HEAD "{\"cmd\":\"NODE_CLUSTER\",\"ack\":"

static struct node *node_of(const struct channel *channel)
{
	return channel->state;
}

static uint64_t unread(const struct node *node)
{
	return node->written - node->read;
}

/* ---- what is sent ---- */

static void sent(struct channel *channel, size_t length, enum node_kind kind, uint64_t number)
{
	struct node *node = node_of(channel);

	node->written += length;
	if (kind == NODE_PLAIN)
		return;
	node->handles[(node->first + node->count++) & node->handles_mask] =
	    (struct node_handle){.end = node->written, .number = number, .kind = kind};
}

void node_written(struct channel *channel, const struct output_message *message)
{
	sent(channel, message->length, (enum node_kind)message->kind, message->number);
}

static void forget_probe_copy(struct node *node)
{
	if (node->probe_copy >= 0)
		close(node->probe_copy);
	node->probe_copy = -1;
}

/* Where this does not work, the library is not seen. */
static void mark_probe(struct node *node, int fd)
{
	int mark = ACCEPT_MARK_GIVEN;

	forget_probe_copy(node);
	if (setsockopt(fd, SOL_SOCKET, SO_PRIORITY, &mark, sizeof(mark)) == 0)
		node->probe_copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

static void look_at_probe_copy(struct node *node)
{
	int mark = 0;
	socklen_t length = sizeof(mark);

	node->library = node->probe_copy >= 0 &&
	                getsockopt(node->probe_copy, SOL_SOCKET, SO_PRIORITY, &mark, &length) == 0 &&
	                mark == ACCEPT_MARK_SEEN;
	forget_probe_copy(node);
}

/* Makes the next probe. It goes before what is queued: that may wait for its acknowledgement. */
static int queue_probe(struct channel *channel)
{
	struct node *node = node_of(channel);
	struct json_text text;
	char line[256];
	int fd, error;

	/* Any socket will do, as long as Node can make a handle of it. */
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (!node->in_step && node->dialect->looks_for_library)
		mark_probe(node, fd);
	node->probe = (node->probe + 1) | 0x80000000u;
	text = JSON_TEXT(line);
	json_text_add(&text,
	    node->dialect->asks_application ? "{\"cmd\":\"NODE_HANDLE\",\"type\":\"net.Native\",\"msg\":"
	                                      "{\"type\":\"limpet:ping\",\"id\":%u}}\n"
	                                    : "{\"cmd\":\"NODE_HANDLE\",\"type\":\"net.Native\",\"msg\":"
	                                      "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"newconn\",\"key\":\"\",\"seq\":%u}}\n",
	    node->probe);
	/* Half a message is before it only if the kernel took half a small one: the probe then waits behind.
	 */
	if (channel->output.first && channel->output.first->sent)
		error = output_append(&channel->output, line, text.length, fd, NODE_PROBE, node->probe);
	else
		error = output_prepend(&channel->output, line, text.length, fd, NODE_PROBE, node->probe);
	if (error)
		return error;
	node->probing = true;
	node->probe_lost = false;
	return 0;
}

bool node_may_write(struct channel *channel)
{
	struct node *node = node_of(channel);
	const struct output_message *message = channel->output.first;
	size_t limit = NODE_BYTES_MAX;

	if (message->kind == NODE_PLAIN && !node->count && !node->probing &&
	    unread(node) > NODE_BYTES_PROBE && queue_probe(channel) == 0)
		message = channel->output.first;
	if (message->kind == NODE_PROBE)
		limit += NODE_BYTES_RESERVE;
	if (unread(node) + message->length > limit)
		return false;
	if (message->fd < 0)
		return true;
	return node->count < node->handles_max && (node->in_step || message->kind == NODE_PROBE);
}

bool node_can_send(const struct channel *channel)
{
	const struct node *node = node_of(channel);

	return node->in_step && node->count + HANDLES_EXTRA < node->handles_max &&
	       unread(node) + NODE_HANDLE_MAX <= NODE_BYTES_MAX;
}

int node_send_handle(struct channel *channel, const struct json_text *line, uint32_t id, int fd)
{
	int error;

	if (line->full || line->length > NODE_HANDLE_MAX)
		return -EINVAL;
	error = channel_send_now(channel, line->bytes, line->length, fd);
	if (error)
		return error;
	sent(channel, line->length, NODE_CONNECTION, pending_add(&channel->pending, id));
	return 0;
}

int node_post(
    struct channel *channel, const struct json_text *line, int fd, enum node_kind kind, uint64_t number)
{
	if (line->full || line->length > NODE_MESSAGE_MAX) {
		if (fd >= 0)
			close(fd);
		return -EINVAL;
	}
	return channel_post(channel, line->bytes, line->length, fd, kind, number);
}

int node_post_ack(struct channel *channel, uint64_t seq)
{
	char line[128];
	struct json_text text = JSON_TEXT(line);

	json_text_add(&text, "{\"cmd\":\"NODE_CLUSTER\",\"ack\":%llu}\n", (unsigned long long)seq);
	return node_post(channel, &text, -1, NODE_PLAIN, 0);
}

int node_post_listen_error(struct channel *channel, uint64_t seq, int error)
{
	char line[160];
	struct json_text text = JSON_TEXT(line);

	/* libuv's error numbers are negative errnos. */
	json_text_add(&text,
	    "{\"cmd\":\"NODE_CLUSTER\",\"errno\":%d,\"key\":\"\",\"ack\":%llu,\"data\":null}\n", -error,
	    (unsigned long long)seq);
	return node_post(channel, &text, -1, NODE_PLAIN, 0);
}

int node_drain(struct channel *channel)
{
	static const char line[] = "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"disconnect\"}\n";

	return channel_post(channel, line, sizeof(line) - 1, -1, NODE_PLAIN, 0);
}

int node_probe(struct channel *channel)
{
	struct node *node = node_of(channel);
	int error = 0;

	node->alive_wanted = true;
	if (!node->probing || node->probe_lost)
		error = queue_probe(channel);
	channel_flush(channel);
	return error;
}

/* ---- what the worker answers ---- */

static void tell_alive(struct channel *channel)
{
	struct node *node = node_of(channel);

	if (!node->alive_wanted)
		return;
	node->alive_wanted = false;
	channel->events->alive(channel->owner);
}

/* The first probe was answered by its number: all that was sent before is read, and its acknowledgements have
 * come. */
static void come_in_step(struct channel *channel)
{
	struct node *node = node_of(channel);

	for (; node->count; node->count--) {
		node->read = node->handles[node->first].end;
		node->first = (node->first + 1) & node->handles_mask;
	}
	node->in_step = true;
	node->probing = false;
	look_at_probe_copy(node);
	if (node->dialect->in_step)
		node->dialect->in_step(channel);
	tell_alive(channel);
}

static void handle_acknowledged(struct channel *channel, bool arrived)
{
	struct node *node = node_of(channel);
	struct node_handle handle;

	if (!node->in_step) {
		node->probe_lost |= !arrived;
		if (!arrived && node->dialect->probe_lost)
			node->dialect->probe_lost(channel);
		return;
	}
	if (!node->count) {
		channel->skipped++;
		return;
	}
	handle = node->handles[node->first];
	node->first = (node->first + 1) & node->handles_mask;
	node->count--;
	node->read = handle.end;
	if (handle.kind == NODE_PROBE) {
		node->probing = false;
		tell_alive(channel);
	} else if (handle.kind == NODE_CONNECTION) {
		if (!arrived || node->dialect->ack_is_enough)
			channel_answered(channel, handle.number, arrived);
	} else if (!arrived && node->dialect->shared_lost) {
		node->dialect->shared_lost(channel, handle.number);
	} else if (!arrived) {
		node_post_listen_error(channel, handle.number, EMFILE);
	}
}

/* One of ours: the latest probe, or one shortly before it whose acknowledgement was enough. */
static bool is_probe(const struct node *node, uint64_t seq)
{
	return seq >= 0x80000000u && seq <= UINT32_MAX && ((node->probe - (uint32_t)seq) & 0x7fffffff) < 1000;
}

void node_numbered_answer(struct channel *channel, uint64_t seq, bool accepted)
{
	struct node *node = node_of(channel);

	if (is_probe(node, seq)) {
		if (seq == node->probe && !node->in_step && node->count)
			come_in_step(channel);
	} else if (node->dialect->ack_is_enough || !channel_answered(channel, seq, accepted)) {
		channel->skipped++;
	}
}

/* The answer as Node writes it, {"cmd":"NODE_CLUSTER","ack":7,"accepted":true,"seq":9}, without a JSON
 * parser: it comes for every connection. Anything else about it is left to the parser. */
static bool is_plain_answer(const char *line, size_t length, uint64_t *seq, bool *accepted)
{
	static const char yes[] = ",\"accepted\":true,\"seq\":", no[] = ",\"accepted\":false,\"seq\":";
	const char *end = line + length, *at = line + sizeof(ANSWER_HEAD) - 1, *digits = at;

	if (length < sizeof(ANSWER_HEAD) || memcmp(line, ANSWER_HEAD, sizeof(ANSWER_HEAD) - 1) != 0)
		return false;
	for (*seq = 0; at < end && at - digits < 15 && *at >= '0' && *at <= '9'; at++)
		*seq = *seq * 10 + (uint64_t)(*at - '0');
	if (at == digits || (*digits == '0' && at - digits > 1))
		return false;
	if ((size_t)(end - at) > sizeof(yes) - 1 && memcmp(at, yes, sizeof(yes) - 1) == 0) {
		*accepted = true;
		at += sizeof(yes) - 1;
	} else if ((size_t)(end - at) > sizeof(no) - 1 && memcmp(at, no, sizeof(no) - 1) == 0) {
		*accepted = false;
		at += sizeof(no) - 1;
	} else {
		return false;
	}
	for (digits = at; at < end && *at >= '0' && *at <= '9'; at++)
		;
	return at > digits && end - at == 1 && *at == '}';
}

static void cluster_message(struct channel *channel, const json_t *message)
{
	const json_t *accepted = json_object_get(message, "accepted");
	int64_t seq;

	if (!json_object_get(message, "ack")) {
		node_of(channel)->dialect->message(channel, message);
	} else if (node_integer(message, "ack", 0, NODE_INTEGER_MAX, &seq) && json_is_boolean(accepted)) {
		node_numbered_answer(channel, (uint64_t)seq, json_is_true(accepted));
	} else {
		channel->skipped++;
	}
}

static void parse_message(struct channel *channel, const char *line, size_t length)
{
	json_t *message = json_loadb(line, length, JSON_ALLOW_NUL, NULL);
	const char *command = json_string_value(json_object_get(message, "cmd"));

	if (!command || strncmp(command, "NODE_", 5) != 0)
		channel->skipped++;
	else if (strcmp(command, "NODE_CLUSTER") == 0)
		cluster_message(channel, message);
	else if (strcmp(command, "NODE_HANDLE_ACK") == 0)
		handle_acknowledged(channel, true);
	else if (strcmp(command, "NODE_HANDLE_NACK") == 0)
		handle_acknowledged(channel, false);
	else if (strcmp(command, "NODE_HANDLE") == 0)
		channel_post(channel, ACK_LINE, sizeof(ACK_LINE) - 1, -1, NODE_PLAIN, 0);
	else
		channel->skipped++;
	json_decref(message);
}

static bool equals(const char *line, size_t length, const char *text)
{
	return length == strlen(text) && memcmp(line, text, length) == 0;
}

static bool starts_with(const char *line, size_t length, const char *text)
{
	return length >= strlen(text) && memcmp(line, text, strlen(text)) == 0;
}

static bool take_line(void *context, const char *line, size_t length, bool whole)
{
	struct channel *channel = context;
	struct node *node = node_of(channel);
	uint64_t seq;
	bool accepted;

	if (starts_with(line, length, HANDLE_HEAD))
		channel_post(channel, ACK_LINE, sizeof(ACK_LINE) - 1, -1, NODE_PLAIN, 0);
	else if (!whole)
		channel->skipped++;
	else if (equals(line, length, ACK))
		handle_acknowledged(channel, true);
	else if (equals(line, length, NACK))
		handle_acknowledged(channel, false);
	else if (is_plain_answer(line, length, &seq, &accepted))
		node_numbered_answer(channel, seq, accepted);
	else if (memmem(line, length, "\"NODE_", 6))
		parse_message(channel, line, length);
	else if (node->dialect->application && length <= APPLICATION_MAX)
		node->dialect->application(channel, line, length);
	else
		channel->skipped++;
	return !channel->over;
}

void node_readable(struct channel *channel)
{
	struct node *node = node_of(channel);
	size_t budget = READ_BUDGET;
	char bytes[16384];

	while (budget && !channel->over) {
		/* fds that a worker sends are dropped. */
		ssize_t length = fd_receive(
		    channel->fd, bytes, budget < sizeof(bytes) ? budget : sizeof(bytes), NULL, NULL);

		if (length == -EAGAIN)
			return;
		if (length <= 0) {
			/* The worker ended without reading all that was sent to it: its end, all the same. */
			int error = length == -ECONNRESET ? 0 : (int)length;

			if (node->dialect->ended)
				node->dialect->ended(channel, error);
			else
				channel_read_ended(channel, error);
			return;
		}
		budget -= (size_t)length;
		if (line_stream_feed(&node->lines, bytes, (size_t)length, take_line, channel) < 0)
			channel_fail(channel, -ENOMEM, "out of memory");
		if ((size_t)length < sizeof(bytes))
			return;
	}
}

bool node_integer(const json_t *message, const char *name, int64_t minimum, int64_t maximum, int64_t *value)
{
	const json_t *member = json_object_get(message, name);

	if (!json_is_integer(member))
		return false;
	*value = json_integer_value(member);
	return *value >= minimum && *value <= maximum;
}

bool node_seq(const json_t *message, uint64_t *seq)
{
	int64_t value;

	if (!node_integer(message, "seq", 0, NODE_INTEGER_MAX, &value))
		return false;
	*seq = (uint64_t)value;
	return true;
}

/* ---- life ---- */

/* handles: that many may be under way already. */
static int make(struct channel *channel, unsigned window, const struct node_dialect *dialect, size_t size,
    uint32_t handles)
{
	struct node *node = calloc(1, size);
	uint32_t places = 1;

	if (!node)
		return -ENOMEM;
	node->handles_max = window + 2 * HANDLES_EXTRA;
	while (places < node->handles_max || places < handles)
		places *= 2;
	node->handles = calloc(places, sizeof(*node->handles));
	if (!node->handles) {
		free(node);
		return -ENOMEM;
	}
	node->dialect = dialect;
	node->probe_copy = -1;
	node->handles_mask = places - 1;
	line_stream_init(&node->lines);
	channel->state = node;
	return 0;
}

int node_start(struct channel *channel, unsigned window, const struct node_dialect *dialect, size_t size)
{
	int error = make(channel, window, dialect, size, 0);
	struct node *node = node_of(channel);

	if (error)
		return error;
	node->probe = channel_random();
	if (queue_probe(channel) < 0)
		node->probe_lost = node->probing = true;
	channel_flush(channel);
	return 0;
}

void node_stop(struct channel *channel)
{
	struct node *node = node_of(channel);

	line_stream_deinit(&node->lines);
	forget_probe_copy(node);
	free(node->handles);
	free(node);
}

/* ---- handing over ---- */

enum {
	IMAGE_IN_STEP = 1,
	IMAGE_PROBING = 2,
	IMAGE_PROBE_LOST = 4,
	IMAGE_ALIVE_WANTED = 8,
	IMAGE_LIBRARY = 16,
	IMAGE_PROBE_COPY = 32,
	IMAGE_FLAGS = 63,
};

/* Bytes of a handle in an image. */
#define IMAGE_HANDLE 13

void node_save(const struct channel *channel, struct image_writer *image)
{
	const struct node *node = node_of(channel);

	image_put(image, 1,
	    (node->in_step ? IMAGE_IN_STEP : 0) | (node->probing ? IMAGE_PROBING : 0) |
	        (node->probe_lost ? IMAGE_PROBE_LOST : 0) | (node->alive_wanted ? IMAGE_ALIVE_WANTED : 0) |
	        (node->library ? IMAGE_LIBRARY : 0) | (node->probe_copy >= 0 ? IMAGE_PROBE_COPY : 0));
	if (node->probe_copy >= 0)
		image_put_fd(image, node->probe_copy);
	image_put(image, 4, node->probe);
	image_put(image, 4, unread(node));
	image_put(image, 4, node->count);
	for (uint32_t i = 0; i < node->count; i++) {
		const struct node_handle *handle = &node->handles[(node->first + i) & node->handles_mask];

		image_put(image, 4, handle->end - node->read);
		image_put(image, 1, handle->kind);
		image_put(image, 8, handle->number);
	}
	line_stream_save(&node->lines, image);
}

static void restore_handles(struct node *node, struct image_reader *image, uint32_t count)
{
	uint64_t end = node->read;

	for (; node->count < count && !image->error; node->count++) {
		struct node_handle *handle = &node->handles[node->count];

		handle->end = image_get(image, 4, node->written);
		handle->kind = (enum node_kind)image_get(image, 1, NODE_PROBE);
		handle->number = image_get(image, 8, NODE_INTEGER_MAX);
		/* Before the channel is in step, nothing else than probes is sent with an fd. */
		if (handle->end <= end || handle->kind == NODE_PLAIN ||
		    (!node->in_step && handle->kind != NODE_PROBE))
			image_reject(image);
		end = handle->end;
	}
}

/* What is queued goes out as it is: each handle with its fd, and nothing else with one. */
static void check_queue(const struct channel *channel, struct image_reader *image)
{
	for (const struct output_message *queued = channel->output.first; queued; queued = queued->next) {
		bool with_fd = queued->kind == NODE_SHARED || queued->kind == NODE_PROBE;

		if ((queued->kind != NODE_PLAIN && !with_fd) ||
		    (queued->fd >= 0) != (with_fd && !queued->sent) || queued->length > NODE_MESSAGE_MAX ||
		    queued->number > NODE_INTEGER_MAX || queued->bytes[queued->length - 1] != '\n')
			image_reject(image);
	}
}

int node_restore(struct channel *channel, unsigned window, const struct node_dialect *dialect, size_t size,
    struct image_reader *image)
{
	unsigned flags = (unsigned)image_get(image, 1, IMAGE_FLAGS);
	uint32_t probe = (uint32_t)image_get(image, 4, UINT32_MAX);
	uint32_t written = (uint32_t)image_get(image, 4, NODE_BYTES_MAX + NODE_BYTES_RESERVE);
	uint32_t count = image_get_count(image, IMAGE_HANDLE);
	struct node *node;

	check_queue(channel, image);
	/* Each has bytes of its own. Out of step, there is always a probe to wait for, and no hand-off. */
	if (count > written ||
	    (!(flags & IMAGE_IN_STEP) && (!(flags & IMAGE_PROBING) || channel->pending.count)))
		image_reject(image);
	if (image->error)
		return image->error;
	if (make(channel, window, dialect, size, count) < 0) {
		image->error = -ENOMEM;
		return image->error;
	}
	node = node_of(channel);
	node->in_step = flags & IMAGE_IN_STEP;
	node->probing = flags & IMAGE_PROBING;
	node->probe_lost = flags & IMAGE_PROBE_LOST;
	node->alive_wanted = flags & IMAGE_ALIVE_WANTED;
	node->library = flags & IMAGE_LIBRARY;
	if (flags & IMAGE_PROBE_COPY)
		node->probe_copy = image_get_fd(image);
	node->probe = probe;
	node->written = written;
	restore_handles(node, image, count);
	return line_stream_restore(&node->lines, image);
}
