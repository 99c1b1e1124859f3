#include "supervisor/notify.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/fd_passing.h"
#include "base/log.h"

#define WAIT_MILLISECONDS 500

int notify_init(struct notify *notify, const char *name)
{
	const char *why = "only paths and abstract names are understood";

	memset(notify, 0, sizeof(*notify));
	if (!name || !*name)
		return 0;
	if ((name[0] == '/' || name[0] == '@') && address_parse(&notify->address, name, &why) == 0)
		return 0;
	memset(notify, 0, sizeof(*notify));
	log_warning("NOTIFY_SOCKET=%s: %s; the service manager is told nothing", name, why);
	return -EINVAL;
}

bool notify_wanted(const struct notify *notify)
{
	return notify->address.length > 0;
}

static long now_milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Connected, because poll() sees the other end's queue only then. */
static int deliver(const struct notify *notify, int fd, const char *text, size_t length)
{
	int channel = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	long end = now_milliseconds() + (notify->failing ? 0 : WAIT_MILLISECONDS), left;
	struct pollfd writable = {.fd = channel, .events = POLLOUT};
	ssize_t sent;

	if (channel < 0)
		return -errno;
	sent = connect(channel, &notify->address.sa, notify->address.length) < 0 ? -errno : -EAGAIN;
	while (sent == -EAGAIN) {
		sent = fd_send(channel, text, length, fd);
		left = end - now_milliseconds();
		if (sent != -EAGAIN || left <= 0 || poll(&writable, 1, (int)left) == 0)
			break;
	}
	close(channel);
	return sent < 0 ? (int)sent : 0;
}

int notify_send(struct notify *notify, int fd, const char *format, ...)
{
	char text[NOTIFY_MESSAGE_MAX];
	va_list arguments;
	int length, result;

	if (!notify_wanted(notify))
		return 0;
	va_start(arguments, format);
	length = vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (length < 0 || (size_t)length >= sizeof(text))
		return -EMSGSIZE;
	result = deliver(notify, fd, text, (size_t)length);
	if (result < 0 && !notify->failing)
		log_warning("the service manager does not take messages: %s; it may think that limpet is not ready, or not "
			    "keep sockets over a crash",
		    strerror(-result));
	if (result == 0 && notify->failing)
		log_info("the service manager takes messages again");
	notify->failing = result < 0;
	return result;
}
