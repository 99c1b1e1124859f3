/* Workers that are quiet while acknowledgements are read together (answers.h): they only note what they take. */
#include "router/worker_inside.h"

#include <stddef.h>

static struct router *router_of(struct answers *answers)
{
	return (struct router *)((char *)answers - offsetof(struct router, answers));
}

unsigned workers_look(struct answers *answers)
{
	struct router *router = router_of(answers);
	struct worker *worker;
	unsigned left = 0, count = 0;

	TAILQ_FOREACH (worker, &router->owing, owes)
		left++;
	/* What follows may end the waiting for any of them, or begin it: so the first becomes the last, as often as there were some. */
	for (; left && (worker = TAILQ_FIRST(&router->owing)); left--) {
		TAILQ_REMOVE(&router->owing, worker, owes);
		TAILQ_INSERT_TAIL(&router->owing, worker, owes);
		if (worker->lost || !worker->channel || channel_look(worker->channel) == 0)
			continue;
		count++;
		worker_was_heard(worker);
	}
	return count;
}

void workers_set_quiet(struct answers *answers, bool quiet)
{
	struct worker *worker;

	TAILQ_FOREACH (worker, &router_of(answers)->workers, entry)
		if (worker->channel && !worker->lost)
			channel_set_quiet(worker->channel, quiet);
	if (!quiet)
		workers_look(answers);
}
