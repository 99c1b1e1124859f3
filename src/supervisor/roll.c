#include "supervisor/roll.h"

#include "base/log.h"
#include "supervisor/process.h"

size_t roll_outdated(const struct supervised_pool *pool)
{
	size_t count = 0;

	for (size_t i = 0; i < pool->slots_count; i++)
		count += pool->slots[i]->outdated;
	return count;
}

static size_t under_way(const struct supervised_pool *pool)
{
	size_t count = 0;

	for (size_t i = 0; i < pool->slots_count; i++)
		count += pool->slots[i]->incoming != NULL;
	return count;
}

/* A slot whose worker is not serving has nobody to wait for: the next start is of the new generation anyway. */
static void replace(struct supervised_slot *slot)
{
	if (slot->process && slot->process->ready) {
		int result = process_start_incoming(slot);

		if (result < 0)
			roll_abort(slot, "cannot be started");
		return;
	}
	slot->outdated = false;
	if (slot->process)
		process_end(slot->process, slot->process->kill_timeout);
}

void roll_on(struct supervised_pool *pool)
{
	size_t surge = pool->config->surge;
	bool had_work = false;

	for (size_t i = 0; i < pool->slots_count && under_way(pool) < surge; i++) {
		struct supervised_slot *slot = pool->slots[i];

		if (!slot->outdated || slot->incoming)
			continue;
		had_work = true;
		replace(slot);
	}
	if (had_work && roll_outdated(pool) == 0)
		log_info("pool %s: all workers are of the new generation", pool->name);
}

void roll_pool(struct supervised_pool *pool)
{
	log_info("pool %s: rolling restart of %zu workers", pool->name, pool->slots_count);
	for (size_t i = 0; i < pool->slots_count; i++)
		pool->slots[i]->outdated = true;
	roll_on(pool);
}

void roll_ready(struct supervised_slot *slot)
{
	struct process *old = slot->process;

	slot->process = slot->incoming;
	slot->incoming = NULL;
	slot->outdated = false;
	if (old)
		process_retire(old);
	if (roll_outdated(slot->pool) == 0)
		log_info("pool %s: all workers are of the new generation", slot->pool->name);
	roll_on(slot->pool);
}

void roll_abort(struct supervised_slot *slot, const char *why)
{
	struct supervised_pool *pool = slot->pool;

	log_error("pool %s: the new worker %s %s: the rolling restart is over, the workers of the old generation go on; mend "
		  "the application and restart again",
	    pool->name, slot->name, why);
	for (size_t i = 0; i < pool->slots_count; i++) {
		struct supervised_slot *other = pool->slots[i];

		other->outdated = false;
		if (other->incoming && other != slot)
			process_end(other->incoming, other->incoming->kill_timeout);
	}
}
