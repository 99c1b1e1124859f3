/* Reading of a pool: what the table says, and its slots from "workers" and "weights". */
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/reader.h"

#define WEIGHT_MAX 1000

/* The CPUs that this process may use: in a container or under taskset that is fewer than there are. */
static unsigned count_cpus(unsigned most)
{
	cpu_set_t set;
	long count = 0;

	if (sched_getaffinity(0, sizeof set, &set) == 0)
		count = CPU_COUNT(&set);
	else
		count = sysconf(_SC_NPROCESSORS_ONLN); /* more CPUs than the set has room for */
	if (count < 1)
		return 1;
	return count > (long)most ? most : (unsigned)count;
}

static unsigned read_workers(struct reader *reader, const struct node *node)
{
	const struct key *key = keys_find(KEYS_POOL, "workers");
	unsigned count = count_cpus((unsigned)key->max);

	if (node == NULL || (node->type == NODE_STRING && strcmp(node->string, "auto") == 0))
		return count;
	if (node->type != NODE_INTEGER || node->integer < (long long)key->min ||
	    node->integer > (long long)key->max)
		problems_value(reader->problems, node, "must be a whole number, %u to %u, or \"auto\"",
		    (unsigned)key->min, (unsigned)key->max);
	else
		count = (unsigned)node->integer;
	return count;
}

static bool make_slots(struct pool_config *pool, unsigned count)
{
	pool->slots = calloc(count, sizeof *pool->slots);
	if (pool->slots == NULL)
		return false;
	for (unsigned i = 0; i < count; i++) {
		pool->slots[i].weight = 1;
		if (asprintf(&pool->slots[i].name, "%u", i) < 0) {
			pool->slots[i].name = NULL;
			return false;
		}
		pool->slots_count++;
	}
	return true;
}

/* Slot names are the numbers from 0 as they are written, so no search is needed. */
static struct slot_config *find_slot(struct pool_config *pool, const char *name)
{
	unsigned long number = strtoul(name, NULL, 10);

	if (number >= pool->slots_count || strcmp(pool->slots[number].name, name) != 0)
		return NULL;
	return &pool->slots[number];
}

static void read_weight(struct reader *reader, const struct node *node, struct pool_config *pool)
{
	static const struct key weight = {.max = WEIGHT_MAX};
	struct slot_config *slot = find_slot(pool, node->key);

	if (slot == NULL)
		problems_key(reader->problems, node, "there is no such slot; this pool has \"0\" to \"%zu\"",
		    pool->slots_count - 1);
	else
		read_integer(reader, &weight, node, &slot->weight);
}

static void read_weights(struct reader *reader, const struct node *node, struct pool_config *pool)
{
	size_t before = reader->problems->count;

	if (node->type != NODE_OBJECT) {
		read_wrong_type(reader, node, "an object of numbers by slot name such as {\"0\": 2}");
		return;
	}
	for (const struct node *entry = node->first; entry != NULL; entry = entry->next) {
		if (entry->duplicate_of == NULL)
			read_weight(reader, entry, pool);
	}
	for (size_t i = 0; i < pool->slots_count; i++) {
		if (pool->slots[i].weight > 0)
			return;
	}
	if (reader->problems->count == before)
		problems_value(
		    reader->problems, node, "all slots have weight 0, so that no worker would get a client");
}

void read_pool(struct reader *reader, const struct node *node, struct pool_config *pool)
{
	const struct node *weights = node_member(node, "weights");

	keys_set_defaults(KEYS_POOL, pool);
	read_object(reader, KEYS_POOL, node, pool);
	if (!make_slots(pool, read_workers(reader, node_member(node, "workers"))))
		reader->problems->out_of_memory = true;
	else if (weights != NULL)
		read_weights(reader, weights, pool);
}
