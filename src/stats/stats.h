/* Counters and slot states in shared memory: written by supervisor and router, read without asking either, kept while
 * routers come and go. Owns the mapping; knows nothing of what is counted.
 */
#ifndef LIMPET_STATS_STATS_H
#define LIMPET_STATS_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stats/counters.h"

enum counter {
#define COUNTER_ENUM(name, help, remedy) COUNTER_##name,
	COUNTERS(COUNTER_ENUM)
#undef COUNTER_ENUM
	    COUNTER_COUNT
};

struct counter_description {
	const char *name;
	const char *help;
	const char *remedy;
};

extern const struct counter_description counter_descriptions[COUNTER_COUNT];

/* SLOT_FREE: an external worker may join. */
enum slot_state { SLOT_STOPPED, SLOT_STARTING, SLOT_READY, SLOT_DRAINING, SLOT_BACKOFF, SLOT_FREE };

const char *slot_state_name(enum slot_state state);

/* Most slots of all pools together; the memory of those not in use is never touched. */
#define STATS_SLOTS_MAX 65536

struct slot_stats {
	uint32_t used;
	/* Written by the supervisor. */
	uint32_t state; /* enum slot_state */
	int32_t pid;    /* 0: none */
	uint32_t generation;
	uint32_t restarts;
	/* Written by the router. */
	uint64_t handed_off;
	uint64_t acknowledged;
	uint32_t unacknowledged;
	uint32_t waiting;
};

/* Numbers that a slot's worker tells of itself. */
#define STATS_VALUES_MAX 16
#define STATS_VALUE_NAME_MAX 32

struct slot_value {
	char name[STATS_VALUE_NAME_MAX + 1];
	double value;
};

/* Written by the router; the supervisor sets the count to 0 when the worker goes. */
struct slot_values {
	uint32_t count;
	struct slot_value values[STATS_VALUES_MAX];
};

/* What the router has given up, as it said itself before it read anything from a client. */
struct sandbox_state {
	int32_t pid; /* of the router; 0: none yet */
	uint32_t uid;
	uint32_t no_new_privs;
	uint32_t capabilities; /* 1: some are left */
	int32_t empty_root;    /* 1, or a negative errno */
	int32_t landlock;      /* the kernel's ABI version, or a negative errno */
	int32_t system_calls;  /* 1: filtered, or a negative errno */
};

struct stats {
	uint64_t layout; /* what the memory holds, and how; see stats_attach() */
	uint64_t counters[COUNTER_COUNT];
	struct sandbox_state sandbox;
	struct slot_stats slots[STATS_SLOTS_MAX];
	struct slot_values values[STATS_SLOTS_MAX]; /* of each slot; apart, as few are ever touched */
};

/* Maps zeroed shared memory; it is inherited over fork(). *fd is a memfd for it, close-on-exec, the caller's. NULL with errno set. */
struct stats *stats_new(int *fd);

/* Maps memory that another program has made with stats_new(). fd: borrowed. NULL: it is not such memory, or one with other
 * counters or slots. */
struct stats *stats_attach(int fd);

void stats_free(struct stats *stats);

/* A place for one more slot, zeroed; NULL if all are in use. */
struct slot_stats *stats_take_slot(struct stats *stats);
void stats_release_slot(struct slot_stats *slot); /* NULL is allowed */

/* Where the slot's values are; NULL if it is no slot of these stats. */
struct slot_values *stats_values(struct stats *stats, const struct slot_stats *slot);

/* A copy of value i that can be trusted whatever the router wrote: a name of [a-z0-9_], a finite number. False: there is none. */
bool stats_value(const struct slot_values *values, size_t i, struct slot_value *value);

/* Old and new router write at the same time during a succession, hence atomic. */
static inline void stats_add(struct stats *stats, enum counter counter, uint64_t n)
{
	__atomic_fetch_add(&stats->counters[counter], n, __ATOMIC_RELAXED);
}

static inline uint64_t stats_get(const struct stats *stats, enum counter counter)
{
	return __atomic_load_n(&stats->counters[counter], __ATOMIC_RELAXED);
}

#endif
