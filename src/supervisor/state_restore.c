/* The other half of state.h: a supervisor made from the state that its predecessor left. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "config/keys.h"
#include "supervisor/join.h"
#include "supervisor/listeners.h"
#include "supervisor/pools.h"
#include "supervisor/pool_settings.h"
#include "supervisor/process.h"
#include "supervisor/roll.h"
#include "supervisor/router_process.h"
#include "supervisor/state.h"

static json_int_t integer(const json_t *object, const char *name)
{
	return json_integer_value(json_object_get(object, name));
}

static const char *string(const json_t *object, const char *name)
{
	return json_string_value(json_object_get(object, name));
}

static bool boolean(const json_t *object, const char *name)
{
	return json_is_true(json_object_get(object, name));
}

static double number(const json_t *object, const char *name)
{
	return json_number_value(json_object_get(object, name));
}

/* The fd of this name that was left open over execve(), made close-on-exec again: one that is so already is this limpet's own, or
 * was named before. type: S_IFSOCK, S_IFREG. -1: there is none. */
static int fd_of(const json_t *object, const char *name, mode_t type)
{
	const json_t *fd = json_object_get(object, name);
	struct stat status;
	int value, flags;

	if (!json_is_integer(fd) || json_integer_value(fd) < 3 || json_integer_value(fd) > INT32_MAX)
		return -1;
	value = (int)json_integer_value(fd);
	flags = fcntl(value, F_GETFD);
	if (flags < 0 || flags & FD_CLOEXEC || fstat(value, &status) < 0 || (status.st_mode & S_IFMT) != type ||
	    fcntl(value, F_SETFD, FD_CLOEXEC) < 0)
		return -1;
	return value;
}

static int socket_of(const json_t *object, const char *name)
{
	return fd_of(object, name, S_IFSOCK);
}

/* A signal to any other would be to a stranger. One that has ended is a child until it is asked for. */
static bool is_child(pid_t pid)
{
	siginfo_t info;

	return pid > 0 && waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

static int restore_seed(struct supervisor *supervisor, const json_t *state)
{
	const char *hex = string(state, "seed");

	if (!hex || strlen(hex) != 2 * sizeof(supervisor->seed))
		return -EPROTO;
	for (size_t i = 0; i < sizeof(supervisor->seed); i++) {
		unsigned byte;

		if (sscanf(hex + 2 * i, "%2x", &byte) != 1)
			return -EPROTO;
		supervisor->seed[i] = (unsigned char)byte;
	}
	return 0;
}

/* True: the very memory goes on, so that nothing has to be copied. */
static bool attach_stats(struct supervisor *supervisor, const json_t *state)
{
	int fd = fd_of(state, "stats", S_IFREG);
	struct stats *stats = fd < 0 ? NULL : stats_attach(fd);

	if (!stats) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	stats_free(supervisor->stats);
	close(supervisor->stats_fd);
	supervisor->stats = stats;
	supervisor->stats_fd = fd;
	return true;
}

static void restore_counters(struct supervisor *supervisor, const json_t *state)
{
	const json_t *counters = json_object_get(state, "counters");

	supervisor->stats_kept = attach_stats(supervisor, state);
	if (supervisor->stats_kept)
		return;
	for (size_t i = 0; i < COUNTER_COUNT; i++)
		stats_add(supervisor->stats, (enum counter)i,
		    (uint64_t)integer(counters, counter_descriptions[i].name));
}

static struct supervised_slot *find_slot(struct supervisor *supervisor, const json_t *item)
{
	const char *pool_name = string(item, "pool"), *slot_name = string(item, "slot");
	struct supervised_pool *pool = pool_name ? pools_find(supervisor, pool_name) : NULL;

	for (size_t i = 0; pool && slot_name && i < pool->slots_count; i++)
		if (strcmp(pool->slots[i]->name, slot_name) == 0)
			return pool->slots[i];
	return NULL;
}

static void restore_slot_stats(struct supervisor *supervisor, struct supervised_slot *slot, const json_t *item)
{
	json_int_t index = integer(item, "stats");

	if (!supervisor->stats_kept) {
		slot->stats->restarts = (uint32_t)integer(item, "restarts");
		slot->stats->handed_off = (uint64_t)integer(item, "handed_off");
		slot->stats->acknowledged = (uint64_t)integer(item, "acknowledged");
	} else if (index >= 0 && index < STATS_SLOTS_MAX) {
		stats_release_slot(slot->stats);
		slot->stats = &supervisor->stats->slots[index];
		slot->stats->used = 1;
		slot->pool->slot_stats[slot->index] = slot->stats;
	}
}

/* Places of slots that the configuration has no more. */
static void release_unowned(struct supervisor *supervisor)
{
	for (size_t i = 0; i < STATS_SLOTS_MAX; i++) {
		struct slot_stats *stats = &supervisor->stats->slots[i];
		bool owned = !stats->used;

		for (size_t j = 0; !owned && j < supervisor->pools_count; j++)
			for (size_t k = 0; !owned && k < supervisor->pools[j]->slots_count; k++)
				owned = supervisor->pools[j]->slot_stats[k] == stats;
		if (!owned)
			stats_release_slot(stats);
	}
}

static void restore_slots(struct supervisor *supervisor, const json_t *state)
{
	const json_t *item;
	size_t i;

	json_array_foreach(json_object_get(state, "slots"), i, item)
	{
		struct supervised_slot *slot = find_slot(supervisor, item);

		if (!slot)
			continue;
		slot->generation = (uint32_t)integer(item, "generation");
		slot->failures = (unsigned)integer(item, "failures");
		slot->outdated = boolean(item, "outdated");
		restore_slot_stats(supervisor, slot, item);
	}
	if (supervisor->stats_kept)
		release_unowned(supervisor);
}

static int restore_listenings(struct supervisor *supervisor, const json_t *state)
{
	const json_t *item;
	size_t i;

	json_array_foreach(json_object_get(state, "listenings"), i, item)
	{
		const char *pool = string(item, "pool"), *asked = string(item, "asked"), *address = string(item, "address");
		struct listening_past past = {.id = (uint32_t)integer(item, "id"),
		    .fd = socket_of(item, "fd"),
		    .socket_type = (int)integer(item, "type"),
		    .bound_only = boolean(item, "bound_only"),
		    .configured = boolean(item, "configured"),
		    .pool = pool ? pools_find(supervisor, pool) : NULL,
		    .name = string(item, "name"),
		    .given = string(item, "given"),
		    .stored = string(item, "stored"),
		    .key = string(item, "key"),
		    .data = string(item, "data")};

		/* One that is lost is opened again. */
		if (past.configured && past.fd < 0)
			continue;
		if (asked)
			address_parse(&past.asked, asked, NULL);
		if (address)
			address_parse(&past.address, address, NULL);
		if (listeners_adopt(supervisor, &past) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int restore_kept(struct process *process, const json_t *item)
{
	const json_t *kept;
	size_t i;

	json_array_foreach(json_object_get(item, "kept"), i, kept)
	{
		const char *key = string(kept, "key");
		int fd = socket_of(kept, "fd");

		bool good = key && strlen(key) <= CHANNEL_KEY_MAX && fd >= 0;

		if (good)
			process_keep(process, (uint64_t)integer(kept, "number"), key, fd);
		if (fd >= 0)
			close(fd);
		if (!good)
			return -EPROTO;
	}
	return 0;
}

static void restore_inherited(struct supervisor *supervisor, const json_t *state)
{
	const json_t *item;
	size_t i;

	json_array_foreach(json_object_get(state, "inherited"), i, item)
	{
		const char *name = string(item, "name");
		int fd = socket_of(item, "fd");

		if (fd >= 0)
			activation_add(&supervisor->activation, fd, name ? name : "unknown");
	}
}

static void restore_doors(struct supervisor *supervisor, const json_t *state)
{
	const json_t *item;
	size_t i;

	json_array_foreach(json_object_get(state, "doors"), i, item)
	{
		int fd = socket_of(item, "fd");

		if (fd >= 0)
			join_adopt(supervisor, fd);
	}
}

static bool is_known(enum protocol protocol, enum flavour flavour)
{
	return choice_name(protocol_choices, (int)protocol) &&
	       (flavour == FLAVOUR_NONE || choice_name(flavour_choices, (int)flavour));
}

static int restore_process(struct supervisor *supervisor, const json_t *item)
{
	const char *pool = string(item, "pool"), *slot = string(item, "slot"), *place = string(item, "place");
	struct process_past past = {.pool = pool,
	    .slot_name = slot,
	    .slot = find_slot(supervisor, item),
	    .incoming = place && strcmp(place, "incoming") == 0,
	    .retired = !place || strcmp(place, "retired") == 0,
	    .id = (uint32_t)integer(item, "id"),
	    .generation = (uint32_t)integer(item, "generation"),
	    .pid = (pid_t)integer(item, "pid"),
	    .agent = (pid_t)integer(item, "agent"),
	    .channel = socket_of(item, "fd"),
	    .external = boolean(item, "external"),
	    .escort = socket_of(item, "escort"),
	    .left = boolean(item, "left"),
	    .lost = boolean(item, "lost"),
	    .protocol = (enum protocol)integer(item, "protocol"),
	    .flavour = (enum flavour)integer(item, "flavour"),
	    .ready = boolean(item, "ready"),
	    .ready_since = number(item, "ready_since"),
	    .leaving = boolean(item, "leaving"),
	    .draining = boolean(item, "draining"),
	    .last_signal = (int)integer(item, "last_signal"),
	    .drain_timeout = number(item, "drain_timeout"),
	    .kill_timeout = number(item, "kill_timeout"),
	    .drain_signal = (int)integer(item, "drain_signal"),
	    .end_in = number(item, "end_in")};
	const json_t *server;
	struct process *process;
	size_t i;

	if (!pool || !slot || past.pid <= 0 || past.channel < 0 || !is_known(past.protocol, past.flavour)) {
		if (past.channel >= 0)
			close(past.channel);
		if (past.escort >= 0)
			close(past.escort);
		return -EPROTO;
	}
	if (!past.external && !is_child(past.agent ? past.agent : past.pid)) {
		log_warning("pool %s: worker %s: pid %d is no child of limpet's any more: it is left alone", pool, slot,
		    (int)past.pid);
		close(past.channel);
		if (past.escort >= 0)
			close(past.escort);
		return 0;
	}
	process = process_adopt(supervisor, &past);
	if (!process)
		return -ENOMEM;
	json_array_foreach(json_object_get(item, "servers"), i, server)
	{
		const char *key = string(server, "key");

		if (!key || strlen(key) > CHANNEL_KEY_MAX)
			return -EPROTO;
		if (process_server_add(process, key, (uint32_t)integer(server, "listening")) < 0)
			return -ENOMEM;
		process_server_find(process, key)->accepts = boolean(server, "accepts");
	}
	return restore_kept(process, item);
}

static int restore_processes(struct supervisor *supervisor, const json_t *state)
{
	const json_t *item;
	size_t i;

	json_array_foreach(json_object_get(state, "processes"), i, item)
	{
		int result = restore_process(supervisor, item);

		if (result < 0)
			return result;
	}
	return 0;
}

static bool speaks_otherwise(const struct process *process, const struct pool_config *config)
{
	return process && (process->protocol != config->protocol || process->flavour != config->flavour);
}

/* Workers that a reload would have replaced are to be replaced. */
static void outdate_slots(struct supervised_pool *pool, const json_t *past)
{
	bool all = past && pool_settings_outdate_described(past, pool->config);
	bool bereft = boolean(past, "has_listeners") && !pool->config->has_listeners;

	for (size_t i = 0; i < pool->slots_count; i++) {
		struct supervised_slot *slot = pool->slots[i];

		if (slot->external) {
			if (bereft && slot->process)
				process_retire(slot->process);
			continue;
		}
		if (all || speaks_otherwise(slot->process, pool->config) || speaks_otherwise(slot->incoming, pool->config))
			roll_outdate(slot);
	}
}

static void outdate_pools(struct supervisor *supervisor, const json_t *state)
{
	for (size_t i = 0; i < supervisor->pools_count; i++) {
		struct supervised_pool *pool = supervisor->pools[i];
		const json_t *item, *past = NULL;
		size_t j;

		json_array_foreach(json_object_get(state, "pools"), j, item)
		{
			const char *name = string(item, "pool");

			if (name && strcmp(name, pool->name) == 0)
				past = item;
		}
		outdate_slots(pool, past);
	}
}

/* The old router hands over to the one that is started next, if both speak the same language; else it ends, and what it had not
 * handed off is lost. */
static int restore_router(struct supervisor *supervisor, const json_t *state)
{
	const json_t *router = json_object_get(state, "router");
	pid_t pid = (pid_t)integer(router, "pid");
	int fd = socket_of(router, "fd");

	if (fd < 0)
		return 0;
	if (!is_child(pid)) {
		close(fd);
		return 0;
	}
	if (integer(state, "link") != LINK_VERSION) {
		log_warning("the former router is of a version that cannot hand over: connections whose request head is not "
			    "complete are lost");
		close(fd);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		return 0;
	}
	supervisor->router = router_adopt(supervisor, pid, fd);
	return supervisor->router ? 0 : -ENOMEM;
}

int state_restore(struct supervisor *supervisor, const json_t *state)
{
	int result;

	supervisor->started = number(state, "started");
	supervisor->was_ready = boolean(state, "was_ready");
	supervisor->next_worker = (uint32_t)integer(state, "next_worker");
	supervisor->next_listening = (uint32_t)integer(state, "next_listening");
	supervisor->former_control = socket_of(json_object_get(state, "control"), "fd");
	restore_counters(supervisor, state);
	result = restore_seed(supervisor, state);
	if (!result)
		result = pools_apply(supervisor, supervisor->config);
	if (!result)
		result = restore_listenings(supervisor, state);
	restore_inherited(supervisor, state);
	restore_doors(supervisor, state);
	if (!result)
		join_prepare(supervisor, supervisor->config); /* without it clients are served all the same */
	if (!result)
		result = listeners_prepare(supervisor, supervisor->config);
	if (!result) {
		restore_slots(supervisor, state);
		result = restore_processes(supervisor, state);
	}
	if (!result) {
		outdate_pools(supervisor, state);
		listeners_commit(supervisor, supervisor->config);
		join_commit(supervisor, supervisor->config);
		result = restore_router(supervisor, state);
	}
	if (result < 0)
		log_error("the state that the former limpet left cannot be taken over: %s", strerror(-result));
	return result;
}
