#include "stats/stats.h"

#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <sys/mman.h>

const struct counter_description counter_descriptions[COUNTER_COUNT] = {
#define COUNTER_DESCRIPTION(name, help, remedy) {#name, help, remedy},
    COUNTERS(COUNTER_DESCRIPTION)
#undef COUNTER_DESCRIPTION
};

/* FNV-1a over all that tells one layout from another: sizes, and the counters' names in their order. */
static uint64_t layout(void)
{
	uint64_t hash = UINT64_C(14695981039346656037) ^ sizeof(struct stats) ^ (sizeof(struct slot_stats) << 32);

	for (size_t i = 0; i < COUNTER_COUNT; i++)
		for (const char *c = counter_descriptions[i].name;; c++) {
			hash = (hash ^ (unsigned char)*c) * UINT64_C(1099511628211);
			if (!*c)
				break;
		}
	return hash;
}

static struct stats *map(int fd)
{
	struct stats *stats = mmap(NULL, sizeof(struct stats), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	return stats == MAP_FAILED ? NULL : stats;
}

struct stats *stats_new(int *fd)
{
	struct stats *stats = NULL;

	*fd = memfd_create("limpet-stats", MFD_CLOEXEC);
	if (*fd < 0)
		return NULL;
	if (ftruncate(*fd, sizeof(struct stats)) == 0)
		stats = map(*fd);
	if (!stats) {
		close(*fd);
		*fd = -1;
		return NULL;
	}
	stats->layout = layout();
	return stats;
}

struct stats *stats_attach(int fd)
{
	struct stat status;
	struct stats *stats;

	if (fstat(fd, &status) < 0 || status.st_size != sizeof(struct stats))
		return NULL;
	stats = map(fd);
	if (stats && stats->layout != layout()) {
		stats_free(stats);
		return NULL;
	}
	return stats;
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
		stats->values[i].count = 0;
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

struct slot_values *stats_values(struct stats *stats, const struct slot_stats *slot)
{
	if (slot < stats->slots || slot >= stats->slots + STATS_SLOTS_MAX)
		return NULL;
	return &stats->values[slot - stats->slots];
}

bool stats_value(const struct slot_values *values, size_t i, struct slot_value *value)
{
	size_t length;

	if (i >= values->count || i >= STATS_VALUES_MAX)
		return false;
	*value = values->values[i];
	value->name[STATS_VALUE_NAME_MAX] = '\0';
	length = strspn(value->name, "abcdefghijklmnopqrstuvwxyz0123456789_");
	return length > 0 && !value->name[length] && isfinite(value->value);
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
	case SLOT_FREE:
		return "free";
	}
	return "unknown";
}
