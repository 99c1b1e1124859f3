#include "supervisor/activation.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

#define FIRST_FD 3 /* SD_LISTEN_FDS_START */

static const char *const variables[] = {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"};

void activation_init(struct activation *activation, struct notify *notify)
{
	activation->notify = notify;
	TAILQ_INIT(&activation->sockets);
}

void inherited_free(struct inherited *inherited)
{
	if (inherited->fd >= 0)
		close(inherited->fd);
	free(inherited->name);
	free(inherited);
}

void activation_deinit(struct activation *activation)
{
	struct inherited *inherited;

	while ((inherited = TAILQ_FIRST(&activation->sockets))) {
		TAILQ_REMOVE(&activation->sockets, inherited, entry);
		inherited_free(inherited);
	}
}

/* ---- taking ---- */

static int integer_option(int fd, int level, int name)
{
	int value = 0;
	socklen_t length = sizeof(value);

	return getsockopt(fd, level, name, &value, &length) < 0 ? -errno : value;
}

/* NULL, or why nobody could be served from it. */
static const char *look_at(struct inherited *inherited)
{
	int fd = inherited->fd, type = integer_option(fd, SOL_SOCKET, SO_TYPE);

	if (type == -EBADF)
		return "it is not open";
	if (type < 0)
		return "it is not a socket";
	if (type != SOCK_STREAM && type != SOCK_DGRAM)
		return "it is neither a stream nor a datagram socket";
	if (type == SOCK_STREAM && integer_option(fd, SOL_SOCKET, SO_ACCEPTCONN) != 1)
		return "it does not listen; a .socket unit for limpet has Accept=no";
	inherited->socket_type = type;
	inherited->address.length = sizeof(inherited->address.un);
	if (getsockname(fd, &inherited->address.sa, &inherited->address.length) < 0 ||
	    inherited->address.length > sizeof(inherited->address.un))
		return "its address cannot be read";
	switch (address_family(&inherited->address)) {
	case AF_INET:
	case AF_INET6:
	case AF_UNIX:
		return NULL;
	}
	return "it is neither an IP nor a Unix socket";
}

int activation_add(struct activation *activation, int fd, const char *name)
{
	struct inherited *inherited = calloc(1, sizeof(*inherited));
	const char *why;

	if (!inherited) {
		close(fd);
		return -ENOMEM;
	}
	inherited->fd = fd;
	inherited->name = strdup(name);
	if (!inherited->name) {
		inherited_free(inherited);
		return -ENOMEM;
	}
	inherited->stored = strncmp(name, ACTIVATION_STORED, strlen(ACTIVATION_STORED)) == 0;
	why = look_at(inherited);
	if (!why && (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 || fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0))
		why = "it cannot be made non-blocking";
	if (why) {
		log_error("the service manager passed fd %d (%s), which is of no use: %s", fd, name, why);
		inherited_free(inherited);
		return -EINVAL;
	}
	TAILQ_INSERT_TAIL(&activation->sockets, inherited, entry);
	return 0;
}

/* A number from 1 to INT_MAX that is all of the text, or 0. */
static int positive(const char *text)
{
	unsigned long value;
	char *end;

	if (!text || !isdigit((unsigned char)*text))
		return 0;
	value = strtoul(text, &end, 10);
	return *end || value > INT_MAX ? 0 : (int)value;
}

static int take_all(struct activation *activation, int count, char *names)
{
	char *rest = names;

	for (int i = 0; i < count; i++) {
		const char *name = rest ? strsep(&rest, ":") : NULL;
		int result = activation_add(activation, FIRST_FD + i, name ? name : "unknown");
		const struct inherited *inherited;
		char text[ADDRESS_TEXT_MAX];

		if (result < 0)
			return result;
		inherited = TAILQ_LAST(&activation->sockets, inherited_list);
		log_info("%s was %s", address_format(&inherited->address, text, sizeof(text)),
		    inherited->stored ? "left by the limpet before" : "passed by the service manager");
	}
	return 0;
}

int activation_take(struct activation *activation)
{
	const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS"), *fd_names = getenv("LISTEN_FDNAMES");
	/* Else they are another process's. */
	bool ours = pid && fds && positive(pid) == getpid();
	int count = positive(fds), result = 0;
	char *names = NULL;

	if (ours && fd_names) {
		names = strdup(fd_names);
		if (!names)
			return -ENOMEM;
	}
	if (ours && strcmp(fds, "0") != 0 && (!count || count > INT_MAX - FIRST_FD)) {
		log_error("LISTEN_FDS=%s: not a number of sockets", fds);
		result = -EINVAL;
	} else if (ours) {
		result = take_all(activation, count, names);
	}
	for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++)
		unsetenv(variables[i]);
	free(names);
	return result;
}

/* ---- finding ---- */

static bool is_path(const struct address *address)
{
	return address_family(address) == AF_UNIX && address->un.sun_path[0] != '\0';
}

/* Nobody can connect to a Unix socket whose path was removed. */
static bool is_reachable(const struct inherited *inherited)
{
	struct stat status;

	return !is_path(&inherited->address) ||
	       (lstat(inherited->address.un.sun_path, &status) == 0 && S_ISSOCK(status.st_mode));
}

/* Whether an IPv6 socket serves IPv4, too, was decided by who made it: with a given one that is the administrator. */
static bool is_at(const struct inherited *inherited, const struct activation_wanted *wanted)
{
	if (!address_equal(&inherited->address, wanted->address))
		return false;
	return !inherited->stored || address_family(wanted->address) != AF_INET6 ||
	       integer_option(inherited->fd, IPPROTO_IPV6, IPV6_V6ONLY) == (int)wanted->ipv6_only;
}

enum match { MATCH_STORED_NAME, MATCH_ADDRESS, MATCH_LISTENER_NAME, MATCH_COUNT };

static bool matches(const struct inherited *inherited, const struct activation_wanted *wanted, enum match match)
{
	if (inherited->socket_type != wanted->socket_type)
		return false;
	switch (match) {
	case MATCH_STORED_NAME:
		return inherited->stored && wanted->stored && strcmp(inherited->name, wanted->stored) == 0;
	case MATCH_ADDRESS:
		return is_at(inherited, wanted);
	default:
		return !inherited->stored && wanted->listener && strcmp(inherited->name, wanted->listener) == 0;
	}
}

static struct inherited *find(
    struct activation *activation, const struct activation_wanted *wanted, enum match match)
{
	struct inherited *inherited;

	TAILQ_FOREACH (inherited, &activation->sockets, entry)
		if (matches(inherited, wanted, match))
			return inherited;
	return NULL;
}

static void take_out(struct activation *activation, struct inherited *inherited)
{
	TAILQ_REMOVE(&activation->sockets, inherited, entry);
	inherited_free(inherited);
}

/* Closes a stored socket for good. */
static void discard(struct activation *activation, struct inherited *inherited)
{
	if (is_path(&inherited->address))
		unlink(inherited->address.un.sun_path);
	activation_forget(activation, inherited->name);
	take_out(activation, inherited);
}

struct inherited *activation_claim(struct activation *activation, const struct activation_wanted *wanted)
{
	for (enum match match = MATCH_STORED_NAME; match < MATCH_COUNT; match++) {
		struct inherited *inherited = find(activation, wanted, match);

		if (inherited && inherited->stored && !is_reachable(inherited)) {
			discard(activation, inherited);
			continue;
		}
		if (inherited) {
			TAILQ_REMOVE(&activation->sockets, inherited, entry);
			return inherited;
		}
	}
	return NULL;
}

/* ---- leaving with the manager ---- */

/* systemd takes printable ASCII without colons; workers chose the key. */
static bool append(char *name, const char *text, const char *plain)
{
	size_t at = strlen(name);

	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;
		bool as_is = c < 0x80 && (isalnum(c) || strchr(plain, c));

		if (at + 3 > ACTIVATION_NAME_MAX)
			return false;
		at += (size_t)sprintf(name + at, as_is ? "%c" : "%%%02X", c);
	}
	return true;
}

bool activation_name(char name[ACTIVATION_NAME_MAX + 1], const char *kind, const char *first, const char *second)
{
	strcpy(name, ACTIVATION_STORED);
	return append(name, kind, ".-") && append(name, "/", "/") && append(name, first, "._-") &&
	       append(name, "/", "/") && append(name, second, "./@_-[]");
}

int activation_store(struct activation *activation, int fd, const char *name)
{
	/* Without polling: a listening socket has no end that the manager could wait for. */
	return notify_send(activation->notify, fd, "FDSTORE=1\nFDNAME=%s\nFDPOLL=0", name);
}

void activation_forget(struct activation *activation, const char *name)
{
	notify_send(activation->notify, -1, "FDSTOREREMOVE=1\nFDNAME=%s", name);
}

void activation_close(struct activation *activation)
{
	struct inherited *inherited;

	while ((inherited = TAILQ_FIRST(&activation->sockets))) {
		if (inherited->stored)
			discard(activation, inherited);
		else
			take_out(activation, inherited);
	}
}

void activation_settle(struct activation *activation)
{
	struct inherited *inherited, *next;
	char text[ADDRESS_TEXT_MAX];

	for (inherited = TAILQ_FIRST(&activation->sockets); inherited; inherited = next) {
		next = TAILQ_NEXT(inherited, entry);
		address_format(&inherited->address, text, sizeof(text));
		if (inherited->stored) {
			log_info("%s, left by the limpet before, is not wanted any more: closed", text);
			discard(activation, inherited);
		} else {
			log_warning("nobody serves %s, which the service manager passed (%s): its clients wait; stop its .socket "
				    "unit, or give it a listener or a worker that listens there",
			    text, inherited->name);
		}
	}
}
