/* Numbers of a worker's own, as protocols limpet and node-ipc (flavour limpet:connection) tell them. */
#include <math.h>
#include <string.h>

#include "channel/channel_private.h"

static bool name_is_valid(const char *name)
{
	size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_");

	return length > 0 && length <= CHANNEL_STAT_NAME_MAX && !name[length];
}

bool channel_take_stats(struct channel *channel, json_t *values)
{
	struct channel_stat stats[CHANNEL_STATS_MAX];
	const char *name;
	size_t count = 0;
	json_t *value;

	if (!json_is_object(values) || json_object_size(values) > CHANNEL_STATS_MAX)
		return false;
	json_object_foreach(values, name, value)
	{
		double number = json_number_value(value);

		if (!json_is_number(value) || !isfinite(number) || !name_is_valid(name))
			return false;
		strcpy(stats[count].name, name);
		stats[count++].value = number;
	}
	if (channel->events->stats)
		channel->events->stats(channel->owner, stats, count);
	return true;
}
