#include "supervisor/reload.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "supervisor/control.h"
#include "supervisor/file_limit.h"
#include "supervisor/join.h"
#include "supervisor/listeners.h"
#include "supervisor/pools.h"
#include "supervisor/process.h"
#include "supervisor/readiness.h"
#include "supervisor/roll.h"
#include "supervisor/router_process.h"

static void log_lines(char *text)
{
	char *rest = NULL;

	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		log_error("%s", line);
}

/* NULL after logging every problem. */
static struct config *read_config(const struct supervisor *supervisor)
{
	struct config *config = NULL;
	char *problems = NULL;
	size_t length = 0;
	FILE *file = open_memstream(&problems, &length);
	int result;

	if (!file)
		return NULL;
	result = config_load(&config, &supervisor->options->config, file);
	fclose(file);
	if (result < 0 && problems)
		log_lines(problems);
	free(problems);
	return result < 0 ? NULL : config;
}

static void start_missing(struct supervisor *supervisor)
{
	for (size_t i = 0; i < supervisor->pools_count; i++) {
		struct supervised_pool *pool = supervisor->pools[i];

		for (size_t j = 0; j < pool->slots_count; j++)
			process_start_missing(pool->slots[j]);
		roll_on(pool);
	}
}

static void warn_of_fixed(const struct config *old, const struct config *new)
{
	if (strcmp(old->control ? old->control : "", new->control ? new->control : "") != 0)
		log_warning("reload: \"control\" has changed; that takes effect at the next start");
	if (old->control_mode.bits != new->control_mode.bits)
		log_warning("reload: \"control_mode\" has changed; that takes effect at the next start");
	if (strcmp(old->control_group ? old->control_group : "", new->control_group ? new->control_group : "") != 0)
		log_warning("reload: \"control_group\" has changed; that takes effect at the next start");
	if (strcmp(old->hash_secret ? old->hash_secret : "", new->hash_secret ? new->hash_secret : "") != 0)
		log_warning("reload: \"hash_secret\" has changed; that takes effect at the next start");
}

static int reload_now(struct supervisor *supervisor)
{
	struct config *old = supervisor->config, *config;
	int result;

	config = read_config(supervisor);
	if (!config) {
		log_error("reload: nothing was changed");
		return -EINVAL;
	}
	result = listeners_prepare(supervisor, config);
	if (!result)
		result = join_prepare(supervisor, config);
	if (!result)
		result = pools_apply(supervisor, config);
	if (result < 0) {
		join_roll_back(supervisor);
		log_error("reload: nothing was changed: %s", strerror(-result));
		config_free(config);
		return result;
	}
	warn_of_fixed(old, config);
	file_limit_check(config);
	supervisor->config = config;
	listeners_commit(supervisor, config);
	join_commit(supervisor, config);
	log_configure("limpet", config->log_level, config->log_format);
	/* Forked here, the router has the new configuration; workers that start later are told to it. */
	router_replace(supervisor);
	start_missing(supervisor);
	config_free(old);
	return 0;
}

static void tell(struct supervisor *supervisor, int result)
{
	const char *file = supervisor->config->file;

	if (result == 0)
		log_info("reloaded%s%s", file ? " " : "", file ? file : "");
	readiness_reloaded(supervisor, result);
	control_reloaded(supervisor, result);
}

int reload(struct supervisor *supervisor)
{
	bool was_put_off = supervisor->reload_wanted && !router_succession_under_way(supervisor);
	int result;

	if (supervisor->state != SUPERVISOR_RUNNING) {
		log_warning("reload: nothing was changed: limpet is stopping");
		supervisor->reload_wanted &= !was_put_off;
		if (was_put_off)
			control_reloaded(supervisor, -EBUSY);
		return -EBUSY;
	}
	supervisor->reload_wanted = router_succession_under_way(supervisor);
	if (supervisor->reload_wanted) {
		log_info("reload: follows when the former router has handed over");
		return RELOAD_FOLLOWS;
	}
	readiness_reloading(supervisor);
	result = reload_now(supervisor);
	supervisor->reload_settles = result == 0 && router_succession_under_way(supervisor);
	if (supervisor->reload_settles)
		return RELOAD_FOLLOWS;
	tell(supervisor, result);
	return result;
}

void reload_settled(struct supervisor *supervisor)
{
	if (!supervisor->reload_settles)
		return;
	supervisor->reload_settles = false;
	tell(supervisor, 0);
}
