/* Which sockets are open: those of the configuration, and those that workers ask for. How a socket is come by is listening.c's. */
#include "supervisor/listeners.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "route/sticky_key.h"
#include "supervisor/listening.h"

#define LISTENINGS_PER_POOL_MAX 1024

/* While it is not known which listener of the configuration a new socket belongs to. */
#define LINK_INDEX_NEW (LINK_INDEX_WORKERS - 1)
#define LINK_INDEX_CONFIGURED (LINK_INDEX_WORKERS - 2) /* from before an upgrade */

/* A listener that looks at what every client sends has use for connections only once something came. */
static bool defers_accept(const struct listener_config *config)
{
	return config->proxy_protocol || sticky_needs_head(config->sticky, config->sticky_count);
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

static bool is_ipv6_only(const struct listening *listening)
{
	socklen_t length = sizeof(int);
	int value = 0;

	return address_family(&listening->address) == AF_INET6 &&
	       (getsockopt(listening->fd, IPPROTO_IPV6, IPV6_V6ONLY, &value, &length) < 0 || value);
}

/* The listener's own pool may listen there already, because its workers asked for it: the address stays open. */
static struct listening *find_asked_for(struct supervisor *supervisor, const struct listener_config *config)
{
	struct listening *listening;

	TAILQ_FOREACH (listening, &supervisor->listenings, entry)
		if (listening->index == LINK_INDEX_WORKERS && listening->fd >= 0 && !listening->bound_only &&
		    listening->socket_type == SOCK_STREAM && listening->pool &&
		    strcmp(listening->pool->name, config->pool->name) == 0 &&
		    address_equal(&listening->address, &config->address) && !is_ipv6_only(listening))
			return listening;
	return NULL;
}

/* It keeps its key: when the configuration drops it the workers may have it again. */
static struct listening *take_from_workers(struct supervisor *supervisor, const struct listener_config *config)
{
	struct listening *listening = find_asked_for(supervisor, config);
	char text[ADDRESS_TEXT_MAX];

	listening->asked = config->address;
	log_info("listener %s: goes on with the socket that its pool's workers opened on %s", config->name,
	    address_format(&listening->address, text, sizeof(text)));
	return listening;
}

/* The configuration drops it: does it become again one of those that workers asked for? */
static bool give_to_workers(struct listening *listening)
{
	if (!listening->key || !listening->pool || listening->pool->config->has_listeners)
		return false;
	listening->index = LINK_INDEX_WORKERS;
	return true;
}

static int open_configured(struct supervisor *supervisor, const struct listener_config *config)
{
	struct listening_request request = {.listener = config->name,
	    .address = &config->address,
	    .socket_type = SOCK_STREAM,
	    .backlog = (int)config->backlog,
	    .mode = config->mode,
	    .defer_accept = defers_accept(config)};
	struct listening *listening = listening_new(supervisor, NULL, LINK_INDEX_NEW);
	char text[ADDRESS_TEXT_MAX];
	int result;

	if (!listening)
		return -ENOMEM;
	listening->asked = config->address;
	listening->name = strdup(config->name);
	result = listening->name ? listening_obtain(supervisor, listening, &request) : -ENOMEM;
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

		if (!find_configured(supervisor, listener) && !find_asked_for(supervisor, listener))
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
		next = TAILQ_NEXT(listening, entry);
		if (listening->index != LINK_INDEX_WORKERS ? !in_config(config, listening) && !give_to_workers(listening)
							    : !listening->pool || lacks_socket(listening))
			listeners_close(supervisor, listening);
	}
	for (size_t i = 0; i < config->listeners_count && config->listeners[i].has_address; i++) {
		const struct listener_config *listener = &config->listeners[i];
		bool is_new;

		listening = find_configured(supervisor, listener);
		if (!listening)
			listening = take_from_workers(supervisor, listener);
		is_new = listening->index == LINK_INDEX_NEW;
		listening->index = (uint32_t)i;
		listening->pool = supervisor->pools[listener->pool - config->pools];
		listening_set_defer_accept(listening, defers_accept(listener));
		listening_set_mode(listening, &listener->mode);
		if (is_new)
			listening_say(listening);
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
	listening_say(listening);
	return 0;
}

static int open_for_workers(struct listening *listening, const struct link_message *asked, int own)
{
	const struct listener_config *config = listening->pool->config->worker_listener;
	struct address address = asked->address;
	struct listening_request request = {.address = &address,
	    .socket_type = asked->socket_type,
	    .adopts = own >= 0,
	    .own = own,
	    .ipv6_only = asked->ipv6_only,
	    .backlog = asked->backlog > 0 ? asked->backlog : (int)config->backlog,
	    .defer_accept = asked->socket_type == SOCK_STREAM && defers_accept(config),
	    .user = listening->user};
	int result = listening_obtain(listening->pool->supervisor, listening, &request);

	if (result == -EAFNOSUPPORT && asked->any_address) {
		/* A kernel without IPv6. */
		address_parse_ip(&address, "0.0.0.0", 7);
		address_set_port(&address, address_port(&asked->address));
		result = listening_obtain(listening->pool->supervisor, listening, &request);
	}
	if (result == 0 && !listening->bound_only)
		listening_say(listening);
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
		listening_read_address(listening);
	return (past->key && !listening->key) || (past->data && !listening->data) ||
			   (past->given && !listening->given) || (past->stored && !listening->stored)
		   ? -ENOMEM
		   : 0;
}

/* ---- the end ---- */

void listeners_close(struct supervisor *supervisor, struct listening *listening)
{
	if (listening->stored)
		activation_forget(&supervisor->activation, listening->stored);
	if (listening->given && supervisor->state == SUPERVISOR_RUNNING) {
		activation_add(&supervisor->activation, listening->fd, listening->given);
		listening->fd = -1;
	}
	if (!listening->given)
		listening_remove_path(listening);
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
