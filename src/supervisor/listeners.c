#include "supervisor/listeners.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "route/sticky_key.h"

#define LISTENINGS_PER_POOL_MAX 1024

struct request {
	const char *listener; /* in the configuration; NULL: workers asked */
	const struct address *address;
	int socket_type;
	bool ipv6_only;
	int backlog;
	bool defer_accept;
	bool adopts; /* own, a program's socket, is to be used */
	int own;     /* borrowed */
	const char *user; /* with whose rights a Unix path is made; NULL: limpet's */
};

/* While it is not known which listener of the configuration a new socket belongs to. */
#define LINK_INDEX_NEW (LINK_INDEX_WORKERS - 1)
#define LINK_INDEX_CONFIGURED (LINK_INDEX_WORKERS - 2) /* from before an upgrade */

/* A listener that looks at what every client sends has use for connections only once something came. */
static bool defers_accept(const struct listener_config *config)
{
	return config->proxy_protocol || sticky_needs_head(config->sticky, config->sticky_count);
}

static bool is_path(const struct address *address)
{
	return address_family(address) == AF_UNIX && address->un.sun_path[0] != '\0';
}

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

static void remove_path(const struct listening *listening)
{
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

static int configure(int fd, const struct request *request)
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

static int bind_socket(int fd, const struct request *request)
{
	const struct address *address = request->address;
	bool path = is_path(address);
	int result = path ? become(request->user) : 0;

	if (!result && path)
		remove_stale_path(address);
	if (!result && bind(fd, &address->sa, address->length) < 0)
		result = -errno;
	if (path)
		become_limpet();
	return result;
}

/* Returns the fd, or a negative errno. */
static int open_socket(const struct request *request)
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

static struct listening *listening_new(
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

static void read_back_address(struct listening *listening)
{
	listening->address.length = sizeof(listening->address.un);
	if (getsockname(listening->fd, &listening->address.sa, &listening->address.length) < 0)
		listening->address.length = 0;
}

static void say_listening(const struct listening *listening)
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
static void configure_inherited(const struct listening *listening, const struct request *request)
{
	if (request->socket_type != SOCK_STREAM)
		return;
	if (address_family(&listening->address) != AF_UNIX)
		set_option(listening->fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, request->defer_accept);
	if (listening->stored)
		listen(listening->fd, request->backlog);
}

/* False: none was passed. */
static bool inherit(
    struct supervisor *supervisor, struct listening *listening, const struct request *request, const char *name)
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
static int adopt_socket(struct listening *listening, const struct request *request)
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
	read_back_address(listening);
	return result;
}

/* The socket that was passed for this, the program's own, or a new one. 0 or a negative errno. */
static int obtain(struct supervisor *supervisor, struct listening *listening, const struct request *request)
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
		read_back_address(listening);
	}
	if (name)
		store(supervisor, listening, name);
	return 0;
}

/* ---- listeners of the configuration ---- */

/* Port 0 stands for a port of its own for each listener; other addresses exist once. */
static bool is_for(const struct listening *listening, const struct listener_config *config)
{
	if (listening->index == LINK_INDEX_WORKERS || !address_equal(&listening->asked, &config->address))
		return false;
	return address_family(&config->address) == AF_UNIX || address_port(&config->address) ||
	       (listening->name && strcmp(listening->name, config->name) == 0);
}

static struct listening *find_configured(struct supervisor *supervisor, const struct listener_config *config)
{
	struct listening *listening;

	TAILQ_FOREACH (listening, &supervisor->listenings, entry)
		if (is_for(listening, config))
			return listening;
	return NULL;
}

static int open_configured(struct supervisor *supervisor, const struct listener_config *config)
{
	struct request request = {.listener = config->name,
	    .address = &config->address,
	    .socket_type = SOCK_STREAM,
	    .backlog = (int)config->backlog,
	    .defer_accept = defers_accept(config)};
	struct listening *listening = listening_new(supervisor, NULL, LINK_INDEX_NEW);
	char text[ADDRESS_TEXT_MAX];
	int result;

	if (!listening)
		return -ENOMEM;
	listening->asked = config->address;
	listening->name = strdup(config->name);
	result = listening->name ? obtain(supervisor, listening, &request) : -ENOMEM;
	if (result < 0) {
		log_error("listener %s: cannot listen on %s: %s", config->name,
		    address_format(&config->address, text, sizeof(text)), strerror(-result));
		listeners_close(supervisor, listening);
		return result;
	}
	return 0;
}

static void close_new(struct supervisor *supervisor)
{
	struct listening *listening, *next;

	for (listening = TAILQ_FIRST(&supervisor->listenings); listening; listening = next) {
		next = TAILQ_NEXT(listening, entry);
		if (listening->index == LINK_INDEX_NEW)
			listeners_close(supervisor, listening);
	}
}

int listeners_prepare(struct supervisor *supervisor, const struct config *config)
{
	for (size_t i = 0; i < config->listeners_count && config->listeners[i].has_address; i++) {
		const struct listener_config *listener = &config->listeners[i];
		int result = 0;

		if (!find_configured(supervisor, listener))
			result = open_configured(supervisor, listener);
		if (result < 0) {
			close_new(supervisor);
			return result;
		}
	}
	return 0;
}

static bool in_config(const struct config *config, const struct listening *listening)
{
	for (size_t i = 0; i < config->listeners_count && config->listeners[i].has_address; i++)
		if (is_for(listening, &config->listeners[i]))
			return true;
	return false;
}

/* A server that needed no socket as long as its pool had listeners of its own: the next worker that asks for it gets one. */
static bool lacks_socket(const struct listening *listening)
{
	return listening->fd < 0 && !listening->pool->config->has_listeners;
}

void listeners_commit(struct supervisor *supervisor, const struct config *config)
{
	struct listening *listening, *next;

	for (listening = TAILQ_FIRST(&supervisor->listenings); listening; listening = next) {
		bool configured = listening->index != LINK_INDEX_WORKERS;

		next = TAILQ_NEXT(listening, entry);
		if (configured ? !in_config(config, listening) : !listening->pool || lacks_socket(listening))
			listeners_close(supervisor, listening);
	}
	for (size_t i = 0; i < config->listeners_count && config->listeners[i].has_address; i++) {
		const struct listener_config *listener = &config->listeners[i];
		bool is_new;

		listening = find_configured(supervisor, listener);
		is_new = listening->index == LINK_INDEX_NEW;
		listening->index = (uint32_t)i;
		listening->pool = supervisor->pools[listener->pool - config->pools];
		if (address_family(&listening->address) != AF_UNIX)
			set_option(listening->fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, defers_accept(listener));
		if (is_new)
			say_listening(listening);
	}
}

struct listening *listeners_find(struct supervisor *supervisor, uint32_t id)
{
	struct listening *listening;

	TAILQ_FOREACH (listening, &supervisor->listenings, entry)
		if (listening->id == id)
			return listening;
	return NULL;
}

struct listening *listeners_find_key(struct supervised_pool *pool, const char *key)
{
	struct listening *listening;

	TAILQ_FOREACH (listening, &pool->supervisor->listenings, entry)
		if (listening->pool == pool && listening->key && strcmp(listening->key, key) == 0)
			return listening;
	return NULL;
}

static size_t count_of_pool(const struct supervised_pool *pool)
{
	struct listening *listening;
	size_t count = 0;

	TAILQ_FOREACH (listening, &pool->supervisor->listenings, entry)
		count += listening->pool == pool;
	return count;
}

/* ---- listeners that workers ask for ---- */

/* The pool has listeners of its own: the worker's server needs no socket, only an address to be told. */
static void borrow_address(struct listening *listening, const struct address *asked)
{
	const struct listening *other;

	listening->address = *asked;
	if (address_family(asked) == AF_UNIX || address_port(asked) != 0)
		return;
	TAILQ_FOREACH (other, &listening->pool->supervisor->listenings, entry) {
		if (other->pool == listening->pool && other->fd >= 0 && address_port(&other->address)) {
			address_set_port(&listening->address, address_port(&other->address));
			return;
		}
	}
}

static char *user_of(const struct supervised_pool *pool)
{
	return pool && pool->config->user ? strdup(pool->config->user) : NULL;
}

/* A program whose socket was bound before calls listen(). */
static int listen_now(struct listening *listening, int backlog)
{
	const struct listener_config *config = listening->pool->config->worker_listener;

	/* Not before: until now the program might have used it for something else. */
	if (listen(listening->fd, backlog > 0 ? backlog : (int)config->backlog) < 0 ||
	    fcntl(listening->fd, F_SETFL, O_RDWR | O_NONBLOCK) < 0)
		return -errno;
	listening->bound_only = false;
	say_listening(listening);
	return 0;
}

static int open_for_workers(struct listening *listening, const struct link_message *asked, int own)
{
	const struct listener_config *config = listening->pool->config->worker_listener;
	struct address address = asked->address;
	struct request request = {.address = &address,
	    .socket_type = asked->socket_type,
	    .adopts = own >= 0,
	    .own = own,
	    .ipv6_only = asked->ipv6_only,
	    .backlog = asked->backlog > 0 ? asked->backlog : (int)config->backlog,
	    .defer_accept = asked->socket_type == SOCK_STREAM && defers_accept(config),
	    .user = listening->user};
	int result = obtain(listening->pool->supervisor, listening, &request);

	if (result == -EAFNOSUPPORT && asked->any_address) {
		/* A kernel without IPv6. */
		address_parse_ip(&address, "0.0.0.0", 7);
		address_set_port(&address, address_port(&asked->address));
		result = obtain(listening->pool->supervisor, listening, &request);
	}
	if (result == 0 && !listening->bound_only)
		say_listening(listening);
	return result;
}

/* The router, which passes on what workers ask for, reads what clients send: it is not believed. */
static bool may_be_asked(const struct link_message *asked)
{
	const struct address *address = &asked->address;
	socklen_t length = address->length;

	if (asked->socket_type != SOCK_STREAM && asked->socket_type != SOCK_DGRAM)
		return false;
	switch (address_family(address)) {
	case AF_INET:
		return length == sizeof(struct sockaddr_in);
	case AF_INET6:
		return length == sizeof(struct sockaddr_in6);
	case AF_UNIX:
		/* A path is used as a string, too. */
		return length > offsetof(struct sockaddr_un, sun_path) && length <= sizeof(struct sockaddr_un) &&
		       strnlen(address->un.sun_path, sizeof(address->un.sun_path)) < sizeof(address->un.sun_path);
	default:
		return false;
	}
}

int listeners_ask(
    struct supervised_pool *pool, const struct link_message *asked, int fd, struct listening **answer)
{
	struct listening *listening = listeners_find_key(pool, asked->key);
	int result = 0;

	*answer = listening;
	if (listening && listening->bound_only && !asked->bind_only)
		return -listen_now(listening, asked->backlog);
	if (listening)
		return 0;
	if (!may_be_asked(asked))
		return EINVAL;
	if (count_of_pool(pool) >= LISTENINGS_PER_POOL_MAX)
		return EMFILE;
	listening = listening_new(pool->supervisor, pool, LINK_INDEX_WORKERS);
	if (!listening)
		return ENOMEM;
	listening->socket_type = asked->socket_type;
	listening->user = user_of(pool);
	listening->key = strdup(asked->key);
	listening->data = asked->has_data ? strdup(asked->data) : NULL;
	if (!listening->key || (asked->has_data && !listening->data))
		result = -ENOMEM;
	else if (pool->config->has_listeners && asked->socket_type == SOCK_STREAM)
		borrow_address(listening, &asked->address);
	else
		result = open_for_workers(listening, asked, fd);
	if (result < 0) {
		listeners_close(pool->supervisor, listening);
		return -result;
	}
	*answer = listening;
	return 0;
}

int listeners_adopt(struct supervisor *supervisor, const struct listening_past *past)
{
	struct listening *listening =
	    listening_new(supervisor, past->pool, past->configured ? LINK_INDEX_CONFIGURED : LINK_INDEX_WORKERS);

	if (!listening) {
		if (past->fd >= 0)
			close(past->fd);
		return -ENOMEM;
	}
	supervisor->next_listening--; /* the number is the old one */
	listening->id = past->id;
	listening->fd = past->fd;
	listening->socket_type = past->socket_type;
	listening->bound_only = past->bound_only;
	listening->asked = past->asked;
	listening->name = past->name ? strdup(past->name) : NULL;
	listening->user = past->configured ? NULL : user_of(past->pool);
	listening->address = past->address;
	listening->given = past->given ? strdup(past->given) : NULL;
	listening->stored = past->stored ? strdup(past->stored) : NULL;
	listening->key = past->key ? strdup(past->key) : NULL;
	listening->data = past->data ? strdup(past->data) : NULL;
	if (listening->fd >= 0)
		read_back_address(listening);
	return (past->key && !listening->key) || (past->data && !listening->data) ||
			   (past->given && !listening->given) || (past->stored && !listening->stored)
		   ? -ENOMEM
		   : 0;
}

/* ---- the end ---- */

static void listening_free(struct supervisor *supervisor, struct listening *listening)
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

void listeners_close(struct supervisor *supervisor, struct listening *listening)
{
	if (listening->stored)
		activation_forget(&supervisor->activation, listening->stored);
	if (listening->given && supervisor->state == SUPERVISOR_RUNNING) {
		activation_add(&supervisor->activation, listening->fd, listening->given);
		listening->fd = -1;
	}
	if (listening->fd >= 0 && !listening->given && is_path(&listening->address))
		remove_path(listening);
	listening_free(supervisor, listening);
}

void listeners_close_all(struct supervisor *supervisor)
{
	while (!TAILQ_EMPTY(&supervisor->listenings))
		listeners_close(supervisor, TAILQ_FIRST(&supervisor->listenings));
	activation_close(&supervisor->activation);
}

void listeners_leave_all(struct supervisor *supervisor)
{
	struct listening *listening;

	while ((listening = TAILQ_FIRST(&supervisor->listenings))) {
		if (listening->stored)
			listening_free(supervisor, listening);
		else
			listeners_close(supervisor, listening);
	}
}
