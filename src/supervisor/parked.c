#include "supervisor/parked.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Out of memory: the element is not added, and that is found by its mark. */
#define HASH_NONFATAL_OOM 1
#define uthash_nonfatal_oom(item) ((item)->fd = -1)
#include <uthash.h>

/* A router parks fewer; but it is not trusted. */
#define PARKED_MAX 32768

struct parked {
	UT_hash_handle hh;
	uint64_t number;
	int fd;
	size_t length;
	char message[]; /* the first bytes of a struct link_message; the rest is zero */
};

static void drop(struct parked **set, struct parked *one)
{
	HASH_DEL(*set, one);
	close(one->fd);
	free(one);
}

static struct parked *find(struct parked *set, uint64_t number)
{
	struct parked *one;

	HASH_FIND(hh, set, &number, sizeof(number), one);
	return one;
}

static int insert(struct parked **set, struct parked *one)
{
	struct parked *former = find(*set, one->number);
	int fd = one->fd;

	if (former)
		drop(set, former);
	HASH_ADD(hh, *set, number, sizeof(one->number), one);
	if (one->fd >= 0)
		return 0;
	close(fd);
	free(one);
	return -ENOMEM;
}

int parked_add(struct parked **set, const struct link_message *message, int fd)
{
	size_t length = offsetof(struct link_message, key) + strlen(message->key) + 1;
	struct parked *one;

	if (fd < 0)
		return -EINVAL;
	if (HASH_COUNT(*set) >= PARKED_MAX)
		return -ENOBUFS;
	one = malloc(sizeof(*one) + length);
	if (!one)
		return -ENOMEM;
	memset(one, 0, sizeof(*one));
	one->number = message->request;
	one->length = length;
	memcpy(one->message, message, length);
	one->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (one->fd < 0) {
		free(one);
		return -errno;
	}
	return insert(set, one);
}

void parked_remove(struct parked **set, uint64_t number)
{
	struct parked *one = find(*set, number);

	if (one)
		drop(set, one);
}

void parked_move(struct parked **from, struct parked **to)
{
	struct parked *one, *next;

	if (!*to) {
		*to = *from;
		*from = NULL;
		return;
	}
	HASH_ITER (hh, *from, one, next) {
		HASH_DEL(*from, one);
		insert(to, one);
	}
}

void parked_free(struct parked **set)
{
	struct parked *one, *next;

	HASH_ITER (hh, *set, one, next)
		drop(set, one);
}

void parked_each(const struct parked *set, void (*tell)(void *owner, const struct link_message *message, int fd), void *owner)
{
	const struct parked *one;

	for (one = set; one; one = one->hh.next) {
		struct link_message message;

		link_message_init(&message, LINK_PARKED);
		memcpy(&message, one->message, one->length);
		message.type = LINK_PARKED;
		tell(owner, &message, one->fd);
	}
}
