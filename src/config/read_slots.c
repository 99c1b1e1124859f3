/* Reading of a pool's slots, from "workers", "slots" and "socket": how many there are, what they are called, and how many of
 * them, the first ones, are for limpet's own workers. */
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/reader.h"

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

/* A number within the key's bounds; false after a problem. other: what else it could be. */
static bool read_count(struct reader *reader, const struct node *node, const struct key *key, unsigned least,
    const char *other, unsigned *count)
{
	if (node->type != NODE_INTEGER || node->integer < (long long)least ||
	    node->integer > (long long)key->max) {
		problems_value(reader->problems, node, "must be a whole number, %u to %u, or %s", least,
		    (unsigned)key->max, other);
		return false;
	}
	*count = (unsigned)node->integer;
	return true;
}

static bool add_slot(struct pool_config *pool, const char *name)
{
	struct slot_config *slot = &pool->slots[pool->slots_count];

	slot->weight = 1;
	slot->name = strdup(name);
	pool->slots_count += slot->name != NULL;
	return slot->name != NULL;
}

static bool number_slots(struct pool_config *pool, unsigned count)
{
	char name[16];

	pool->slots = calloc(count, sizeof *pool->slots);
	for (unsigned i = 0; pool->slots != NULL && i < count; i++) {
		snprintf(name, sizeof name, "%u", i);
		if (!add_slot(pool, name))
			return false;
	}
	return pool->slots != NULL;
}

static bool is_taken(const struct pool_config *pool, const char *name)
{
	for (size_t i = 0; i < pool->slots_count; i++) {
		if (strcmp(pool->slots[i].name, name) == 0)
			return true;
	}
	return false;
}

static void read_slot_name(struct reader *reader, const struct node *node, struct pool_config *pool)
{
	if (node->type != NODE_STRING)
		read_wrong_type(reader, node, "a string, the name of a slot");
	else if (!name_is_valid(node->string))
		problems_value(reader->problems, node,
		    "a name has 1 to 64 characters: letters, digits, '.', '_' and '-'");
	else if (is_taken(pool, node->string))
		problems_value(reader->problems, node, "\"%s\" is there twice", node->string);
	else if (!add_slot(pool, node->string))
		reader->problems->out_of_memory = true;
}

/* False after a problem: then the pool has slots all the same, for whoever checks on. */
static bool name_slots(struct reader *reader, const struct node *list, struct pool_config *pool)
{
	const struct key *key = keys_find(KEYS_POOL, "slots");
	size_t before = reader->problems->count;

	if (list->count < key->min || list->count > key->max) {
		problems_value(reader->problems, list, "has %zu names; it must have 1 to %u", (size_t)list->count,
		    (unsigned)key->max);
		return false;
	}
	pool->slots = calloc(list->count, sizeof *pool->slots);
	if (pool->slots == NULL) {
		reader->problems->out_of_memory = true;
		return false;
	}
	for (const struct node *entry = list->first; entry != NULL; entry = entry->next)
		read_slot_name(reader, entry, pool);
	return reader->problems->count == before;
}

/* The slots that "slots" asks for; 0 if it is not there, or wrong. */
static unsigned read_slots(struct reader *reader, const struct node *node, struct pool_config *pool)
{
	unsigned count = 0;

	if (node == NULL)
		return 0;
	if (node->type == NODE_LIST) {
		if (!name_slots(reader, node, pool))
			return 0;
	} else if (read_count(reader, node, keys_find(KEYS_POOL, "slots"), 1, "a list of names", &count) &&
	           !number_slots(pool, count)) {
		reader->problems->out_of_memory = true;
	}
	return (unsigned)pool->slots_count;
}

/* How many workers limpet starts. slots: how many places there are; 0: as many as workers. */
static unsigned read_workers(struct reader *reader, const struct node *pool, unsigned slots, bool *wrong)
{
	const struct key *key = keys_find(KEYS_POOL, "workers");
	const struct node *node = node_member(pool, "workers");
	unsigned most = slots > 0 ? slots : (unsigned)key->max, count = count_cpus(most);
	bool external = node_member(pool, "socket") != NULL;

	if (node != NULL && (node->type != NODE_STRING || strcmp(node->string, "auto") != 0)) {
		*wrong = !read_count(reader, node, key, external ? 0 : 1, "\"auto\"", &count);
		return count;
	}
	if (node != NULL)
		return count;
	if (external && node_member(pool, "command") == NULL)
		return 0;
	if (external && slots > 0) {
		problems_value(reader->problems, pool,
		    "lacks the key \"workers\": how many of the slots are for workers that limpet starts; the others "
		    "are for external ones");
		*wrong = true;
	}
	return slots > 0 ? slots : count;
}

static void check_slots(
    struct reader *reader, const struct node *node, const struct pool_config *pool, unsigned own, unsigned slots)
{
	const struct node *workers = node_member(node, "workers"), *places = node_member(node, "slots");
	bool external = node_member(node, "socket") != NULL;

	if (slots > 0 && own > slots)
		problems_value(reader->problems, workers, "is more than there are slots (%u)", slots);
	else if (slots > 0 && own < slots && !external)
		problems_value(reader->problems, places,
		    "%u slots would be empty: \"workers\" is %u, and without \"socket\" nobody else can join",
		    slots - own, own);
	else if (external && own >= pool->slots_count)
		problems_key(reader->problems, node_member(node, "socket"),
		    "no slot is left for external workers: give \"slots\", more than \"workers\"");
}

void read_pool_slots(struct reader *reader, const struct node *node, struct pool_config *pool)
{
	size_t before = reader->problems->count;
	unsigned slots = read_slots(reader, node_member(node, "slots"), pool), own;
	bool wrong = reader->problems->count > before;

	own = read_workers(reader, node, slots, &wrong);
	if (pool->slots_count == 0) {
		free(pool->slots);
		if (!number_slots(pool, own > 0 ? own : 1))
			reader->problems->out_of_memory = true;
	}
	pool->workers = own;
	if (!wrong && own == 0 && slots == 0 && node_member(node, "socket") != NULL)
		problems_value(reader->problems, node,
		    "lacks the key \"slots\": how many external workers may join, or a list of names for them");
	else if (!wrong)
		check_slots(reader, node, pool, own, slots);
}
