#include "session.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "address.h"
#include "backoff.h"
#include "channel.h"

/* Datagrams in one step. */
#define TURN_MAX 64

/* ---- the one fd ---- */

int limpet_session_init(struct limpet_session *session)
{
	struct epoll_event event = {.events = EPOLLIN};
	int error;

	session->fd = session->timer = session->passed = -1;
	session->armed = -1;
	session->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (session->epoll < 0)
		return -errno;
	session->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (session->timer < 0)
		return -errno;
	error = epoll_ctl(session->epoll, EPOLL_CTL_ADD, session->timer, &event);
	return error < 0 ? -errno : 0;
}

static int watch(struct limpet_session *session)
{
	struct epoll_event event = {.events = EPOLLIN};

	session->interest = EPOLLIN;
	return epoll_ctl(session->epoll, EPOLL_CTL_ADD, session->fd, &event) < 0 ? -errno : 0;
}

/* Said aloud: another process may have a copy of the channel, and then its close would not take it out of the
 * set. */
static void unwatch(struct limpet_session *session)
{
	epoll_ctl(session->epoll, EPOLL_CTL_DEL, session->fd, NULL);
}

int64_t limpet_session_deadline(const struct limpet_session *session, int64_t now)
{
	int64_t deadline = -1;

	if (session->urgent || session->more || (session->state == LIMPET_SESSION_OVER && session->pending))
		return now;
	switch (session->state) {
	case LIMPET_SESSION_APART:
	case LIMPET_SESSION_GREETING:
		return session->due;
	case LIMPET_SESSION_JOINED:
	case LIMPET_SESSION_DRAINING:
		if (session->closed && !session->blocked && !session->broken)
			deadline = session->closed_after;
		if (session->leaving && session->state == LIMPET_SESSION_JOINED &&
		    (deadline < 0 || session->leave_by < deadline))
			deadline = session->leave_by;
		return deadline;
	default:
		return -1;
	}
}

void limpet_session_arm(struct limpet_session *session, int64_t now)
{
	int64_t deadline = limpet_session_deadline(session, now);
	struct itimerspec timer = {0};

	if (deadline != session->armed || (deadline >= 0 && deadline <= now)) {
		/* A time of 0 would disarm it. */
		timer.it_value.tv_sec = deadline < 0 ? 0 : deadline / 1000;
		timer.it_value.tv_nsec = deadline < 0 ? 0 : deadline % 1000 * 1000000 + 1;
		timerfd_settime(session->timer, TFD_TIMER_ABSTIME, &timer, NULL);
		session->armed = deadline;
	}
	if (session->fd >= 0) {
		struct epoll_event event = {.events = session->blocked ? EPOLLOUT : EPOLLIN};

		if (event.events != session->interest &&
		    epoll_ctl(session->epoll, EPOLL_CTL_MOD, session->fd, &event) == 0)
			session->interest = event.events;
	}
}

/* ---- sending ---- */

static void nothing_is_due(struct limpet_session *session)
{
	session->hello_due = session->ready_due = session->pong_due = session->stats_due = false;
	session->bye_due = session->ping_due = session->blocked = false;
	session->answer = LIMPET_ANSWER_NONE;
	session->closed = 0;
}

static bool closed_is_due(const struct limpet_session *session, int64_t now)
{
	return session->closed && (now >= session->closed_after || session->bye_due);
}

static uint32_t closed_count(const struct limpet_session *session)
{
	return session->closed < UINT32_MAX ? (uint32_t)session->closed : UINT32_MAX;
}

/* The next message that is due; 0: none. */
static size_t compose(const struct limpet_session *session, int64_t now, char *bytes, size_t size)
{
	if (session->hello_due)
		return limpet_message_hello(bytes, size, session->pool, session->slot);
	if (session->state != LIMPET_SESSION_JOINED && session->state != LIMPET_SESSION_DRAINING)
		return 0;
	if (session->ready_due)
		return limpet_message_plain(bytes, size, "ready");
	if (session->answer)
		return limpet_message_number(bytes, size,
		    session->answer == LIMPET_ANSWER_ACK ? "ack" : "refuse", "id", session->answer_id);
	if (session->pong_due)
		return limpet_message_number(bytes, size, "pong", "id", session->pong);
	if (closed_is_due(session, now))
		return limpet_message_number(bytes, size, "closed", "count", closed_count(session));
	if (session->stats_due) {
		memcpy(bytes, session->stats, session->stats_length);
		return session->stats_length;
	}
	if (session->bye_due)
		return limpet_message_plain(bytes, size, "bye");
	if (session->ping_due)
		return limpet_message_number(bytes, size, "ping", "id", session->fence);
	return 0;
}

/* The message that compose() made is out. */
static void sent(struct limpet_session *session, int64_t now)
{
	if (session->hello_due) {
		session->hello_due = false;
	} else if (session->ready_due) {
		session->ready_due = false;
	} else if (session->answer) {
		session->answer = LIMPET_ANSWER_NONE;
	} else if (session->pong_due) {
		session->pong_due = false;
	} else if (closed_is_due(session, now)) {
		session->closed -= closed_count(session);
		session->closed_after = now + LIMPET_CLOSED_MS;
	} else if (session->stats_due) {
		session->stats_due = false;
	} else if (session->bye_due) {
		session->bye_due = false;
	} else {
		session->ping_due = false;
	}
}

void limpet_session_flush(struct limpet_session *session, int64_t now)
{
	char bytes[LIMPET_STATS_BYTES];
	size_t length;
	int error;

	while (
	    session->fd >= 0 && !session->broken && (length = compose(session, now, bytes, sizeof(bytes)))) {
		error = limpet_channel_send(session->fd, bytes, length);
		session->blocked = error == -EAGAIN || error == -ENOBUFS || error == -ENOMEM;
		if (session->blocked)
			return;
		if (error < 0) {
			/* The front is gone. It may have said why. */
			session->broken = true;
			nothing_is_due(session);
			return;
		}
		sent(session, now);
	}
	session->blocked = false;
}

/* ---- the channel comes and goes ---- */

static void give_reason(struct limpet_session *session, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void give_reason(struct limpet_session *session, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(session->reason, sizeof(session->reason), format, arguments);
	va_end(arguments);
}

static const char *error_text(int error, char *buffer, size_t size)
{
	const char *name = strerrordesc_np(-error);

	snprintf(buffer, size, "%s", name ? name : "unknown error");
	return buffer;
}

static void drop_passed(struct limpet_session *session)
{
	if (session->passed >= 0)
		close(session->passed);
	session->passed = -1;
	session->pending = 0;
}

static void drop_channel(struct limpet_session *session)
{
	drop_passed(session);
	nothing_is_due(session);
	if (session->fd < 0)
		return;
	unwatch(session);
	close(session->fd);
	session->fd = -1;
}

static enum limpet_event_type end(struct limpet_session *session)
{
	drop_channel(session);
	session->state = LIMPET_SESSION_OVER;
	return LIMPET_OVER;
}

/* The channel is lost; its reason was given. Returns what to tell. */
static enum limpet_event_type lose(struct limpet_session *session, int64_t now)
{
	if (session->inherited || session->leaving || session->state == LIMPET_SESSION_DRAINING)
		return end(session);
	if (session->state == LIMPET_SESSION_JOINED && now - session->welcomed >= LIMPET_STABLE_MS)
		session->failed = 0;
	drop_channel(session);
	session->state = LIMPET_SESSION_APART;
	session->due = now + limpet_backoff(++session->failed);
	return LIMPET_LOST;
}

static enum limpet_event_type rejected(struct limpet_session *session, int64_t now)
{
	lose(session, now);
	/* A slot that limpet had chosen before may be another worker's by now. */
	if (!session->asked_for_slot)
		session->slot[0] = '\0';
	return LIMPET_REJECTED;
}

static void open_channel(struct limpet_session *session, int fd)
{
	session->fd = fd;
	session->broken = false;
	session->hello_due = true;
	session->open_here = 0;
	session->closed_after = 0;
}

static enum limpet_event_type try_to_join(struct limpet_session *session, int64_t now)
{
	int fd = limpet_channel_connect(session->socket), error = fd;
	char text[64];

	if (fd >= 0) {
		open_channel(session, fd);
		error = watch(session);
	}
	if (error < 0) {
		give_reason(session, "connect(%s) failed: %s", session->socket,
		    error_text(error, text, sizeof(text)));
		return lose(session, now);
	}
	session->state = LIMPET_SESSION_GREETING;
	session->due = now + LIMPET_WELCOME_MS;
	return 0;
}

int limpet_session_inherit(struct limpet_session *session, int fd, const char *pool, const char *slot)
{
	int error = limpet_channel_adopt(fd);

	if (error)
		return error;
	session->fd = fd;
	error = watch(session);
	session->fd = -1;
	if (error)
		return error;
	open_channel(session, fd);
	session->inherited = true;
	session->urgent = true;
	session->state = LIMPET_SESSION_JOINED;
	strcpy(session->pool, pool);
	strcpy(session->slot, slot);
	return 0;
}

int limpet_session_join(
    struct limpet_session *session, const char *socket, const char *pool, const char *slot)
{
	/* Of struct sockaddr_un's path, whose last byte is a NUL. */
	if (!*socket || strlen(socket) > 107)
		return -ENAMETOOLONG;
	strcpy(session->socket, socket);
	strcpy(session->pool, pool);
	strcpy(session->slot, slot);
	session->asked_for_slot = *slot;
	session->state = LIMPET_SESSION_APART;
	session->due = 0;
	session->urgent = true;
	return 0;
}

void limpet_session_close(struct limpet_session *session, bool ours)
{
	if (ours && session->fd >= 0) {
		if (session->answer == LIMPET_ANSWER_ACK)
			session->answer = LIMPET_ANSWER_REFUSE;
		session->bye_due = session->state == LIMPET_SESSION_JOINED && !session->leaving;
		session->ping_due = session->hello_due = session->ready_due = false;
		limpet_session_flush(session, session->closed_after);
		drop_channel(session);
	}
	drop_passed(session);
	if (session->fd >= 0)
		close(session->fd);
	if (session->timer >= 0)
		close(session->timer);
	if (session->epoll >= 0)
		close(session->epoll);
}

/* ---- what the front says ---- */

static enum limpet_event_type take_welcome(struct limpet_session *session, int64_t now)
{
	const struct limpet_message *message = &session->message;

	if (session->state != LIMPET_SESSION_GREETING)
		return 0;
	if (message->version != LIMPET_PROTOCOL) {
		give_reason(session, "limpet speaks version %u of the protocol", message->version);
		return rejected(session, now);
	}
	if (limpet_name_is_valid(message->pool))
		strcpy(session->pool, message->pool);
	if (limpet_name_is_valid(message->slot))
		strcpy(session->slot, message->slot);
	session->state = LIMPET_SESSION_JOINED;
	session->reason[0] = '\0';
	session->welcomed = now;
	session->ready_due = session->wanted;
	session->stats_due = session->stats_length;
	return LIMPET_JOINED;
}

static enum limpet_event_type take_bye(struct limpet_session *session, int64_t now)
{
	give_reason(session, "%s", session->message.reason);
	return session->state == LIMPET_SESSION_GREETING ? rejected(session, now) : 0;
}

/* The answer is due, and whatever is pending is told once it is out. */
static void take_connection(struct limpet_session *session, struct limpet_received *received)
{
	bool takes = session->state == LIMPET_SESSION_JOINED && session->wanted;
	bool full = session->limit && session->open >= session->limit;

	session->answer_id = session->message.id;
	session->answer = LIMPET_ANSWER_REFUSE;
	if (!takes || full)
		return;
	if (received->fd < 0 || received->no_room) {
		session->pending = received->no_room ? LIMPET_NO_ROOM : 0;
		return;
	}
	session->answer = LIMPET_ANSWER_ACK;
	session->pending = LIMPET_CONNECTION;
	session->passed = received->fd;
	received->fd = -1;
	limpet_address_read(session->message.client, &session->address, &session->address_length);
}

static enum limpet_event_type drained(struct limpet_session *session)
{
	session->state = LIMPET_SESSION_DRAINING;
	session->ping_due = false;
	return LIMPET_DRAIN;
}

static enum limpet_event_type take_message(
    struct limpet_session *session, struct limpet_received *received, int64_t now)
{
	bool in = session->state == LIMPET_SESSION_JOINED || session->state == LIMPET_SESSION_DRAINING;

	switch (session->message.type) {
	case LIMPET_MESSAGE_WELCOME:
		return take_welcome(session, now);
	case LIMPET_MESSAGE_BYE:
		return take_bye(session, now);
	case LIMPET_MESSAGE_CONNECTION:
		if (in && !session->broken)
			take_connection(session, received);
		return 0;
	case LIMPET_MESSAGE_PING:
		session->pong_due = in && !session->broken;
		session->pong = session->message.id;
		return 0;
	case LIMPET_MESSAGE_PONG:
		if (session->leaving && session->state == LIMPET_SESSION_JOINED &&
		    session->message.id == session->fence)
			return drained(session);
		return 0;
	case LIMPET_MESSAGE_DRAIN:
		return session->state == LIMPET_SESSION_JOINED ? drained(session) : 0;
	case LIMPET_MESSAGE_UNKNOWN:
		break;
	}
	return 0;
}

/* Reads a datagram. *nothing: there was none. */
static enum limpet_event_type hear(struct limpet_session *session, int64_t now, bool *nothing)
{
	struct limpet_received received;
	char bytes[LIMPET_MESSAGE_MAX], text[64];
	ssize_t length = limpet_channel_receive(session->fd, bytes, sizeof(bytes), &received);
	enum limpet_event_type event;

	*nothing = length == -EAGAIN;
	/* The front closed without having read everything. It is told once, before what the front had sent.
	 */
	if (*nothing || length == -ECONNRESET)
		return 0;
	if (length <= 0) {
		if (!session->reason[0] || length < 0)
			give_reason(session, "the channel has ended%s%s", length ? ": " : "",
			    length ? error_text((int)length, text, sizeof(text)) : "");
		return lose(session, now);
	}
	session->message.type = LIMPET_MESSAGE_UNKNOWN;
	if (!received.cut)
		limpet_message_read(&session->message, bytes, (size_t)length);
	event = take_message(session, &received, now);
	if (received.fd >= 0)
		close(received.fd);
	return event;
}

/* ---- steps ---- */

/* An answer is out: what it was for can be told. */
static enum limpet_event_type tell(struct limpet_session *session)
{
	enum limpet_event_type event = session->pending;

	session->pending = 0;
	if (event == LIMPET_CONNECTION) {
		session->open++;
		session->open_here++;
	}
	return event;
}

static enum limpet_event_type advance(struct limpet_session *session, int64_t now, bool *nothing)
{
	*nothing = false;
	if (session->state == LIMPET_SESSION_OVER) {
		*nothing = !session->pending;
		return tell(session);
	}
	if (session->state == LIMPET_SESSION_APART) {
		*nothing = now < session->due;
		return *nothing ? 0 : try_to_join(session, now);
	}
	if (session->state == LIMPET_SESSION_GREETING && now >= session->due) {
		give_reason(session, "%s did not answer", session->socket);
		return lose(session, now);
	}
	limpet_session_flush(session, now);
	if (session->broken && session->passed >= 0)
		drop_passed(session);
	*nothing = session->blocked;
	if (session->blocked)
		return 0;
	if (session->pending)
		return tell(session);
	if (session->leaving && session->state == LIMPET_SESSION_JOINED && now >= session->leave_by)
		return drained(session);
	return hear(session, now, nothing);
}

enum limpet_event_type limpet_session_step(struct limpet_session *session, int64_t now)
{
	enum limpet_event_type event = 0;
	bool nothing = false;

	if (!session->wanted) {
		session->wanted = true;
		session->urgent = false;
		session->ready_due = session->state == LIMPET_SESSION_JOINED;
	}
	for (int turn = 0; turn < TURN_MAX && !event && !nothing; turn++)
		event = advance(session, now, &nothing);
	session->more = !event && !nothing;
	limpet_session_arm(session, now);
	return event;
}

void limpet_session_closed(struct limpet_session *session, unsigned count)
{
	uint64_t here = count < session->open_here ? count : session->open_here;

	session->open -= count < session->open ? count : session->open;
	session->open_here -= here;
	if (session->fd >= 0 && !session->broken)
		session->closed += here;
}

void limpet_session_leave(struct limpet_session *session, int64_t now)
{
	if (session->leaving || session->state == LIMPET_SESSION_DRAINING ||
	    session->state == LIMPET_SESSION_OVER)
		return;
	session->leaving = true;
	if (session->state != LIMPET_SESSION_JOINED) {
		session->pending = end(session);
		return;
	}
	session->bye_due = session->ping_due = !session->broken;
	session->leave_by = now + LIMPET_LEAVE_MS;
	session->fence = (uint32_t)now & LIMPET_ID_MAX;
}
