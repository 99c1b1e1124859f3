/* Strict JSON (RFC 8259), for the few small messages of the front: finds members of one object, without
 * allocation. Whatever is not wanted is checked and skipped.
 *
 * Owns nothing: members point into the text.
 */
#ifndef LIMPET_WORKER_LIBLIMPET_JSON_H
#define LIMPET_WORKER_LIBLIMPET_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Arrays and objects within one another; deeper ones make the text invalid. */
#define LIMPET_JSON_DEPTH_MAX 32

struct limpet_json_member {
	const char *name;  /* wanted; at most 31 bytes */
	const char *value; /* its JSON text, or NULL: there is none */
	size_t length;
};

/* The text need not be NUL-terminated. false: it is no JSON object in UTF-8, is nested too deeply, or has one
 * of the wanted members twice. `value` and `length` are set only on success. */
bool limpet_json_object(const char *text, size_t length, struct limpet_json_member *members, size_t count);

/* These take what limpet_json_object() has found. They are false, with nothing changed but the buffer, if
 * there is no such member or it is something else. */

/* A string, decoded and NUL-terminated. Also false if it has a NUL in it or does not fit. */
bool limpet_json_string(const struct limpet_json_member *member, char *buffer, size_t size);

/* A number without sign, fraction and exponent, up to maximum. */
bool limpet_json_number(const struct limpet_json_member *member, uint32_t maximum, uint32_t *number);

#endif
