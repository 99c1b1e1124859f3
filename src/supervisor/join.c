#include "supervisor/join.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd_passing.h"
#include "base/log.h"
#include "channel/json_text.h"
#include "supervisor/control_peer.h"
#include "supervisor/external.h"
#include "supervisor/pools.h"
#include "supervisor/router_process.h"
#include "supervisor/unix_socket.h"

/* Connections at one socket that have not said hello. One more takes the place of the oldest, so that nobody who says nothing keeps
 * others out. */
#define JOINERS_MAX 64
#define HELLO_SECONDS 5.0

/* Messages behind a hello that is refused. */
#define UNREAD_MAX 16

#define BACKLOG 256
#define PAUSE_SECONDS 0.1

/* Those who are refused fill no log. */
#define REFUSAL_SECONDS 1.0

struct joiner {
	TAILQ_ENTRY(joiner) entry;
	struct door *door;
	struct ucred peer;
	ev_io io;
	ev_timer timer;
};

struct door {
	TAILQ_ENTRY(door) entry;
	struct supervisor *supervisor;
	struct supervised_pool *pool; /* NULL: not committed */
	struct address address;
	int fd;
	uid_t pool_user; /* may join besides the socket's owner */
	struct control_owner owner;
	double refused; /* when that was last logged */
	ev_io io;
	ev_timer pause_timer;
	unsigned count;
	TAILQ_HEAD(joiner_list, joiner) joiners;
};

/* ---- a connection until it is welcome ---- */

/* The fd stays open, and is the caller's. */
static int joiner_release(struct joiner *joiner)
{
	struct door *door = joiner->door;
	int fd = joiner->io.fd;

	ev_io_stop(door->supervisor->loop, &joiner->io);
	ev_timer_stop(door->supervisor->loop, &joiner->timer);
	TAILQ_REMOVE(&door->joiners, joiner, entry);
	door->count--;
	free(joiner);
	return fd;
}

static void give_up(struct joiner *joiner)
{
	stats_add(joiner->door->supervisor->stats, COUNTER_external_silent, 1);
	close(joiner_release(joiner));
}

static void on_hello_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
	give_up(timer->data);
}

static bool may_log(struct door *door)
{
	if (clock_now() - door->refused < REFUSAL_SECONDS)
		return false;
	door->refused = clock_now();
	return true;
}

/* again: it may be welcome later. */
static void send_bye(int fd, const char *reason, bool again)
{
	char bytes[256];
	struct json_text text = JSON_TEXT(bytes);

	json_text_add(&text, "{\"type\":\"bye\",\"reason\":");
	json_text_string(&text, reason);
	json_text_add(&text, ",\"again\":%s}", again ? "true" : "false");
	if (!text.full)
		fd_send(fd, bytes, text.length, -1);
	/* A socket that is closed with something unread resets the other end, which then may not read the reason. */
	for (int i = 0; i < UNREAD_MAX && recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0; i++)
		;
}

/* Tells why, and closes. */
static void refuse(struct joiner *joiner, const char *reason, bool again)
{
	struct door *door = joiner->door;

	stats_add(door->supervisor->stats, COUNTER_external_refused, 1);
	if (may_log(door))
		log_warning("pool %s: pid %d of user %u asked to join and was refused: %s", door->pool->name,
		    (int)joiner->peer.pid, (unsigned)joiner->peer.uid, reason);
	send_bye(joiner->io.fd, reason, again);
	close(joiner_release(joiner));
}

/* NULL with a reason, which may be written to text; again: it may be another time. */
static struct supervised_slot *find_place(
    struct supervised_pool *pool, const char *name, char *text, size_t size, const char **reason, bool *again)
{
	*reason = "every slot is taken";
	*again = true;
	for (size_t i = 0; i < pool->slots_count; i++) {
		struct supervised_slot *slot = pool->slots[i];

		if (*name ? strcmp(slot->name, name) != 0 : !slot->external || slot->process)
			continue;
		if (slot->external && !slot->process)
			return slot;
		snprintf(text, size, slot->external ? "slot %s is taken" : "slot %s is for a worker that limpet starts",
		    name);
		*reason = text;
		*again = slot->external;
		return NULL;
	}
	if (*name) {
		*again = false;
		snprintf(text, size, "there is no slot %s", name);
		*reason = text;
	}
	return NULL;
}

/* A channel that limpet-join passes. */
static bool is_channel(int fd, enum protocol protocol)
{
	int wanted = protocol == PROTOCOL_LIMPET || protocol == PROTOCOL_ACCEPT ? SOCK_SEQPACKET : SOCK_STREAM;
	int type = 0, domain = 0;
	socklen_t length = sizeof(int);
	struct address peer = {.length = sizeof(peer.un)};

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == wanted &&
	       getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0 && domain == AF_UNIX &&
	       getpeername(fd, &peer.sa, &peer.length) == 0;
}

static int send_welcome(int fd, const struct process *process)
{
	char bytes[512];
	struct json_text text = JSON_TEXT(bytes);
	ssize_t sent;

	json_text_add(&text, "{\"type\":\"welcome\",\"version\":%d,\"pool\":", CHANNEL_VERSION);
	json_text_string(&text, process->pool_name);
	json_text_add(&text, ",\"slot\":");
	json_text_string(&text, process->slot_name);
	json_text_add(&text, ",\"generation\":%u,\"worker\":%u}", process->generation, process->id);
	sent = text.full ? -EINVAL : fd_send(fd, bytes, text.length, -1);
	return sent < 0 ? (int)sent : 0;
}

/* fd: the channel that came with the hello, consumed; -1: none, the connection itself is the channel. */
static void admit(struct joiner *joiner, const struct hello *hello, struct supervised_slot *slot, int fd)
{
	struct supervisor *supervisor = joiner->door->supervisor;
	struct external_joiner external = {.hello = hello, .pid = joiner->peer.pid, .channel = fd, .escort = -1};
	int connection = joiner_release(joiner);
	struct process *process;

	if (fd < 0)
		external.channel = connection;
	else
		external.escort = connection;
	process = external_new(slot, &external);
	if (!process) {
		log_error("pool %s: worker %s: out of memory", slot->pool->name, slot->name);
		return;
	}
	/* It must have come before whatever the router says. */
	if (send_welcome(connection, process) < 0) {
		stats_add(supervisor->stats, COUNTER_external_silent, 1);
		slot->process = NULL;
		slot_set_state(slot, slot_vacant_state(slot));
		process_free(process);
		return;
	}
	external_begin(process);
	if (hello->ready)
		process_is_ready(process);
	if (hello->ready)
		router_tell_worker(supervisor, LINK_READY_BEFORE, process);
}

/* fd: consumed. */
static void take_hello(struct joiner *joiner, const struct hello *hello, int fd)
{
	struct supervised_pool *pool = joiner->door->pool;
	struct supervised_slot *slot = NULL;
	bool again = pool->supervisor->state != SUPERVISOR_RUNNING;
	const char *reason = NULL;
	char text[128];

	if (again)
		reason = "limpet is stopping";
	else if (hello->pool[0] && strcmp(hello->pool, pool->name) != 0)
		reason = "this is the socket of another pool";
	else if (fd < 0 && (hello->protocol != PROTOCOL_LIMPET || hello->ready))
		reason = "the channel must come with such a hello; see limpet-join(8)";
	else if (fd >= 0 && !is_channel(fd, hello->protocol))
		reason = "what came with the hello is no channel for its protocol";
	else
		slot = find_place(pool, hello->slot, text, sizeof(text), &reason, &again);
	if (slot) {
		admit(joiner, hello, slot, fd);
		return;
	}
	if (fd >= 0)
		close(fd);
	refuse(joiner, reason, again);
}

static void on_hello(struct ev_loop *loop, ev_io *io, int revents)
{
	struct joiner *joiner = io->data;
	struct hello hello;
	const char *reason;
	char bytes[HELLO_MAX + 1];
	int fd, truncated;
	ssize_t length = fd_receive(io->fd, bytes, sizeof(bytes), &fd, &truncated);

	if (length == -EAGAIN)
		return;
	if (length <= 0) {
		if (fd >= 0)
			close(fd);
		give_up(joiner);
	} else if (truncated || hello_parse(&hello, bytes, (size_t)length, &reason) < 0) {
		if (fd >= 0)
			close(fd);
		refuse(joiner, truncated ? "the hello is too long, or its channel was lost on the way" : reason, false);
	} else {
		take_hello(joiner, &hello, fd);
	}
}

/* ---- who may join ---- */

static bool may_join(struct door *door, int fd, struct ucred *peer)
{
	return control_peer_check(&door->owner, fd, peer) || (peer->pid > 0 && peer->uid == door->pool_user) ||
	       (peer->pid > 0 && peer->uid == geteuid());
}

static void on_pause_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct door *door = timer->data;

	ev_io_start(loop, &door->io);
}

/* Out of files or memory: it stays in the backlog, and would wake the loop at once again. */
static void pause_accepting(struct door *door)
{
	ev_io_stop(door->supervisor->loop, &door->io);
	ev_timer_set(&door->pause_timer, PAUSE_SECONDS, 0.);
	ev_timer_start(door->supervisor->loop, &door->pause_timer);
}

static void on_connect(struct ev_loop *loop, ev_io *io, int revents)
{
	struct door *door = io->data;
	int fd = accept4(io->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct joiner *joiner;
	struct ucred peer;

	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			pause_accepting(door);
		return;
	}
	joiner = may_join(door, fd, &peer) ? calloc(1, sizeof(*joiner)) : NULL;
	if (!joiner) {
		stats_add(door->supervisor->stats, COUNTER_external_refused, 1);
		if (may_log(door))
			log_warning("pool %s: user %u (pid %d) may not join and was refused; see \"socket_owner\" and \"socket_mode\"",
			    door->pool->name, (unsigned)peer.uid, (int)peer.pid);
		send_bye(fd, "this user may not join", false);
		close(fd);
		return;
	}
	if (door->count == JOINERS_MAX)
		give_up(TAILQ_FIRST(&door->joiners));
	joiner->door = door;
	joiner->peer = peer;
	door->count++;
	TAILQ_INSERT_TAIL(&door->joiners, joiner, entry);
	ev_io_init(&joiner->io, on_hello, fd, EV_READ);
	joiner->io.data = joiner;
	ev_io_start(loop, &joiner->io);
	ev_timer_init(&joiner->timer, on_hello_timer, HELLO_SECONDS, 0.);
	joiner->timer.data = joiner;
	ev_timer_start(loop, &joiner->timer);
}

/* ---- the sockets ---- */

/* fd: consumed. */
static struct door *door_new(struct supervisor *supervisor, const struct address *address, int fd)
{
	struct door *door = calloc(1, sizeof(*door));

	if (!door) {
		close(fd);
		return NULL;
	}
	door->supervisor = supervisor;
	door->address = *address;
	door->fd = fd;
	door->refused = -REFUSAL_SECONDS;
	TAILQ_INIT(&door->joiners);
	ev_io_init(&door->io, on_connect, fd, EV_READ);
	door->io.data = door;
	ev_timer_init(&door->pause_timer, on_pause_timer, 0., 0.);
	door->pause_timer.data = door;
	TAILQ_INSERT_TAIL(&supervisor->doors, door, entry);
	return door;
}

static void door_close(struct door *door)
{
	struct supervisor *supervisor = door->supervisor;

	while (!TAILQ_EMPTY(&door->joiners))
		close(joiner_release(TAILQ_FIRST(&door->joiners)));
	ev_io_stop(supervisor->loop, &door->io);
	ev_timer_stop(supervisor->loop, &door->pause_timer);
	TAILQ_REMOVE(&supervisor->doors, door, entry);
	close(door->fd);
	unix_socket_remove(&door->address);
	free(door);
}

static struct door *find_door(struct supervisor *supervisor, const struct address *address)
{
	struct door *door;

	TAILQ_FOREACH (door, &supervisor->doors, entry)
		if (address_equal(&door->address, address))
			return door;
	return NULL;
}

static int open_door(struct supervisor *supervisor, const struct pool_config *pool)
{
	const struct permissions permissions = {.mode = pool->socket_mode.bits, .group = (gid_t)-1};
	struct address address;
	int fd = address_parse(&address, pool->socket, NULL);

	if (!fd && find_door(supervisor, &address))
		return 0;
	if (!fd)
		fd = unix_socket_open(&address, SOCK_SEQPACKET, &permissions, BACKLOG);
	if (fd < 0) {
		log_error("pool %s: socket %s: %s", pool->name, pool->socket, strerror(-fd));
		return fd;
	}
	return door_new(supervisor, &address, fd) ? 0 : -ENOMEM;
}

void join_roll_back(struct supervisor *supervisor)
{
	struct door *door, *next;

	for (door = TAILQ_FIRST(&supervisor->doors); door; door = next) {
		next = TAILQ_NEXT(door, entry);
		if (!door->pool)
			door_close(door);
	}
}

int join_prepare(struct supervisor *supervisor, const struct config *config)
{
	for (size_t i = 0; i < config->pools_count; i++) {
		int result = config->pools[i].socket ? open_door(supervisor, &config->pools[i]) : 0;

		if (result < 0) {
			join_roll_back(supervisor);
			return result;
		}
	}
	return 0;
}

/* Whose the socket is, and who may join. */
static void set_owner(struct door *door, const struct pool_config *pool)
{
	const char *owner = pool->socket_owner ? pool->socket_owner : pool->user;
	const char *group = pool->socket_group ? pool->socket_group : pool->group;
	const char *path = door->address.un.sun_path;
	const struct passwd *user = pool->user ? getpwnam(pool->user) : NULL;
	const struct group *entry;

	door->pool_user = user ? user->pw_uid : geteuid();
	door->owner = (struct control_owner){.uid = geteuid(), .group = getegid()};
	user = owner ? getpwnam(owner) : NULL;
	if (user)
		door->owner = (struct control_owner){.uid = user->pw_uid, .group = user->pw_gid};
	entry = group ? getgrnam(group) : NULL;
	if (entry)
		door->owner.group = entry->gr_gid;
	/* A socket without a path has no mode that would let a group in. */
	if (!path[0])
		return;
	door->owner.group_allowed = (pool->socket_mode.bits & 0020) != 0;
	if (lchown(path, door->owner.uid, door->owner.group) < 0 || chmod(path, pool->socket_mode.bits) < 0)
		log_warning("pool %s: socket %s: cannot set its owner and mode: %s", pool->name, path, strerror(errno));
}

static bool commit_door(struct door *door, const struct config *config)
{
	for (size_t i = 0; i < config->pools_count; i++) {
		const struct pool_config *pool = &config->pools[i];
		struct address address;

		if (!pool->socket || address_parse(&address, pool->socket, NULL) < 0 ||
		    !address_equal(&address, &door->address))
			continue;
		door->pool = pools_find(door->supervisor, pool->name);
		set_owner(door, pool);
		if (!ev_is_active(&door->pause_timer))
			ev_io_start(door->supervisor->loop, &door->io);
		return door->pool != NULL;
	}
	return false;
}

void join_commit(struct supervisor *supervisor, const struct config *config)
{
	struct door *door, *next;

	for (door = TAILQ_FIRST(&supervisor->doors); door; door = next) {
		next = TAILQ_NEXT(door, entry);
		if (!commit_door(door, config))
			door_close(door);
	}
}

void join_adopt(struct supervisor *supervisor, int fd)
{
	struct address own = {.length = sizeof(own.un)};

	if (getsockname(fd, &own.sa, &own.length) == 0 && address_family(&own) == AF_UNIX)
		door_new(supervisor, &own, fd);
	else
		close(fd);
}

json_t *join_doors(struct supervisor *supervisor)
{
	json_t *list = json_array();
	struct door *door;

	TAILQ_FOREACH (door, &supervisor->doors, entry)
		json_array_append_new(list, json_pack("{s:i}", "fd", door->fd));
	return list;
}

void join_close_all(struct supervisor *supervisor)
{
	while (!TAILQ_EMPTY(&supervisor->doors))
		door_close(TAILQ_FIRST(&supervisor->doors));
}
