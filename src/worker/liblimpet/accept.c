/* Connections: one after the other for threads, and as events for a loop. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "handle.h"
#include "limpet.h"

#define EXPORT __attribute__((visibility("default")))

#define FLAGS (SOCK_NONBLOCK | SOCK_CLOEXEC | LIMPET_DONTWAIT)

/* limpet has the acknowledgement: from here on the socket is changed by nobody else. */
static int take_socket(struct limpet_session *session, int flags)
{
	int fd = session->passed, status;

	session->passed = -1;
	/* O_NONBLOCK is the open socket's, and so what another process had set. */
	status = fcntl(fd, F_GETFL);
	if (status >= 0 && !(status & O_NONBLOCK) != !(flags & SOCK_NONBLOCK))
		fcntl(fd, F_SETFL, status ^ O_NONBLOCK);
	if (!(flags & SOCK_CLOEXEC))
		fcntl(fd, F_SETFD, 0);
	return fd;
}

/* As accept(2) does: cut to what there is room for, with the length that it has. */
static void give_address(const struct limpet_session *session, struct sockaddr *address, socklen_t *length)
{
	socklen_t whole = session->address_length ? session->address_length : sizeof(sa_family_t);

	if (!address)
		return;
	memcpy(address, &session->address, whole < *length ? whole : *length);
	*length = whole;
}

static int one_step(struct limpet *limpet, struct sockaddr *address, socklen_t *length, int flags)
{
	struct limpet_session *session = &limpet->session;

	for (;;) {
		switch (limpet_session_step(session, limpet_now())) {
		case LIMPET_CONNECTION:
			give_address(session, address, length);
			return take_socket(session, flags);
		case LIMPET_NO_ROOM:
			return -EMFILE;
		case LIMPET_REJECTED:
			return -ECONNREFUSED;
		case LIMPET_JOINED:
		case LIMPET_LOST:
		case LIMPET_DRAIN:
		case LIMPET_OVER:
			continue;
		}
		return session->state >= LIMPET_SESSION_DRAINING ? -ESHUTDOWN : -EAGAIN;
	}
}

/* Waits until there may be something to do, or it is this thread's turn to look. */
static int wait_for_more(struct limpet *limpet)
{
	struct pollfd polled = {.fd = limpet->session.epoll, .events = POLLIN};
	int error = 0;

	if (limpet->polled) {
		pthread_cond_wait(&limpet->turn, &limpet->lock);
		return 0;
	}
	limpet->polled = true;
	pthread_mutex_unlock(&limpet->lock);
	if (poll(&polled, 1, -1) < 0)
		error = -errno;
	pthread_mutex_lock(&limpet->lock);
	limpet->polled = false;
	limpet->session.urgent = false;
	return error;
}

EXPORT int limpet_accept(struct limpet *limpet, struct sockaddr *address, socklen_t *length, int flags)
{
	int result;

	if ((flags & ~FLAGS) || (address && !length))
		return -EINVAL;
	limpet_lock(limpet);
	do
		result = one_step(limpet, address, length, flags);
	while (result == -EAGAIN && !(flags & LIMPET_DONTWAIT) && !(result = wait_for_more(limpet)));
	/* If this was the thread that polls, the next one has to. */
	if (!limpet->polled)
		pthread_cond_signal(&limpet->turn);
	limpet_unlock(limpet);
	return result;
}

static const struct limpet_event *event_of(struct limpet *limpet, enum limpet_event_type type)
{
	struct limpet_session *session = &limpet->session;
	const struct limpet_message *message = &session->message;
	bool connection = type == LIMPET_CONNECTION, joined = type == LIMPET_JOINED;
	bool lost = type == LIMPET_LOST || type == LIMPET_REJECTED || type == LIMPET_OVER;

	limpet->event = (struct limpet_event){
	    .type = type,
	    .fd = connection ? take_socket(session, SOCK_NONBLOCK | SOCK_CLOEXEC) : -1,
	    .client = connection ? message->client : "",
	    .listener = connection ? message->listener : "",
	    .key = connection ? message->key : "",
	    .address = (const struct sockaddr *)&session->address,
	    .address_length = connection ? session->address_length : 0,
	    .pool = joined ? session->pool : "",
	    .slot = joined ? session->slot : "",
	    .reason = lost ? session->reason : "",
	};
	return &limpet->event;
}

EXPORT const struct limpet_event *limpet_next(struct limpet *limpet)
{
	const struct limpet_event *event = NULL;
	enum limpet_event_type type;

	limpet_lock(limpet);
	type = limpet_session_step(&limpet->session, limpet_now());
	if (type)
		event = event_of(limpet, type);
	limpet_unlock(limpet);
	return event;
}
