#include "supervisor/pool_settings.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* FNV-1a. */
#define DIGEST_START UINT64_C(14695981039346656037)

static uint64_t add_bytes(uint64_t digest, const void *bytes, size_t length)
{
	const unsigned char *at = bytes;

	for (size_t i = 0; i < length; i++)
		digest = (digest ^ at[i]) * UINT64_C(1099511628211);
	return digest;
}

/* With its NUL, so that two do not look like one. None is not the empty one. */
static uint64_t add_text(uint64_t digest, const char *text)
{
	return text ? add_bytes(digest, text, strlen(text) + 1) : digest;
}

static uint64_t digest_text(const char *text)
{
	return add_text(DIGEST_START, text);
}

static uint64_t digest_list(char *const *list)
{
	uint64_t digest = DIGEST_START;

	for (; list && *list; list++)
		digest = add_text(digest, *list);
	return digest;
}

static uint64_t digest_number(bool is_set, uint64_t value)
{
	return is_set ? add_bytes(DIGEST_START, &value, sizeof(value)) : DIGEST_START;
}

/* A row for each; the names are those of the configuration. */
#define SETTINGS(row)                                                                                                \
	row("command", digest_list(pool->command))                                                                   \
	row("connections", digest_number(pool->connections != CONNECTIONS_ACCEPT, pool->connections))                \
	row("accept", digest_number(pool->accept != ACCEPT_AUTO, pool->accept))                                      \
	row("environment", digest_list(pool->environment))                                                           \
	row("directory", digest_text(pool->directory))                                                               \
	row("user", digest_text(pool->user))                                                                         \
	row("group", digest_text(pool->group))                                                                       \
	row("umask", digest_number(pool->umask.is_set, pool->umask.bits))                                            \
	row("limits.nofile", digest_number(pool->limit_nofile.is_set, pool->limit_nofile.value))                     \
	row("limits.processes", digest_number(pool->limit_processes.is_set, pool->limit_processes.value))            \
	row("limits.memory", digest_number(pool->limit_memory.is_set, pool->limit_memory.value))                     \
	row("limits.core", digest_number(pool->limit_core.is_set, pool->limit_core.value))

#define NAME(name, digest) name,
#define DIGEST(name, digest) digest,

static const char *const names[] = {SETTINGS(NAME)};

#define COUNT (sizeof(names) / sizeof(names[0]))

static void digest_all(const struct pool_config *pool, uint64_t digests[COUNT])
{
	const uint64_t all[COUNT] = {SETTINGS(DIGEST)};

	memcpy(digests, all, sizeof(all));
}

/* Workers that were told that they listen, on a socket of the configuration's, have to ask for one of their
 * own. */
static bool loses_listeners(bool had, const struct pool_config *new)
{
	return had && !new->has_listeners;
}

bool pool_settings_outdate(const struct pool_config *old, const struct pool_config *new)
{
	uint64_t before[COUNT], now[COUNT];

	digest_all(old, before);
	digest_all(new, now);
	return memcmp(before, now, sizeof(now)) != 0 || loses_listeners(old->has_listeners, new);
}

static void write_digest(uint64_t digest, char text[17])
{
	snprintf(text, 17, "%016" PRIx64, digest);
}

json_t *pool_settings_describe(const struct pool_config *pool)
{
	json_t *settings = json_object();
	uint64_t digests[COUNT];
	char text[17];

	digest_all(pool, digests);
	for (size_t i = 0; i < COUNT; i++) {
		write_digest(digests[i], text);
		json_object_set_new(settings, names[i], json_string(text));
	}
	return json_pack("{s:b, s:o}", "has_listeners", pool->has_listeners, "settings", settings);
}

bool pool_settings_outdate_described(const json_t *old, const struct pool_config *new)
{
	const json_t *settings = json_object_get(old, "settings");
	uint64_t digests[COUNT];
	char text[17];

	digest_all(new, digests);
	for (size_t i = 0; i < COUNT; i++) {
		const char *before = json_string_value(json_object_get(settings, names[i]));

		write_digest(digests[i], text);
		if (before && strcmp(before, text) != 0)
			return true;
	}
	return loses_listeners(json_is_true(json_object_get(old, "has_listeners")), new);
}
