/* Durations and sizes as text: "250ms", "10s", "5m", "2h", "1d"; "16k", "1m", "1g" or plain bytes.
 *
 * Whole numbers only. Owns nothing.
 */
#ifndef LIMPET_CONFIG_UNITS_H
#define LIMPET_CONFIG_UNITS_H

#include <stddef.h>
#include <stdint.h>

enum units_result {
	UNITS_OK,
	UNITS_NO_UNIT, /* a duration that is a bare number */
	UNITS_INVALID,
	UNITS_TOO_BIG, /* does not fit into 64 bits */
};

/* Enough for every text that the format functions write. */
#define UNITS_TEXT_MAX 32

/* Milliseconds. On anything but UNITS_OK the result is untouched. */
enum units_result duration_parse(uint64_t *milliseconds, const char *text);

/* Bytes; k, m and g are powers of 1024, in either case. */
enum units_result size_parse(uint64_t *bytes, const char *text);

/* The shortest text that parses to the same value. buffer holds at least UNITS_TEXT_MAX bytes. Return buffer.
 */
const char *duration_format(uint64_t milliseconds, char *buffer);
const char *size_format(uint64_t bytes, char *buffer);

#endif
