/* Starts one worker process: fork, environment, user, channel, exec. Owns nothing afterwards. */
#ifndef LIMPET_SUPERVISOR_SPAWN_H
#define LIMPET_SUPERVISOR_SPAWN_H

#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "config/config.h"

struct spawn {
	const struct pool_config *pool;
	const char *slot;
	uint32_t generation;
	uint32_t worker; /* unique id; a cluster worker's NODE_UNIQUE_ID */
	int channel;     /* the worker's end; borrowed */
	const struct rlimit *nofile; /* where the pool sets no limit of open files; borrowed */
};

/* Starts the pool's command in a process group of its own, with the channel as fd 3 (protocol accept: 192 if
 * it can be, out of the way of programs that expect the numbers from 3 on to be theirs), /dev/null as standard input, limpet's
 * standard output and error, and SIGTERM for the case that limpet itself dies.
 * A program of protocol accept that has to be reached from outside is started by limpet-agent: *agent is the pid of
 * that one, which is limpet's child, ends when the program does, and with the same status. Else it is 0.
 * Returns the program's pid, or a negative errno with *what set to the step that failed ("cannot run node", "cannot change to ..."),
 * static or borrowed from the config. Blocks until the exec. */
pid_t spawn_worker(const struct spawn *spawn, pid_t *agent, const char **what);

#endif
