#include "supervisor/file_limit.h"

#include <inttypes.h>

#include "base/log.h"
#include "router/connection.h"

/* Standard streams, link, log, succession, event loop. */
#define FILES_FIXED 16

/* A worker: its channel, and a probe under way. */
#define FILES_PER_WORKER 2

void file_limit_raise(struct rlimit *original)
{
	struct rlimit raised;

	if (getrlimit(RLIMIT_NOFILE, original) < 0)
		*original = (struct rlimit){RLIM_INFINITY, RLIM_INFINITY};
	raised = *original;
	raised.rlim_cur = raised.rlim_max;
	if (raised.rlim_cur != original->rlim_cur)
		setrlimit(RLIMIT_NOFILE, &raised);
}

uint64_t file_limit_needed(const struct config *config)
{
	uint64_t files = FILES_FIXED + CONNECTION_LINGERING_MAX;

	for (size_t i = 0; i < config->listeners_count; i++)
		files += 1 + (config->listeners[i].has_address ? config->listeners[i].max_waiting : 0);
	for (size_t i = 0; i < config->pools_count; i++) {
		const struct pool_config *pool = &config->pools[i];

		files += pool->slots_count * (uint64_t)(FILES_PER_WORKER + pool->window);
		if (!pool->has_listeners)
			files += 1 + pool->worker_listener->max_waiting;
	}
	return files;
}

void file_limit_check(const struct config *config)
{
	uint64_t needed = file_limit_needed(config);
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= needed)
		return;
	log_warning("the limit of open files is %" PRIu64 ", but max_waiting and window of this configuration allow for "
		    "%" PRIu64 "; raise it (LimitNOFILE= in a systemd unit, ulimit -Hn in a shell) or lower max_waiting: at "
		    "the limit, new clients wait until others are served",
	    (uint64_t)limit.rlim_cur, needed);
}
