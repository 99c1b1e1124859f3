#include "supervisor/state.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "supervisor/control.h"
#include "supervisor/join.h"
#include "supervisor/pool_settings.h"
#include "supervisor/process.h"
#include "supervisor/readiness.h"

#define STATE_BYTES_MAX (64u << 20)

/* ---- making ---- */

static json_t *make_seed(const struct supervisor *supervisor)
{
	char hex[2 * sizeof(supervisor->seed) + 1];

	for (size_t i = 0; i < sizeof(supervisor->seed); i++)
		snprintf(hex + 2 * i, 3, "%02x", supervisor->seed[i]);
	return json_string(hex);
}

static json_t *make_listening(const struct listening *listening)
{
	char asked[ADDRESS_TEXT_MAX], address[ADDRESS_TEXT_MAX];

	return json_pack("{s:I, s:s?, s:i, s:i, s:b, s:b, s:s, s:s, s:s?, s:s?, s:s?, s:s?, s:s?}", "id",
	    (json_int_t)listening->id, "pool", listening->pool ? listening->pool->name : NULL, "fd", listening->fd, "type",
	    listening->socket_type, "bound_only", listening->bound_only, "configured", listening->index != LINK_INDEX_WORKERS, "asked",
	    address_format(&listening->asked, asked, sizeof(asked)), "address",
	    address_format(&listening->address, address, sizeof(address)), "name", listening->name, "key", listening->key,
	    "data", listening->data, "given", listening->given, "stored", listening->stored);
}

/* Sockets that the service manager passed and nobody uses. */
static json_t *make_inherited(const struct supervisor *supervisor)
{
	const struct inherited *inherited;
	json_t *list = json_array();

	TAILQ_FOREACH (inherited, &supervisor->activation.sockets, entry)
		json_array_append_new(list, json_pack("{s:i, s:s}", "fd", inherited->fd, "name", inherited->name));
	return list;
}

static json_t *make_pool(const struct supervised_pool *pool)
{
	json_t *result = pool_settings_describe(pool->config);

	json_object_set_new(result, "pool", json_string(pool->name));
	return result;
}

static json_t *make_slot(const struct supervised_slot *slot)
{
	return json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:b}", "pool", slot->pool->name, "slot", slot->name, "generation",
	    (json_int_t)slot->generation, "failures", (json_int_t)slot->failures, "restarts",
	    (json_int_t)slot->stats->restarts, "handed_off", (json_int_t)slot->stats->handed_off, "acknowledged",
	    (json_int_t)slot->stats->acknowledged, "stats",
	    (json_int_t)(slot->stats - slot->pool->supervisor->stats->slots), "outdated", slot->outdated);
}

static json_t *make_servers(const struct process *process)
{
	const struct process_server *server;
	json_t *servers = json_array();

	TAILQ_FOREACH (server, &process->servers, entry)
		json_array_append_new(servers,
		    json_pack("{s:s, s:I, s:b}", "key", server->key, "listening", (json_int_t)server->listening, "accepts",
			server->accepts));
	return servers;
}

static json_t *make_kept(const struct process *process)
{
	const struct process_kept *kept;
	json_t *list = json_array();

	TAILQ_FOREACH (kept, &process->kept, entry)
		json_array_append_new(list,
		    json_pack("{s:s, s:I, s:i}", "key", kept->key, "number", (json_int_t)kept->number, "fd", kept->fd));
	return list;
}

static const char *place_of(const struct process *process)
{
	if (!process->slot)
		return "retired";
	return process->slot->incoming == process ? "incoming" : "process";
}

static json_t *make_process(struct process *process)
{
	double end_in = ev_is_active(&process->end_timer)
			    ? ev_timer_remaining(process->supervisor->loop, &process->end_timer)
			    : -1;
	json_t *result = json_pack("{s:I, s:s, s:s, s:s, s:I, s:i, s:i, s:i, s:i, s:b, s:f, s:b, s:b, s:i, s:f, s:f, s:f, s:i, s:i}",
	    "id", (json_int_t)process->id, "pool", process->pool_name, "slot", process->slot_name, "place",
	    place_of(process), "generation", (json_int_t)process->generation, "pid", (int)process->pid, "fd",
	    process->channel, "protocol", (int)process->protocol, "flavour", (int)process->flavour, "ready",
	    process->ready, "ready_since", process->ready_since, "leaving", process->leaving, "draining",
	    process->draining, "last_signal", process->last_signal, "drain_timeout", process->drain_timeout,
	    "kill_timeout", process->kill_timeout, "end_in", end_in, "drain_signal",
	    process->drain_signal, "agent", (int)process->agent);

	if (result && process->external) {
		json_object_set_new(result, "external", json_true());
		json_object_set_new(result, "escort", json_integer(process->escort));
		json_object_set_new(result, "left", json_boolean(process->left));
		json_object_set_new(result, "lost", json_boolean(process->lost));
	}
	if (result && (json_object_set_new(result, "servers", make_servers(process)) < 0 ||
			  json_object_set_new(result, "kept", make_kept(process)) < 0)) {
		json_decref(result);
		return NULL;
	}
	return result;
}

static json_t *make_counters(const struct supervisor *supervisor)
{
	json_t *counters = json_object();

	for (size_t i = 0; i < COUNTER_COUNT; i++)
		json_object_set_new(counters, counter_descriptions[i].name,
		    json_integer((json_int_t)stats_get(supervisor->stats, (enum counter)i)));
	return counters;
}

json_t *state_make(struct supervisor *supervisor)
{
	json_t *listenings = json_array(), *pools = json_array(), *slots = json_array(), *processes = json_array(), *router = NULL;
	struct listening *listening;
	struct process *process;

	TAILQ_FOREACH (listening, &supervisor->listenings, entry)
		json_array_append_new(listenings, make_listening(listening));
	for (size_t i = 0; i < supervisor->pools_count; i++) {
		json_array_append_new(pools, make_pool(supervisor->pools[i]));
		for (size_t j = 0; j < supervisor->pools[i]->slots_count; j++)
			json_array_append_new(slots, make_slot(supervisor->pools[i]->slots[j]));
	}
	TAILQ_FOREACH (process, &supervisor->processes, entry)
		json_array_append_new(processes, make_process(process));
	if (supervisor->router && supervisor->router->link)
		router = json_pack("{s:i, s:i}", "pid", (int)supervisor->router->pid, "fd", link_fd(supervisor->router->link));
	return json_pack("{s:i, s:i, s:{s:i}, s:o, s:f, s:b, s:I, s:I, s:o*, s:o, s:o, s:o, s:o, s:o, s:b, s:i, s:o, s:o}", "version",
	    STATE_VERSION, "link", LINK_VERSION, "control", "fd", control_fd(supervisor), "seed", make_seed(supervisor),
	    "started", supervisor->started, "was_ready",
	    supervisor->was_ready, "next_worker", (json_int_t)supervisor->next_worker, "next_listening",
	    (json_int_t)supervisor->next_listening, "router", router, "listenings", listenings, "pools", pools, "slots", slots,
	    "processes", processes, "inherited", make_inherited(supervisor), "told_ready", readiness_told(supervisor),
	    "stats", supervisor->stats_fd, "counters", make_counters(supervisor), "doors", join_doors(supervisor));
}

int state_write(const json_t *state)
{
	int fd = memfd_create("limpet-state", MFD_CLOEXEC), result;

	if (fd < 0)
		return -errno;
	result = json_dumpfd(state, fd, JSON_COMPACT);
	if (result < 0 || lseek(fd, 0, SEEK_SET) < 0) {
		close(fd);
		return -EIO;
	}
	return fd;
}

/* ---- reading ---- */

json_t *state_read(int fd)
{
	struct stat status;
	json_error_t error;
	json_t *state = NULL;
	json_int_t version;

	if (fstat(fd, &status) < 0 || status.st_size > STATE_BYTES_MAX)
		log_error("the state that the former limpet left is not readable or too large");
	else if (!(state = json_loadfd(fd, JSON_REJECT_DUPLICATES, &error)))
		log_error("the state that the former limpet left is not JSON: %s", error.text);
	close(fd);
	if (!state)
		return NULL;
	version = json_integer_value(json_object_get(state, "version"));
	if (version != STATE_VERSION) {
		log_error("the state that the former limpet left has version %lld; this limpet reads %d", (long long)version,
		    STATE_VERSION);
		json_decref(state);
		return NULL;
	}
	return state;
}

static void each_fd_in(const json_t *list, const char *name, void (*callback)(int fd))
{
	const json_t *item, *fd;
	size_t i;

	json_array_foreach(list, i, item)
	{
		fd = json_object_get(item, name);
		if (json_is_integer(fd) && json_integer_value(fd) >= 0)
			callback((int)json_integer_value(fd));
	}
}

void state_each_fd(const json_t *state, void (*callback)(int fd))
{
	const json_t *fd = json_object_get(json_object_get(state, "router"), "fd");
	const json_t *processes = json_object_get(state, "processes"), *process;
	size_t i;

	each_fd_in(json_object_get(state, "listenings"), "fd", callback);
	each_fd_in(json_object_get(state, "doors"), "fd", callback);
	each_fd_in(processes, "fd", callback);
	each_fd_in(processes, "escort", callback);
	json_array_foreach(processes, i, process)
		each_fd_in(json_object_get(process, "kept"), "fd", callback);
	each_fd_in(json_object_get(state, "inherited"), "fd", callback);
	if (json_is_integer(fd))
		callback((int)json_integer_value(fd));
	fd = json_object_get(json_object_get(state, "control"), "fd");
	if (json_is_integer(fd) && json_integer_value(fd) >= 0)
		callback((int)json_integer_value(fd));
	callback((int)json_integer_value(json_object_get(state, "stats")));
}
