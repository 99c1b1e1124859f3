/* The life of a struct config, and the names of its enums. */
#include "config/config.h"

#include <stdlib.h>

#include "config/reader.h"

struct config *config_new(void)
{
	struct config *config = calloc(1, sizeof *config);

	if (config != NULL) {
		keys_set_defaults(KEYS_CONFIG, config);
		keys_set_defaults(KEYS_LOG, config);
	}
	return config;
}

static void free_strings(char **strings)
{
	for (char **string = strings; string != NULL && *string != NULL; string++)
		free(*string);
	free(strings);
}

static void free_listener(struct listener_config *listener)
{
	free(listener->name);
	for (size_t i = 0; i < listener->sticky_count; i++)
		free(listener->sticky[i].name);
	free(listener->trusted_proxies);
}

/* The one that was made for a pool without a listener of its own belongs to the pool. */
static void free_worker_listener(struct config *config, struct listener_config *listener)
{
	for (size_t i = 0; i < config->listeners_count; i++) {
		if (listener == &config->listeners[i])
			return;
	}
	if (listener != NULL)
		free_listener(listener);
	free(listener);
}

static void free_pool(struct config *config, struct pool_config *pool)
{
	free_worker_listener(config, pool->worker_listener);
	free(pool->name);
	free_strings(pool->command);
	for (size_t i = 0; i < pool->slots_count; i++)
		free(pool->slots[i].name);
	free(pool->slots);
	free(pool->socket);
	free(pool->socket_owner);
	free(pool->socket_group);
	free(pool->directory);
	free_strings(pool->environment);
	free(pool->user);
	free(pool->group);
}

void config_free(struct config *config)
{
	if (config == NULL)
		return;
	for (size_t i = 0; i < config->pools_count; i++)
		free_pool(config, &config->pools[i]);
	for (size_t i = 0; i < config->listeners_count; i++)
		free_listener(&config->listeners[i]);
	free(config->pools);
	free(config->listeners);
	free(config->file);
	free(config->user);
	free(config->control);
	free(config->control_group);
	free(config->hash_secret);
	free(config->log_file);
	free(config);
}

const char *protocol_name(enum protocol protocol)
{
	const char *name = choice_name(protocol_choices, (int)protocol);

	return name == NULL ? "auto" : name;
}

const char *flavour_name(enum flavour flavour)
{
	const char *name = choice_name(flavour_choices, (int)flavour);

	return name == NULL ? "none" : name;
}

const char *on_down_name(enum on_down on_down)
{
	return choice_name(on_down_choices, (int)on_down);
}
