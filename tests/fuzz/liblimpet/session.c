/* What a front does to liblimpet's session. The input is a list of actions, a line each: its first byte, and
 * the datagram that follows.
 *
 *   f              an inherited channel (first line; else one that is joined to)
 *   m, 1, 3 TEXT   the front sends TEXT: alone, with one fd, with three
 *   x              the front closes; one that listens takes the worker in again
 *   s, r           the worker's datagrams find no room; find room again
 *   l, c           the worker leaves; says that one has ended
 *   t              time goes on to the next deadline
 */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fuzz.h"
#include "session.h"

static struct run {
	struct limpet_session session;
	int listening, front;
	int64_t now;
	bool over, drained;
} run;

static void listen_for_worker(char name[32])
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int length = snprintf(name, 32, "@limpet-fuzz-%d", (int)getpid());

	memcpy(address.sun_path + 1, name + 1, (size_t)length - 1);
	run.listening = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	REQUIRE(bind(run.listening, (struct sockaddr *)&address,
	            (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)length)) == 0 &&
	        listen(run.listening, 4) == 0);
}

static void step(void)
{
	const struct limpet_session *session = &run.session;
	enum limpet_event_type event;

	for (int events = 0; (event = limpet_session_step(&run.session, run.now)); events++) {
		REQUIRE(!run.over && events < 1000);
		REQUIRE(!run.drained || event == LIMPET_OVER);
		run.over = event == LIMPET_OVER;
		run.drained = run.drained || event == LIMPET_DRAIN;
		if (event == LIMPET_CONNECTION) {
			REQUIRE(session->passed >= 0 && session->answer == LIMPET_ANSWER_NONE);
			close(run.session.passed);
			run.session.passed = -1;
		}
		REQUIRE(session->passed < 0);
	}
	REQUIRE(
	    session->open_here <= session->open && memchr(session->reason, '\0', sizeof(session->reason)));
	REQUIRE((session->fd >= 0) ==
	        (session->state == LIMPET_SESSION_GREETING || session->state == LIMPET_SESSION_JOINED ||
	            session->state == LIMPET_SESSION_DRAINING));
	if (run.listening >= 0 && run.front < 0)
		run.front = accept4(run.listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

static void send_with(const char *bytes, size_t length, unsigned fds)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(3 * sizeof(int))];
	} control = {0};
	struct iovec iov = {.iov_base = (void *)bytes, .iov_len = length};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};

	if (fds) {
		message.msg_control = control.space;
		message.msg_controllen = CMSG_SPACE(fds * sizeof(int));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(fds * sizeof(int)); /* of fd 0 */
	}
	if (run.front >= 0)
		sendmsg(run.front, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void empty(void)
{
	char bytes[LIMPET_STATS_BYTES];

	while (run.front >= 0 && recv(run.front, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
}

static void act(const char *line, size_t length)
{
	switch (length ? line[0] : 0) {
	case 'm':
	case '1':
	case '3':
		send_with(line + 1, length - 1, line[0] == 'm' ? 0 : (unsigned)(line[0] - '0'));
		break;
	case 'x':
		if (run.front >= 0)
			close(run.front);
		run.front = -1;
		break;
	case 's':
		while (run.session.fd >= 0 && send(run.session.fd, "{}", 2, MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
			;
		break;
	case 'r':
		empty();
		break;
	case 'l':
		limpet_session_leave(&run.session, run.now);
		break;
	case 'c':
		limpet_session_closed(&run.session, 1);
		limpet_session_flush(&run.session, run.now);
		break;
	case 't':
		if (limpet_session_deadline(&run.session, run.now) > run.now)
			run.now = limpet_session_deadline(&run.session, run.now);
		break;
	}
	step();
}

static void start(bool inherited)
{
	char name[32];
	int ends[2];

	run = (struct run){.now = 1000, .front = -1, .listening = -1};
	REQUIRE(limpet_session_init(&run.session) == 0);
	if (inherited) {
		REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
		run.front = ends[0];
		REQUIRE(limpet_session_inherit(&run.session, ends[1], "chat", "2") == 0);
	} else {
		listen_for_worker(name);
		REQUIRE(limpet_session_join(&run.session, name, "chat", "") == 0);
	}
	step();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *at = (const char *)data, *last = at + size;
	unsigned lines = 0;

	start(size && *at == 'f');
	while (at < last && lines++ < 500) {
		const char *end = memchr(at, '\n', (size_t)(last - at));

		end = end ? end : last;
		act(at, (size_t)(end - at));
		at = end + 1;
	}
	limpet_session_close(&run.session, true);
	if (run.front >= 0)
		close(run.front);
	if (run.listening >= 0)
		close(run.listening);
	return 0;
}
