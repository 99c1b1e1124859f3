#include "supervisor/listening.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

static bool is_path(const struct address *address)
{
	return address_family(address) == AF_UNIX && address->un.sun_path[0] != '\0';
}

/* ---- a new one ---- */

/* What workers ask for is done with their rights: a limpet that runs as root makes and removes no path that they could not.
 * 0 or a negative errno; undone by become_limpet(). */
static int become(const char *name)
{
	const struct passwd *user;

	if (!name || geteuid() != 0)
		return 0;
	user = getpwnam(name);
	if (!user)
		return -ENOENT;
	if (setegid(user->pw_gid) < 0 || seteuid(user->pw_uid) < 0)
		return -errno;
	return 0;
}

static void become_limpet(void)
{
	if (getuid() == 0 && (seteuid(0) < 0 || setegid(getgid()) < 0))
		abort(); /* impossible, and nothing would work any more */
}

void listening_remove_path(const struct listening *listening)
{
	if (listening->fd < 0 || !is_path(&listening->address))
		return;
	if (become(listening->user) == 0)
		unlink(listening->address.un.sun_path);
	become_limpet();
}

/* A socket that nobody listens on any more is in the way: the rest of a process that was killed. */
static void remove_stale_path(const struct address *address)
{
	struct stat status;
	int fd;

	if (lstat(address->un.sun_path, &status) < 0 || !S_ISSOCK(status.st_mode))
		return;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return;
	if (connect(fd, &address->sa, address->length) < 0 && errno == ECONNREFUSED)
		unlink(address->un.sun_path);
	close(fd);
}

static int set_option(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value)) < 0 ? -errno : 0;
}

void listening_set_mode(const struct listening *listening, const struct mode *mode)
{
	const char *path = listening->address.un.sun_path;

	if (mode->is_set && !listening->given && is_path(&listening->address) && chmod(path, mode->bits) < 0)
		log_warning("pool %s: cannot set the mode of %s: %s", listening->pool->name, path, strerror(errno));
}

void listening_set_defer_accept(const struct listening *listening, bool on)
{
	if (address_family(&listening->address) != AF_UNIX)
		set_option(listening->fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, on);
}

static int configure(int fd, const struct listening_request *request)
{
	int family = address_family(request->address), result = 0;

	if (family != AF_UNIX && request->socket_type == SOCK_STREAM)
		result = set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (!result && family == AF_INET6)
		result = set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, request->ipv6_only);
	/* The kernel hands connections over with their first bytes: the head is there at the first look. */
	if (!result && request->defer_accept && family != AF_UNIX)
		result = set_option(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, 1);
	return result;
}

static int bind_socket(int fd, const struct listening_request *request)
{
	const struct address *address = request->address;
	bool path = is_path(address);
	mode_t before = request->mode.is_set ? umask(~request->mode.bits & 0777) : 0;
	int result = path ? become(request->user) : 0;

	if (!result && path)
		remove_stale_path(address);
	if (!result && bind(fd, &address->sa, address->length) < 0)
		result = -errno;
	if (request->mode.is_set)
		umask(before);
	if (path)
		become_limpet();
	return result;
}

/* Returns the fd, or a negative errno. */
static int open_socket(const struct listening_request *request)
{
	int fd = socket(address_family(request->address), request->socket_type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int result;

	if (fd < 0)
		return -errno;
	result = configure(fd, request);
	if (!result)
		result = bind_socket(fd, request);
	if (!result && request->socket_type == SOCK_STREAM && listen(fd, request->backlog) < 0)
		result = -errno;
	if (result) {
		close(fd);
		return result;
	}
	return fd;
}

void listening_read_address(struct listening *listening)
{
	listening->address.length = sizeof(listening->address.un);
	if (getsockname(listening->fd, &listening->address.sa, &listening->address.length) < 0)
		listening->address.length = 0;
}

void listening_say(const struct listening *listening)
{
	char text[ADDRESS_TEXT_MAX];

	log_info("listening on %s%s (pool %s)", address_format(&listening->address, text, sizeof(text)),
	    listening->socket_type == SOCK_DGRAM ? "/udp" : "", listening->pool->name);
}

/* ---- sockets that the service manager passed, or keeps ---- */

static void store(struct supervisor *supervisor, struct listening *listening, const char *name)
{
	if (!notify_wanted(&supervisor->notify))
		return;
	listening->stored = strdup(name);
	if (listening->stored)
		activation_store(&supervisor->activation, listening->fd, name);
}

/* The manager may know the socket by what listened there before; it keeps one copy of a socket, under one name. */
static void store_again(struct supervisor *supervisor, struct listening *listening, const char *name)
{
	if (strcmp(listening->stored, name) == 0)
		return;
	activation_forget(&supervisor->activation, listening->stored);
	free(listening->stored);
	listening->stored = NULL;
	store(supervisor, listening, name);
}

/* What limpet sets on sockets of its own. */
static void configure_inherited(const struct listening *listening, const struct listening_request *request)
{
	if (request->socket_type != SOCK_STREAM)
		return;
	listening_set_defer_accept(listening, request->defer_accept);
	if (listening->stored)
		listen(listening->fd, request->backlog);
}

/* False: none was passed. */
static bool inherit(
    struct supervisor *supervisor, struct listening *listening, const struct listening_request *request, const char *name)
{
	struct activation_wanted wanted = {.stored = name,
	    .listener = request->listener,
	    .address = request->address,
	    .socket_type = request->socket_type,
	    .ipv6_only = request->ipv6_only};
	struct inherited *inherited = activation_claim(&supervisor->activation, &wanted);

	if (!inherited)
		return false;
	listening->fd = inherited->fd;
	listening->address = inherited->address;
	if (inherited->stored)
		listening->stored = inherited->name;
	else
		listening->given = inherited->name;
	inherited->fd = -1;
	inherited->name = NULL;
	inherited_free(inherited);
	configure_inherited(listening, request);
	if (listening->stored && name)
		store_again(supervisor, listening, name);
	return true;
}

/* ---- a program's own ---- */

static bool is_tcp_socket(int fd, int family)
{
	static const int names[] = {SO_DOMAIN, SO_TYPE, SO_PROTOCOL};
	const int wanted[] = {family, SOCK_STREAM, IPPROTO_TCP};

	for (int i = 0; i < 3; i++) {
		int value = -1;
		socklen_t length = sizeof(value);

		if (getsockopt(fd, SOL_SOCKET, names[i], &value, &length) < 0 || value != wanted[i])
			return false;
	}
	return family == AF_INET || family == AF_INET6;
}

/* The program's socket, as it is but for what a front needs. The program may have bound it to a port of the kernel's choice. */
static int adopt_socket(struct listening *listening, const struct listening_request *request)
{
	const struct address *address = request->address;
	struct address bound = {.length = sizeof(bound.un)};
	int result = 0;

	if (!is_tcp_socket(request->own, address_family(address)))
		return -EINVAL;
	listening->fd = fcntl(request->own, F_DUPFD_CLOEXEC, 0);
	if (listening->fd < 0 || getsockname(listening->fd, &bound.sa, &bound.length) < 0)
		return -errno;
	if (!address_port(&bound)) {
		result = set_option(listening->fd, SOL_SOCKET, SO_REUSEADDR, 1);
		if (!result && bind(listening->fd, &address->sa, address->length) < 0)
			result = -errno;
	}
	if (!result)
		result = set_option(listening->fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, request->defer_accept);
	listening->bound_only = true;
	listening_read_address(listening);
	return result;
}

/* ---- ---- */

int listening_obtain(
    struct supervisor *supervisor, struct listening *listening, const struct listening_request *request)
{
	char stored[ACTIVATION_NAME_MAX + 1], asked[ADDRESS_TEXT_MAX];
	const char *name = NULL;
	bool fits;

	if (listening->key)
		fits = activation_name(stored, "pool", listening->pool->name, listening->key);
	else
		fits = activation_name(
		    stored, "listener", listening->name, address_format(&listening->asked, asked, sizeof(asked)));
	/* One with a longer name would only be opened anew after a crash. */
	if (fits)
		name = stored;
	if (inherit(supervisor, listening, request, name))
		return 0;
	if (request->adopts) {
		int result = adopt_socket(listening, request);

		if (result < 0)
			return result;
	} else {
		listening->fd = open_socket(request);
		if (listening->fd < 0)
			return listening->fd;
		listening_read_address(listening);
	}
	if (name)
		store(supervisor, listening, name);
	return 0;
}

/* ---- life ---- */

struct listening *listening_new(
    struct supervisor *supervisor, struct supervised_pool *pool, uint32_t index)
{
	struct listening *listening = calloc(1, sizeof(*listening));

	if (!listening)
		return NULL;
	listening->id = ++supervisor->next_listening;
	listening->pool = pool;
	listening->index = index;
	listening->fd = -1;
	listening->socket_type = SOCK_STREAM;
	TAILQ_INSERT_TAIL(&supervisor->listenings, listening, entry);
	return listening;
}

void listening_free(struct supervisor *supervisor, struct listening *listening)
{
	TAILQ_REMOVE(&supervisor->listenings, listening, entry);
	if (listening->fd >= 0)
		close(listening->fd);
	free(listening->name);
	free(listening->user);
	free(listening->given);
	free(listening->stored);
	free(listening->key);
	free(listening->data);
	free(listening);
}
