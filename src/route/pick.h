/* Key to slot: weighted rendezvous hashing. The only user of xxHash.
 *
 * A pure function of secret, key, slot names and weights: a slot that comes back under its name gets its
 * clients back, one that goes loses only its own to the others, evenly, and the order of the slots does not
 * matter. Source: Thaler and Ravishankar, "Using name-based mappings to increase hit rates" (1998); the
 * weights as in Schindelhauer and Schomaker, "Weighted distributed hash tables" (2005): the score of a slot
 * is weight / -ln(u), u uniform in (0, 1).
 *
 * Without the secret nobody can tell from keys which slot they go to, or make keys that all go to one.
 */
#ifndef LIMPET_ROUTE_PICK_H
#define LIMPET_ROUTE_PICK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PICK_SEED_SIZE 32
#define PICK_NONE SIZE_MAX

/* What XXH3 wants for a secret. A plain value; keep it out of logs. */
struct pick_secret {
	unsigned char bytes[192];
};

/* Derived from the seed (random, or from a file) in the same way on all machines and by all versions of
 * xxHash. */
void pick_secret_init(struct pick_secret *secret, const unsigned char seed[PICK_SEED_SIZE]);

/* XXH3 (64 bits) of the bytes with the secret. bytes may be NULL if length is 0. */
uint64_t pick_hash(const struct pick_secret *secret, const void *bytes, size_t length);

struct pick_slot {
	uint64_t seed;
	double weight; /* 0: never picked */
};

/* name: the slot's stable name; not kept. */
void pick_slot_init(
    struct pick_slot *slot, const struct pick_secret *secret, const char *name, unsigned weight);

/* Slots, and what is known of them before any key. */
struct pick_table {
	const struct pick_slot *slots; /* borrowed */
	size_t count;
	bool equal; /* all have the same weight, and not 0: no logarithms; the answers are the same */
};

/* To be called again when a slot or a weight changes. slots may be NULL if count is 0. */
void pick_table_init(struct pick_table *table, const struct pick_slot *slots, size_t count);

/* The index of the key's slot, or PICK_NONE if none is eligible. exclude: NULL, or a bitset of (count + 63) /
 * 64 words, in which bit i % 64 of word i / 64 keeps slot i out. The second choice is the pick with the first
 * excluded, and so on. */
size_t pick(const struct pick_table *table, uint64_t key, const uint64_t *exclude);

#endif
