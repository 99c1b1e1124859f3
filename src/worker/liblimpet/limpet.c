/* Opening and closing, and what limpet is told. */
#include "limpet.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "handle.h"

#define EXPORT __attribute__((visibility("default")))

int64_t limpet_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void limpet_lock(struct limpet *limpet)
{
	pthread_mutex_lock(&limpet->lock);
}

void limpet_unlock(struct limpet *limpet)
{
	/* Whoever polls has to see an end that another thread has read. */
	if (limpet->session.state >= LIMPET_SESSION_DRAINING) {
		limpet->session.urgent = limpet->polled;
		pthread_cond_broadcast(&limpet->turn);
	}
	limpet_session_arm(&limpet->session, limpet_now());
	pthread_mutex_unlock(&limpet->lock);
}

static const char *environment(const char *name)
{
	const char *value = getenv(name);

	return value ? value : "";
}

/* Empty if it cannot be one: it is only told for logs. */
static const char *environment_name(const char *name)
{
	const char *value = environment(name);

	return limpet_name_is_valid(value) ? value : "";
}

static int handle_new(struct limpet **result)
{
	struct limpet *limpet = calloc(1, sizeof(*limpet));
	int error;

	*result = NULL;
	if (!limpet)
		return -ENOMEM;
	error = limpet_session_init(&limpet->session);
	if (error) {
		limpet_session_close(&limpet->session, true);
		free(limpet);
		return error;
	}
	pthread_mutex_init(&limpet->lock, NULL);
	pthread_cond_init(&limpet->turn, NULL);
	limpet->process = getpid();
	*result = limpet;
	return 0;
}

static void handle_free(struct limpet *limpet)
{
	limpet_session_close(&limpet->session, limpet->process == getpid());
	pthread_cond_destroy(&limpet->turn);
	pthread_mutex_destroy(&limpet->lock);
	free(limpet);
}

/* error: of what was to give the handle a channel. */
static int finish_opening(struct limpet **limpet, int error)
{
	if (error) {
		handle_free(*limpet);
		*limpet = NULL;
		return error;
	}
	limpet_session_arm(&(*limpet)->session, limpet_now());
	return 0;
}

EXPORT int limpet_open_fd(struct limpet **limpet, int fd)
{
	int error = handle_new(limpet);

	if (error)
		return error;
	return finish_opening(limpet, limpet_session_inherit(&(*limpet)->session, fd,
	                                  environment_name("LIMPET_POOL"), environment_name("LIMPET_SLOT")));
}

EXPORT int limpet_join(struct limpet **limpet, const char *socket, const char *pool, const char *slot)
{
	int error;

	*limpet = NULL;
	if (!limpet_name_is_valid(pool) || (slot && !limpet_name_is_valid(slot)))
		return -EINVAL;
	error = handle_new(limpet);
	if (error)
		return error;
	return finish_opening(
	    limpet, limpet_session_join(&(*limpet)->session, socket, pool, slot ? slot : ""));
}

EXPORT int limpet_open(struct limpet **limpet)
{
	const char *text = environment("LIMPET_FD"), *socket = environment("LIMPET_SOCKET"),
	           *slot = environment("LIMPET_SLOT");
	char *end;
	long fd;

	*limpet = NULL;
	if (*text) {
		errno = 0;
		fd = strtol(text, &end, 10);
		if (errno || *end || fd < 0 || fd > INT_MAX)
			return -EBADF;
		return limpet_open_fd(limpet, (int)fd);
	}
	if (!*socket)
		return -ENOENT;
	return limpet_join(limpet, socket, environment("LIMPET_POOL"), *slot ? slot : NULL);
}

EXPORT void limpet_close(struct limpet *limpet)
{
	if (limpet)
		handle_free(limpet);
}

EXPORT int limpet_fd(const struct limpet *limpet)
{
	return limpet->session.epoll;
}

EXPORT int limpet_timeout(struct limpet *limpet)
{
	int64_t now = limpet_now(), deadline;

	limpet_lock(limpet);
	deadline = limpet_session_deadline(&limpet->session, now);
	limpet_unlock(limpet);
	if (deadline < 0)
		return -1;
	return deadline > now ? (int)(deadline - now) : 0;
}

EXPORT void limpet_closed(struct limpet *limpet, unsigned count)
{
	limpet_lock(limpet);
	limpet_session_closed(&limpet->session, count);
	limpet_session_flush(&limpet->session, limpet_now());
	limpet_unlock(limpet);
}

EXPORT void limpet_limit(struct limpet *limpet, unsigned connections)
{
	limpet_lock(limpet);
	limpet->session.limit = connections;
	limpet_unlock(limpet);
}

EXPORT int limpet_stats(struct limpet *limpet, const struct limpet_stat *stats, size_t count)
{
	char bytes[LIMPET_STATS_BYTES];
	size_t length = limpet_message_stats(bytes, sizeof(bytes), stats, count);

	if (!length)
		return -EINVAL;
	limpet_lock(limpet);
	memcpy(limpet->session.stats, bytes, length);
	limpet->session.stats_length = length;
	limpet->session.stats_due = limpet->session.fd >= 0 && !limpet->session.broken;
	limpet_session_flush(&limpet->session, limpet_now());
	limpet_unlock(limpet);
	return 0;
}

EXPORT void limpet_leave(struct limpet *limpet)
{
	limpet_lock(limpet);
	limpet_session_leave(&limpet->session, limpet_now());
	limpet_session_flush(&limpet->session, limpet_now());
	limpet_unlock(limpet);
}

static size_t copy_text(struct limpet *limpet, const char *text, char *buffer, size_t size)
{
	size_t length, copied;

	limpet_lock(limpet);
	length = strlen(text);
	copied = length < size ? length : size - 1;
	if (size) {
		memcpy(buffer, text, copied);
		buffer[copied] = '\0';
	}
	limpet_unlock(limpet);
	return length;
}

EXPORT size_t limpet_pool(struct limpet *limpet, char *buffer, size_t size)
{
	return copy_text(limpet, limpet->session.pool, buffer, size);
}

EXPORT size_t limpet_slot(struct limpet *limpet, char *buffer, size_t size)
{
	return copy_text(limpet, limpet->session.slot, buffer, size);
}

EXPORT size_t limpet_reason(struct limpet *limpet, char *buffer, size_t size)
{
	return copy_text(limpet, limpet->session.reason, buffer, size);
}
