#include "supervisor/control.h"

#include <errno.h>
#include <grp.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "supervisor/control_peer.h"
#include "supervisor/pools.h"
#include "supervisor/process.h"
#include "supervisor/reload.h"
#include "supervisor/roll.h"
#include "supervisor/sandbox.h"
#include "supervisor/unix_socket.h"
#include "supervisor/upgrade.h"

#define REQUEST_MAX 4096
#define CLIENTS_MAX 16
#define CLIENT_SECONDS 5.0

/* For a reload: longer than two successions can take. limpetctl waits longer. */
#define RELOAD_SECONDS 12.0

/* Without a file for it, a client waits so long in the backlog. */
#define PAUSE_SECONDS 0.1

/* Those who are refused fill no log. */
#define REFUSAL_SECONDS 1.0

struct control_client {
	TAILQ_ENTRY(control_client) entry;
	struct control *control;
	ev_io io;
	ev_timer timer;
	size_t received;
	unsigned awaits_reload; /* the outcome of which one it is told; 0: none */
	char request[REQUEST_MAX];
	char *answer;
	size_t length;
	size_t sent;
};

struct control {
	struct supervisor *supervisor;
	struct address address;
	struct control_owner owner;
	double refused; /* when that was last logged */
	ev_io io;
	ev_timer pause_timer;
	unsigned count;
	unsigned reloads; /* that have ended */
	TAILQ_HEAD(, control_client) clients;
};

/* ---- status ---- */

/* What the worker tells of itself; NULL if it tells nothing. */
static json_t *status_of_values(const struct supervised_slot *slot)
{
	const struct slot_values *values = stats_values(slot->pool->supervisor->stats, slot->stats);
	struct slot_value value;
	json_t *result = NULL;

	for (size_t i = 0; values && stats_value(values, i, &value); i++) {
		if (!result)
			result = json_object();
		json_object_set_new(result, value.name, json_real(value.value));
	}
	return result;
}

static json_t *status_of_slot(const struct supervised_slot *slot)
{
	const struct slot_stats *stats = slot->stats;

	const char *bypass = slot->process && slot->process->bypass[0] ? slot->process->bypass : NULL;

	return json_pack("{s:s, s:s, s:i, s:I, s:I, s:i, s:I, s:I, s:I, s:I, s:b, s:s*, s:s*, s:o*}", "slot", slot->name, "state",
	    slot_state_name(stats->state), "pid", stats->pid, "generation", (json_int_t)stats->generation, "restarts",
	    (json_int_t)stats->restarts, "weight", (int)slot->pool->config->slots[slot->index].weight, "handed_off", (json_int_t)stats->handed_off,
	    "acknowledged", (json_int_t)stats->acknowledged, "unacknowledged", (json_int_t)stats->unacknowledged,
	    "waiting", (json_int_t)stats->waiting, "external", slot->external, "connections",
	    slot->process ? process_connections(slot->process) : NULL, "bypass", bypass, "values",
	    status_of_values(slot));
}

static json_t *status_of_pools(struct supervisor *supervisor)
{
	json_t *pools = json_object();

	for (size_t i = 0; i < supervisor->pools_count; i++) {
		const struct supervised_pool *pool = supervisor->pools[i];
		json_t *slots = json_array();

		for (size_t j = 0; j < pool->slots_count; j++)
			json_array_append_new(slots, status_of_slot(pool->slots[j]));
		json_object_set_new(pools, pool->name,
		    json_pack("{s:o, s:I, s:I}", "slots", slots, "retired",
			(json_int_t)process_retired_count(supervisor, pool->name), "outdated",
			(json_int_t)roll_outdated(pool)));
	}
	return pools;
}

static json_t *status_of_listeners(struct supervisor *supervisor)
{
	json_t *listeners = json_array();
	const struct listening *listening;
	char text[ADDRESS_TEXT_MAX];

	TAILQ_FOREACH (listening, &supervisor->listenings, entry) {
		if (listening->fd < 0)
			continue;
		json_array_append_new(listeners,
		    json_pack("{s:s, s:s, s:s}", "address",
			address_format(&listening->address, text, sizeof(text)), "transport",
			listening->socket_type == SOCK_DGRAM ? "udp" : "stream", "pool",
			listening->pool ? listening->pool->name : ""));
	}
	return listeners;
}

/* The router writes the state itself: taken once, and no more trusted than the rest of its memory. */
static json_t *status_of_sandbox(const struct supervisor *supervisor)
{
	struct sandbox_state state = supervisor->stats->sandbox;
	json_t *missing = json_object();

	if (state.landlock < 0)
		json_object_set_new(missing, "landlock", json_string(sandbox_why(state.landlock)));
	if (state.empty_root < 0)
		json_object_set_new(missing, "empty_root", json_string(sandbox_why(state.empty_root)));
	if (state.system_calls < 0)
		json_object_set_new(missing, "seccomp", json_string(sandbox_why(state.system_calls)));
	return json_pack("{s:i, s:I, s:b, s:s, s:i, s:b, s:b, s:o}", "pid", (int)state.pid, "uid", (json_int_t)state.uid,
	    "no_new_privs", state.no_new_privs != 0, "capabilities", state.capabilities ? "some" : "none", "landlock",
	    state.landlock > 0 ? (int)state.landlock : 0, "empty_root", state.empty_root > 0, "seccomp",
	    state.system_calls > 0, "missing", missing);
}

static json_t *status(struct supervisor *supervisor)
{
	static const char *const states[] = {"running", "draining", "stopping"};
	json_t *counters = json_object();

	for (size_t i = 0; i < COUNTER_COUNT; i++)
		json_object_set_new(counters, counter_descriptions[i].name,
		    json_integer((json_int_t)stats_get(supervisor->stats, (enum counter)i)));
	return json_pack("{s:s, s:i, s:i, s:s, s:f, s:o, s:o, s:o, s:o}", "version", LIMPET_VERSION, "pid", (int)getpid(),
	    "router_pid", supervisor->router ? (int)supervisor->router->pid : 0, "state", states[supervisor->state], "uptime",
	    clock_now() - supervisor->started, "sandbox", status_of_sandbox(supervisor), "listeners",
	    status_of_listeners(supervisor), "pools", status_of_pools(supervisor), "counters", counters);
}

static json_t *refusal(const char *why)
{
	return json_pack("{s:s}", "error", why);
}

static json_t *done(const char *what)
{
	return json_pack("{s:s}", "done", what);
}

/* "pool" in the request names one; without it all are meant. */
static json_t *restart(struct supervisor *supervisor, const char *name)
{
	if (supervisor->state != SUPERVISOR_RUNNING)
		return refusal("limpet is stopping");
	if (name && !pools_find(supervisor, name))
		return refusal("there is no pool of this name");
	for (size_t i = 0; i < supervisor->pools_count; i++)
		if (!name || strcmp(supervisor->pools[i]->name, name) == 0)
			roll_pool(supervisor->pools[i]);
	return done("the rolling restart has begun; status shows how far it is");
}

static json_t *outcome_of_reload(int result)
{
	return result < 0 ? refusal("nothing was changed; limpet's log says why") : done("reloaded");
}

/* NULL: it follows, unless memory is out. */
static json_t *answer(struct supervisor *supervisor, const char *text, size_t length, unsigned *awaits_reload)
{
	json_t *request = json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL), *result;
	const char *command = json_string_value(json_object_get(request, "command"));

	if (!command)
		result = refusal("not a request: {\"command\": \"NAME\"}");
	else if (strcmp(command, "status") == 0)
		result = status(supervisor);
	else if (strcmp(command, "restart") == 0)
		result = restart(supervisor, json_string_value(json_object_get(request, "pool")));
	else if (strcmp(command, "reload") == 0) {
		int outcome = reload(supervisor);

		result = outcome == RELOAD_FOLLOWS ? NULL : outcome_of_reload(outcome);
		/* One that was put off may have to let another end. */
		if (outcome == RELOAD_FOLLOWS)
			*awaits_reload = supervisor->control->reloads + 1 +
			                 (supervisor->reload_wanted && supervisor->reload_settles);
	} else if (strcmp(command, "upgrade") == 0)
		result = upgrade(supervisor) < 0 ? refusal("nothing was changed; limpet's log says why")
						 : done("the new binary is asked whether it can take over; limpet's log says how it ended");
	else if (strcmp(command, "stop") == 0) {
		supervisor_drain(supervisor);
		result = done("stopping: workers finish their connections");
	} else
		result = refusal("unknown command; known: status, restart, reload, upgrade, stop");
	json_decref(request);
	return result;
}

/* ---- clients ---- */

static void client_free(struct control_client *client)
{
	struct control *control = client->control;
	struct ev_loop *loop = control->supervisor->loop;

	ev_io_stop(loop, &client->io);
	ev_timer_stop(loop, &client->timer);
	close(client->io.fd);
	TAILQ_REMOVE(&control->clients, client, entry);
	control->count--;
	free(client->answer);
	free(client);
}

static void on_client_writable(struct ev_loop *loop, ev_io *io, int revents)
{
	struct control_client *client = io->data;
	ssize_t sent = send(io->fd, client->answer + client->sent, client->length - client->sent,
	    MSG_DONTWAIT | MSG_NOSIGNAL);

	if (sent < 0 && errno == EAGAIN)
		return;
	if (sent > 0)
		client->sent += (size_t)sent;
	if (sent < 0 || client->sent == client->length)
		client_free(client);
}

/* result: consumed; NULL: out of memory. */
static void send_answer(struct control_client *client, json_t *result)
{
	struct ev_loop *loop = client->control->supervisor->loop;

	client->awaits_reload = 0;
	client->answer = result ? json_dumps(result, JSON_COMPACT) : NULL;
	json_decref(result);
	if (!client->answer) {
		client_free(client);
		return;
	}
	client->length = strlen(client->answer);
	client->answer[client->length++] = '\n'; /* in place of the NUL: the length counts */
	ev_io_init(&client->io, on_client_writable, client->io.fd, EV_WRITE);
	client->io.data = client;
	ev_io_start(loop, &client->io);
}

static void start_timer(struct control_client *client, double seconds)
{
	struct ev_loop *loop = client->control->supervisor->loop;

	ev_timer_stop(loop, &client->timer);
	ev_timer_set(&client->timer, seconds, 0.);
	ev_timer_start(loop, &client->timer);
}

static void make_answer(struct control_client *client)
{
	struct supervisor *supervisor = client->control->supervisor;
	unsigned awaits_reload = 0;
	json_t *result = answer(supervisor, client->request, client->received, &awaits_reload);

	ev_io_stop(supervisor->loop, &client->io);
	client->awaits_reload = awaits_reload;
	if (awaits_reload)
		start_timer(client, RELOAD_SECONDS);
	else
		send_answer(client, result);
}

void control_reloaded(struct supervisor *supervisor, int result)
{
	struct control_client *client, *next;

	if (!supervisor->control)
		return;
	supervisor->control->reloads++;
	for (client = TAILQ_FIRST(&supervisor->control->clients); client; client = next) {
		next = TAILQ_NEXT(client, entry);
		if (client->awaits_reload != supervisor->control->reloads)
			continue;
		start_timer(client, CLIENT_SECONDS);
		send_answer(client, outcome_of_reload(result));
	}
}

static void on_client_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct control_client *client = timer->data;

	if (!client->awaits_reload) {
		client_free(client);
		return;
	}
	start_timer(client, CLIENT_SECONDS);
	send_answer(client, refusal("the reload has not ended yet; limpet's log says why"));
}

static void on_client_readable(struct ev_loop *loop, ev_io *io, int revents)
{
	struct control_client *client = io->data;
	ssize_t received = recv(io->fd, client->request + client->received, sizeof(client->request) - client->received,
	    MSG_DONTWAIT);

	if (received < 0 && errno == EAGAIN)
		return;
	if (received < 0) {
		client_free(client);
		return;
	}
	client->received += (size_t)received;
	/* A request ends with its line or with the client's end of sending. */
	if (received == 0 || memchr(client->request, '\n', client->received) ||
	    client->received == sizeof(client->request))
		make_answer(client);
}

static void on_pause_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct control *control = timer->data;

	ev_io_start(loop, &control->io);
}

/* Out of files or memory: the client stays in the backlog, and would wake the loop at once again. */
static void pause_accepting(struct control *control)
{
	struct ev_loop *loop = control->supervisor->loop;

	ev_io_stop(loop, &control->io);
	ev_timer_set(&control->pause_timer, PAUSE_SECONDS, 0.);
	ev_timer_start(loop, &control->pause_timer);
}

static bool is_allowed(struct control *control, int fd)
{
	struct supervisor *supervisor = control->supervisor;
	struct ucred peer;

	if (control_peer_check(&control->owner, fd, &peer))
		return true;
	stats_add(supervisor->stats, COUNTER_control_refused, 1);
	if (clock_now() - control->refused >= REFUSAL_SECONDS) {
		control->refused = clock_now();
		log_warning("control socket: user %u (pid %d) may not use it and was refused; \"control_mode\" and \"control_group\" let a group in",
		    (unsigned)peer.uid, (int)peer.pid);
	}
	return false;
}

static void on_connect(struct ev_loop *loop, ev_io *io, int revents)
{
	struct control *control = io->data;
	struct control_client *client;
	int fd = accept4(io->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			pause_accepting(control);
		return;
	}
	if (!is_allowed(control, fd)) {
		close(fd);
		return;
	}
	client = control->count < CLIENTS_MAX ? calloc(1, sizeof(*client)) : NULL;
	if (!client) {
		close(fd);
		return;
	}
	client->control = control;
	control->count++;
	TAILQ_INSERT_TAIL(&control->clients, client, entry);
	ev_io_init(&client->io, on_client_readable, fd, EV_READ);
	client->io.data = client;
	ev_io_start(loop, &client->io);
	ev_init(&client->timer, on_client_timer);
	client->timer.data = client;
	start_timer(client, CLIENT_SECONDS);
}

/* ---- the socket ---- */

/* A socket without a path has no mode that would let a group in. */
static void find_owner(struct control *control, unsigned mode)
{
	struct stat status;

	control->owner.uid = geteuid();
	if (control->address.un.sun_path[0] == '\0' || stat(control->address.un.sun_path, &status) < 0)
		return;
	control->owner.group = status.st_gid;
	control->owner.group_allowed = (mode & 0020) != 0;
}

/* The former socket, if it has this address and can be found there; else it is closed. */
static int keep_socket(int former, const struct address *address, const struct permissions *permissions)
{
	struct address own = {.length = sizeof(own.un)};

	if (former < 0)
		return -1;
	if (getsockname(former, &own.sa, &own.length) == 0 && address_family(&own) == AF_UNIX) {
		if (address && address_equal(&own, address) && unix_socket_permit(&own, permissions) == 0)
			return former;
		unix_socket_remove(&own);
	}
	close(former);
	return -1;
}

static int find_socket(struct address *address, const char *path, int former,
    const struct permissions *permissions, const char **why)
{
	int fd, result = address_parse(address, path, why);

	if (result == 0 && address_family(address) != AF_UNIX)
		result = -EAFNOSUPPORT;
	if (result < 0 && strlen(path) < sizeof(address->un.sun_path))
		*why = "must be an absolute path, or \"@\" and a name";
	fd = keep_socket(former, result < 0 ? NULL : address, permissions);
	if (result < 0)
		return result;
	return fd < 0 ? unix_socket_open(address, SOCK_STREAM, permissions, CLIENTS_MAX) : fd;
}

int control_fd(const struct supervisor *supervisor)
{
	return supervisor->control ? supervisor->control->io.fd : -1;
}

/* A group that is there no more is nobody's. */
static int find_permissions(const struct config *config, struct permissions *permissions, const char **why)
{
	const struct group *group;

	*permissions = (struct permissions){.mode = config->control_mode.bits, .group = (gid_t)-1};
	if (!config->control_group)
		return 0;
	group = getgrnam(config->control_group);
	if (!group) {
		*why = "there is no group of the name in control_group";
		return -ENOENT;
	}
	permissions->group = group->gr_gid;
	return 0;
}

int control_open(struct supervisor *supervisor, int former)
{
	const char *path = supervisor->config->control, *why = NULL;
	struct permissions permissions;
	struct control *control;
	int fd;

	if (!path) {
		keep_socket(former, NULL, NULL);
		return 0;
	}
	control = calloc(1, sizeof(*control));
	if (!control)
		return -ENOMEM;
	control->supervisor = supervisor;
	TAILQ_INIT(&control->clients);
	fd = find_permissions(supervisor->config, &permissions, &why);
	if (fd < 0)
		keep_socket(former, NULL, NULL);
	else
		fd = find_socket(&control->address, path, former, &permissions, &why);
	if (fd < 0) {
		log_error("control socket %s: %s", path, why ? why : strerror(-fd));
		free(control);
		return fd;
	}
	find_owner(control, permissions.mode);
	control->refused = -REFUSAL_SECONDS;
	ev_timer_init(&control->pause_timer, on_pause_timer, 0., 0.);
	control->pause_timer.data = control;
	ev_io_init(&control->io, on_connect, fd, EV_READ);
	control->io.data = control;
	ev_io_start(supervisor->loop, &control->io);
	supervisor->control = control;
	return 0;
}

void control_close(struct supervisor *supervisor)
{
	struct control *control = supervisor->control;

	if (!control)
		return;
	while (!TAILQ_EMPTY(&control->clients))
		client_free(TAILQ_FIRST(&control->clients));
	ev_timer_stop(supervisor->loop, &control->pause_timer);
	ev_io_stop(supervisor->loop, &control->io);
	close(control->io.fd);
	unix_socket_remove(&control->address);
	free(control);
	supervisor->control = NULL;
}
