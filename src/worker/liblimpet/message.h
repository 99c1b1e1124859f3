/* The messages of protocol limpet (limpet-worker(7)), as a worker reads and writes them. Owns nothing. */
#ifndef LIMPET_WORKER_LIBLIMPET_MESSAGE_H
#define LIMPET_WORKER_LIBLIMPET_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "limpet.h"

/* Of one datagram, in either direction. */
#define LIMPET_MESSAGE_MAX 8192
#define LIMPET_PROTOCOL 1 /* its version */
#define LIMPET_ID_MAX INT32_MAX

/* With their NUL. A longer one counts as absent. */
#define LIMPET_NAME_MAX 65
#define LIMPET_CLIENT_MAX 128
#define LIMPET_KEY_MAX 32
#define LIMPET_REASON_MAX 256

enum limpet_message_type {
	LIMPET_MESSAGE_UNKNOWN, /* or of no use: to be skipped */
	LIMPET_MESSAGE_CONNECTION,
	LIMPET_MESSAGE_DRAIN,
	LIMPET_MESSAGE_PING,
	LIMPET_MESSAGE_PONG,
	LIMPET_MESSAGE_WELCOME,
	LIMPET_MESSAGE_BYE,
};

/* Texts that are absent are empty. */
struct limpet_message {
	enum limpet_message_type type;
	uint32_t id;      /* connection, ping, pong */
	uint32_t version; /* welcome */
	char listener[LIMPET_NAME_MAX];
	char client[LIMPET_CLIENT_MAX];
	char key[LIMPET_KEY_MAX];
	char pool[LIMPET_NAME_MAX];
	char slot[LIMPET_NAME_MAX];
	char reason[LIMPET_REASON_MAX];
};

/* Reads a datagram of the front. Only the members of its type are set. */
void limpet_message_read(struct limpet_message *message, const char *bytes, size_t length);

/* These write a datagram and return its length, or 0 if it does not fit. */

/* The names are valid ones, or empty: then they are left out. */
size_t limpet_message_hello(char *bytes, size_t size, const char *pool, const char *slot);
/* {"type":TYPE}, or with a member that is a number. */
size_t limpet_message_plain(char *bytes, size_t size, const char *type);
size_t limpet_message_number(char *bytes, size_t size, const char *type, const char *member, uint32_t number);
/* 0 also if the front would skip it: more than LIMPET_STATS_MAX, a name that is not 1 to 32 of a-z, 0-9 and
 * _, a value that is not finite. */
size_t limpet_message_stats(char *bytes, size_t size, const struct limpet_stat *stats, size_t count);

/* Gives a number, as printf() writes it, the decimal point of JSON: the locale's may be another one, of
 * several bytes. */
void limpet_decimal_point(char *number);

/* Can a pool or slot be called so? As in limpet.json(5): up to 64 letters, digits, ".", "_" and "-". */
bool limpet_name_is_valid(const char *name);

#endif
