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

/* A slot whose worker is not serving has nobody to wait for: the next start is of the new generation anyway. False: the roll is
 * aborted. */
static bool replace(struct supervised_slot *slot)
{
	if (slot->process && slot->process->ready) {
		if (process_start_incoming(slot) == 0)
			return true;
		roll_abort(slot, "cannot be started");
		return false;
	}
	slot->outdated = false;
	if (slot->process)
		process_end(slot->process, slot->process->kill_timeout);
	return true;
}

void roll_outdate(struct supervised_slot *slot)
{
	slot->outdated = true;
	if (!slot->incoming)
		return;
	log_info("pool %s: worker %s (pid %d) was starting, and is outdated already", slot->pool->name, slot->name,
	    (int)slot->incoming->pid);
	process_retire(slot->incoming);
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
		if (!replace(slot))
			return;
	}
	if (had_work && roll_outdated(pool) == 0)
		log_info("pool %s: all workers are of the new generation", pool->name);
}

void roll_pool(struct supervised_pool *pool)
{
	log_info("pool %s: rolling restart of %zu workers", pool->name, pool->slots_count);
	for (size_t i = 0; i < pool->slots_count; i++) {
		struct supervised_slot *slot = pool->slots[i];

		/* What starts another one in its place is not limpet. */
		if (slot->external && slot->process)
			process_retire(slot->process);
		if (slot->external)
			continue;
		roll_outdate(slot);
		process_start_missing(slot);
	}
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
