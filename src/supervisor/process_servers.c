/* What workers listen on, and when the last one that does is gone. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/listeners.h"
#include "supervisor/process.h"
#include "supervisor/router_process.h"

void process_servers_init(struct process *process)
{
	TAILQ_INIT(&process->servers);
}

struct process_server *process_server_find(struct process *process, const char *key)
{
	struct process_server *server;

	TAILQ_FOREACH (server, &process->servers, entry)
		if (strcmp(server->key, key) == 0)
			return server;
	return NULL;
}

int process_server_add(struct process *process, const char *key, uint32_t listening)
{
	struct process_server *server = process_server_find(process, key);

	if (!server) {
		server = calloc(1, sizeof(*server) + strlen(key) + 1);
		if (!server)
			return -ENOMEM;
		memcpy(server->key, key, strlen(key) + 1);
		TAILQ_INSERT_TAIL(&process->servers, server, entry);
	}
	server->listening = listening;
	return 0;
}

void process_server_remove(struct process *process, struct process_server *server)
{
	TAILQ_REMOVE(&process->servers, server, entry);
	free(server);
}

/* Does any worker have a server on this listening? */
static bool any_serves(struct supervisor *supervisor, uint32_t listening)
{
	struct process_server *server;
	struct process *process;

	TAILQ_FOREACH (process, &supervisor->processes, entry)
		TAILQ_FOREACH (server, &process->servers, entry)
			if (server->listening == listening)
				return true;
	return false;
}

/* Some slot's worker is just being started again: nobody knows what it will listen on. */
static bool lacks_workers(const struct supervised_pool *pool)
{
	for (size_t i = 0; pool && i < pool->slots_count; i++)
		if (!pool->slots[i]->process || !pool->slots[i]->process->ready)
			return true;
	return false;
}

bool process_was_last_to_serve(const struct process *process, uint32_t id)
{
	const struct listening *listening = listeners_find(process->supervisor, id);

	if (!listening || any_serves(process->supervisor, id))
		return false;
	return process->slot || !lacks_workers(listening->pool);
}

/* A worker that was retired on purpose has taken its servers with it; where no other listens the same, the socket goes, too. */
void process_servers_deinit(struct process *process)
{
	struct supervisor *supervisor = process->supervisor;
	bool retired = !process->slot && process->draining;

	while (!TAILQ_EMPTY(&process->servers)) {
		struct process_server *server = TAILQ_FIRST(&process->servers);
		uint32_t id = server->listening;

		process_server_remove(process, server);
		if (retired && supervisor->state == SUPERVISOR_RUNNING && process_was_last_to_serve(process, id))
			router_forget_listening(supervisor, id);
	}
}
