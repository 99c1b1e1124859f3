/* Parsing and writing of numbers with units; the tables of units are all there is to it. */
#include "config/units.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

struct unit {
	const char *name;
	uint64_t factor;
};

/* Largest first: the first that divides a value is the one to write it in. */
static const struct unit durations[] = {
    {"d", 24 * 60 * 60 * 1000}, {"h", 60 * 60 * 1000}, {"m", 60 * 1000}, {"s", 1000}, {"ms", 1}, {NULL, 0}};
static const struct unit sizes[] = {
    {"g", 1024 * 1024 * 1024}, {"m", 1024 * 1024}, {"k", 1024}, {"", 1}, {NULL, 0}};

static const char *parse_number(uint64_t *number, const char *text, enum units_result *result)
{
	const char *at = text;

	*number = 0;
	*result = UNITS_OK;
	for (; *at >= '0' && *at <= '9'; at++) {
		if (__builtin_mul_overflow(*number, 10, number) ||
		    __builtin_add_overflow(*number, (uint64_t)(*at - '0'), number)) {
			*number = UINT64_MAX;
			*result = UNITS_TOO_BIG;
		}
	}
	if (at == text)
		*result = UNITS_INVALID;
	return at;
}

static enum units_result scale(uint64_t *value, uint64_t number, uint64_t factor)
{
	uint64_t product;

	if (__builtin_mul_overflow(number, factor, &product))
		return UNITS_TOO_BIG;
	*value = product;
	return UNITS_OK;
}

enum units_result duration_parse(uint64_t *milliseconds, const char *text)
{
	uint64_t number;
	enum units_result result;
	const char *unit = parse_number(&number, text, &result);

	if (result == UNITS_INVALID)
		return result;
	if (*unit == '\0')
		return UNITS_NO_UNIT;
	for (const struct unit *u = durations; u->name != NULL; u++) {
		if (strcmp(u->name, unit) == 0)
			return result == UNITS_OK ? scale(milliseconds, number, u->factor) : result;
	}
	return UNITS_INVALID;
}

enum units_result size_parse(uint64_t *bytes, const char *text)
{
	uint64_t number;
	enum units_result result;
	const char *unit = parse_number(&number, text, &result);

	if (result == UNITS_INVALID)
		return result;
	for (const struct unit *u = sizes; u->name != NULL; u++) {
		if (strcasecmp(u->name, unit) == 0)
			return result == UNITS_OK ? scale(bytes, number, u->factor) : result;
	}
	return UNITS_INVALID;
}

static const char *format(uint64_t value, const struct unit *units, const char *zero, char *buffer)
{
	if (value == 0) {
		snprintf(buffer, UNITS_TEXT_MAX, "%s", zero);
		return buffer;
	}
	while (value % units->factor != 0)
		units++;
	snprintf(buffer, UNITS_TEXT_MAX, "%" PRIu64 "%s", value / units->factor, units->name);
	return buffer;
}

const char *duration_format(uint64_t milliseconds, char *buffer)
{
	return format(milliseconds, durations, "0s", buffer);
}

const char *size_format(uint64_t bytes, char *buffer)
{
	return format(bytes, sizes, "0", buffer);
}
