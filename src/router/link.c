#include "router/link.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "base/fd_passing.h"

/* Enough for the replay of 1,024 workers with several servers each. */
#define QUEUE_MAX 16384
#define QUEUE_CONGESTED 2048

struct queued {
	TAILQ_ENTRY(queued) entry;
	int fd;
	size_t length;
	char bytes[];
};

struct link {
	int fd;
	size_t count;
	TAILQ_HEAD(, queued) queue;
};

struct link *link_new(int fd)
{
	struct link *link = calloc(1, sizeof(*link));

	if (!link) {
		close(fd);
		return NULL;
	}
	link->fd = fd;
	TAILQ_INIT(&link->queue);
	return link;
}

static void queued_free(struct link *link, struct queued *queued)
{
	TAILQ_REMOVE(&link->queue, queued, entry);
	link->count--;
	if (queued->fd >= 0)
		close(queued->fd);
	free(queued);
}

void link_free(struct link *link)
{
	if (!link)
		return;
	while (!TAILQ_EMPTY(&link->queue))
		queued_free(link, TAILQ_FIRST(&link->queue));
	close(link->fd);
	free(link);
}

int link_fd(const struct link *link)
{
	return link->fd;
}

bool link_wants_write(const struct link *link)
{
	return !TAILQ_EMPTY(&link->queue);
}

bool link_is_congested(const struct link *link)
{
	return link->count > QUEUE_CONGESTED;
}

void link_message_init(struct link_message *message, enum link_type type)
{
	memset(message, 0, sizeof(*message));
	message->type = type;
}

static int enqueue(struct link *link, const struct link_message *message, size_t length, int fd)
{
	struct queued *queued;

	if (link->count >= QUEUE_MAX)
		return -ENOBUFS;
	queued = malloc(sizeof(*queued) + length);
	if (!queued)
		return -ENOMEM;
	queued->fd = -1;
	if (fd >= 0) {
		queued->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		if (queued->fd < 0) {
			free(queued);
			return -errno;
		}
	}
	queued->length = length;
	memcpy(queued->bytes, message, length);
	TAILQ_INSERT_TAIL(&link->queue, queued, entry);
	link->count++;
	return 0;
}

/* The strings stand last, and data behind key: what is empty is not sent. */
static size_t message_length(const struct link_message *message)
{
	if (message->has_data)
		return offsetof(struct link_message, data) + strlen(message->data) + 1;
	return offsetof(struct link_message, key) + strlen(message->key) + 1;
}

int link_send_now(struct link *link, const struct link_message *message, int fd)
{
	ssize_t sent;

	if (!TAILQ_EMPTY(&link->queue))
		return -EAGAIN;
	sent = fd_send(link->fd, message, message_length(message), fd);
	if (sent == -ENOBUFS || sent == -ETOOMANYREFS)
		return -EAGAIN;
	return sent < 0 ? (int)sent : 0;
}

int link_send(struct link *link, const struct link_message *message, int fd)
{
	int result = link_send_now(link, message, fd);

	return result == -EAGAIN ? enqueue(link, message, message_length(message), fd) : result;
}

int link_flush(struct link *link)
{
	while (!TAILQ_EMPTY(&link->queue)) {
		struct queued *first = TAILQ_FIRST(&link->queue);
		ssize_t sent = fd_send(link->fd, first->bytes, first->length, first->fd);

		if (sent == -EAGAIN || sent == -ENOBUFS || sent == -ETOOMANYREFS)
			return 0;
		if (sent < 0)
			return (int)sent;
		queued_free(link, first);
	}
	return 0;
}

int link_receive(struct link *link, struct link_message *message, int *fd)
{
	size_t head = offsetof(struct link_message, key);
	int truncated;
	ssize_t received;

	memset(message, 0, sizeof(*message));
	received = fd_receive(link->fd, message, sizeof(*message), fd, &truncated);
	if (received == -EAGAIN)
		return 0;
	if (received <= 0)
		return -ECONNRESET;
	/* Without its fd a parked connection is one that is not parked. */
	if ((truncated && message->type != LINK_PARK) || (size_t)received < head || message->key[CHANNEL_KEY_MAX] || message->data[CHANNEL_DATA_MAX] ||
	    message->address.length > sizeof(struct sockaddr_un) || message->client.length > sizeof(struct sockaddr_un)) {
		if (*fd >= 0)
			close(*fd);
		*fd = -1;
		return -EPROTO;
	}
	return 1;
}
