#include "stats/stats.h"

#include <errno.h>
#include <sys/mman.h>

const struct counter_description counter_descriptions[COUNTER_COUNT] = {
#define COUNTER_DESCRIPTION(name, help, remedy) {#name, help, remedy},
    COUNTERS(COUNTER_DESCRIPTION)
#undef COUNTER_DESCRIPTION
};

static size_t stats_size(size_t slots_count)
{
	return sizeof(struct stats) + slots_count * sizeof(struct slot_stats);
}

struct stats *stats_new(size_t slots_count)
{
	struct stats *stats = mmap(NULL, stats_size(slots_count), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (stats == MAP_FAILED)
		return NULL;
	stats->slots_count = slots_count;
	return stats;
}

void stats_free(struct stats *stats)
{
	if (stats)
		munmap(stats, stats_size(stats->slots_count));
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
