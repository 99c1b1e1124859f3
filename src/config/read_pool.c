/* Reading of a pool: what the table says, and its weights. */
#include <stdlib.h>
#include <string.h>

#include "config/reader.h"

#define WEIGHT_MAX 1000

static struct slot_config *find_slot(struct pool_config *pool, const char *name)
{
	unsigned long number = strtoul(name, NULL, 10);

	/* As a rule they are numbers. */
	if (number < pool->slots_count && strcmp(pool->slots[number].name, name) == 0)
		return &pool->slots[number];
	for (size_t i = 0; i < pool->slots_count; i++) {
		if (strcmp(pool->slots[i].name, name) == 0)
			return &pool->slots[i];
	}
	return NULL;
}

static void read_weight(struct reader *reader, const struct node *node, struct pool_config *pool)
{
	static const struct key weight = {.max = WEIGHT_MAX};
	struct slot_config *slot = find_slot(pool, node->key);

	if (slot == NULL)
		problems_key(reader->problems, node, "there is no such slot; this pool has \"%s\" to \"%s\"",
		    pool->slots[0].name, pool->slots[pool->slots_count - 1].name);
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
	if (node->type != NODE_OBJECT)
		return;
	read_pool_slots(reader, node, pool);
	if (pool->slots_count > 0 && weights != NULL)
		read_weights(reader, weights, pool);
}
