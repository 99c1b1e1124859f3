#include "stats/stats.h"

#include <string.h>
#include <sys/mman.h>

const struct counter_description counter_descriptions[COUNTER_COUNT] = {
#define COUNTER_DESCRIPTION(name, help, remedy) {#name, help, remedy},
    COUNTERS(COUNTER_DESCRIPTION)
#undef COUNTER_DESCRIPTION
};

struct stats *stats_new(void)
{
	struct stats *stats =
	    mmap(NULL, sizeof(struct stats), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return stats == MAP_FAILED ? NULL : stats;
}

void stats_free(struct stats *stats)
{
	if (stats)
		munmap(stats, sizeof(*stats));
}

struct slot_stats *stats_take_slot(struct stats *stats)
{
	for (size_t i = 0; i < STATS_SLOTS_MAX; i++) {
		struct slot_stats *slot = &stats->slots[i];

		if (slot->used)
			continue;
		memset(slot, 0, sizeof(*slot));
		slot->used = 1;
		return slot;
	}
	return NULL;
}

void stats_release_slot(struct slot_stats *slot)
{
	if (slot)
		slot->used = 0;
}

const char *slot_state_name(enum slot_state state)
{
	switch (state) {
	case SLOT_STOPPED:
		return "stopped";
	case SLOT_STARTING:
		return "starting";
	case SLOT_READY:
		return "ready";
	case SLOT_DRAINING:
		return "draining";
	case SLOT_BACKOFF:
		return "backoff";
	}
	return "unknown";
}
