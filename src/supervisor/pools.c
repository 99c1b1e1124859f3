#include "supervisor/pools.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "supervisor/pool_settings.h"
#include "supervisor/process.h"
#include "supervisor/roll.h"

bool pools_may_keep(const struct pool_config *now, enum protocol protocol, enum flavour flavour)
{
	return now->has_listeners || (now->protocol == protocol && now->flavour == flavour);
}

struct supervised_pool *pools_find(struct supervisor *supervisor, const char *name)
{
	for (size_t i = 0; i < supervisor->pools_count; i++)
		if (strcmp(supervisor->pools[i]->name, name) == 0)
			return supervisor->pools[i];
	return NULL;
}

static struct supervised_slot *find_slot(const struct supervised_pool *pool, const char *name)
{
	for (size_t i = 0; pool && i < pool->slots_count; i++)
		if (pool->slots[i] && strcmp(pool->slots[i]->name, name) == 0)
			return pool->slots[i];
	return NULL;
}

static void slot_free(struct supervised_slot *slot)
{
	if (!slot)
		return;
	stats_release_slot(slot->stats);
	free(slot->name);
	free(slot);
}

static void pool_free(struct supervised_pool *pool)
{
	if (!pool)
		return;
	for (size_t i = 0; pool->slots && i < pool->slots_count; i++)
		slot_free(pool->slots[i]);
	free(pool->slots);
	free(pool->slot_stats);
	free(pool->name);
	free(pool);
}

/* ---- a draft: what the new configuration needs, with nothing of the old one moved yet ---- */

static struct supervised_slot *draft_slot(struct supervisor *supervisor, const struct slot_config *config)
{
	struct supervised_slot *slot = calloc(1, sizeof(*slot));

	if (!slot)
		return NULL;
	slot->name = strdup(config->name);
	slot->stats = stats_take_slot(supervisor->stats);
	if (!slot->name || !slot->stats) {
		slot_free(slot);
		return NULL;
	}
	return slot;
}

static struct supervised_pool *draft_pool(struct supervisor *supervisor, const struct pool_config *config)
{
	struct supervised_pool *pool = calloc(1, sizeof(*pool));

	if (!pool)
		return NULL;
	pool->supervisor = supervisor;
	pool->config = config;
	pool->slots_count = config->slots_count;
	pool->name = strdup(config->name);
	pool->slots = calloc(config->slots_count, sizeof(struct supervised_slot *));
	pool->slot_stats = calloc(config->slots_count, sizeof(struct slot_stats *));
	if (!pool->name || !pool->slots || !pool->slot_stats)
		goto fail;
	for (size_t i = 0; i < config->slots_count; i++) {
		pool->slots[i] = draft_slot(supervisor, &config->slots[i]);
		if (!pool->slots[i])
			goto fail;
		pool->slots[i]->external = i >= config->workers;
		if (pool->slots[i]->external)
			pool->slots[i]->stats->state = SLOT_FREE;
	}
	return pool;
fail:
	pool_free(pool);
	return NULL;
}

static void free_list(struct supervised_pool **pools, size_t count)
{
	for (size_t i = 0; pools && i < count; i++)
		pool_free(pools[i]);
	free(pools);
}

/* ---- taking over ---- */

static void retire_slot(struct supervised_slot *slot)
{
	ev_timer_stop(slot->pool->supervisor->loop, &slot->restart_timer);
	if (slot->incoming)
		process_retire(slot->incoming);
	if (slot->process)
		process_retire(slot->process);
}

/* Old slots take the places of new ones with the same name; what is not taken over is retired. */
static void take_over(struct supervised_pool *old, struct supervised_pool *new)
{
	bool bereft = old->config->has_listeners && !new->config->has_listeners;
	bool outdated = pool_settings_outdate(old->config, new->config) || old->config->protocol != new->config->protocol ||
			old->config->flavour != new->config->flavour;

	for (size_t i = 0; i < new->slots_count; i++) {
		struct supervised_slot *slot = find_slot(old, new->slots[i]->name);

		if (!slot || slot->external != new->slots[i]->external)
			continue;
		old->slots[slot->index] = NULL;
		slot_free(new->slots[i]);
		new->slots[i] = slot;
		if (outdated && !slot->external)
			roll_outdate(slot);
		else if (bereft && slot->process)
			process_retire(slot->process);
	}
}

static void retire_pool(struct supervised_pool *pool)
{
	for (size_t i = 0; i < pool->slots_count; i++)
		if (pool->slots[i])
			retire_slot(pool->slots[i]);
}

static void move_listenings(
    struct supervisor *supervisor, const struct supervised_pool *old, struct supervised_pool *new)
{
	struct listening *listening;

	TAILQ_FOREACH (listening, &supervisor->listenings, entry)
		if (listening->pool == old)
			listening->pool = new;
}

static void number_slots(struct supervised_pool *pool, unsigned index)
{
	pool->index = index;
	for (size_t i = 0; i < pool->slots_count; i++) {
		pool->slots[i]->pool = pool;
		pool->slots[i]->index = (unsigned)i;
		pool->slot_stats[i] = pool->slots[i]->stats;
	}
}

int pools_apply(struct supervisor *supervisor, const struct config *config)
{
	struct supervised_pool **pools = calloc(config->pools_count, sizeof(struct supervised_pool *));

	if (!pools)
		return -ENOMEM;
	for (size_t i = 0; i < config->pools_count; i++) {
		pools[i] = draft_pool(supervisor, &config->pools[i]);
		if (!pools[i]) {
			free_list(pools, config->pools_count);
			return -ENOMEM;
		}
	}
	for (size_t i = 0; i < config->pools_count; i++) {
		struct supervised_pool *old = pools_find(supervisor, pools[i]->name);

		if (old && pools_may_keep(pools[i]->config, old->config->protocol, old->config->flavour)) {
			take_over(old, pools[i]);
			move_listenings(supervisor, old, pools[i]);
		}
		number_slots(pools[i], (unsigned)i);
	}
	for (size_t i = 0; i < supervisor->pools_count; i++) {
		retire_pool(supervisor->pools[i]);
		move_listenings(supervisor, supervisor->pools[i], NULL);
	}
	free_list(supervisor->pools, supervisor->pools_count);
	supervisor->pools = pools;
	supervisor->pools_count = config->pools_count;
	return 0;
}

void pools_free(struct supervisor *supervisor)
{
	free_list(supervisor->pools, supervisor->pools_count);
	supervisor->pools = NULL;
	supervisor->pools_count = 0;
}
