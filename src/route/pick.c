/* Scores slots for a key. */
#include "route/pick.h"

#include <math.h>
#include <string.h>
#include <xxhash.h>

/* 128-bit hashes of the seed, numbered by their own seeds, fill the secret. XXH3_generateSecret() is made for
 * this, but is not part of xxHash's stable interface and has changed between versions; a shared hash_secret
 * must not depend on that. */
void pick_secret_init(struct pick_secret *secret, const unsigned char seed[PICK_SEED_SIZE])
{
	XXH128_canonical_t block;

	_Static_assert(sizeof(secret->bytes) >= XXH3_SECRET_SIZE_MIN, "XXH3 refuses a shorter secret");
	_Static_assert(sizeof(secret->bytes) % sizeof(block) == 0, "whole blocks");
	for (size_t at = 0; at < sizeof(secret->bytes); at += sizeof(block)) {
		XXH128_canonicalFromHash(&block, XXH3_128bits_withSeed(seed, PICK_SEED_SIZE, at));
		memcpy(secret->bytes + at, &block, sizeof(block));
	}
}

uint64_t pick_hash(const struct pick_secret *secret, const void *bytes, size_t length)
{
	return XXH3_64bits_withSecret(length ? bytes : "", length, secret->bytes, sizeof(secret->bytes));
}

/* The finalizer of SplitMix64 (David Stafford's "Mix13" of MurmurHash3's): a bijection in which every input
 * bit changes every output bit with a probability near 1/2. */
static inline uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

void pick_slot_init(
    struct pick_slot *slot, const struct pick_secret *secret, const char *name, unsigned weight)
{
	/* Once more mixed, so that a key that is spelled like the slot's name has nothing in common with it.
	 */
	slot->seed = mix(pick_hash(secret, name, strlen(name)) + 0x9e3779b97f4a7c15u);
	slot->weight = weight;
}

void pick_table_init(struct pick_table *table, const struct pick_slot *slots, size_t count)
{
	table->slots = slots;
	table->count = count;
	table->equal = count > 0 && slots[0].weight > 0;
	for (size_t i = 1; i < count && table->equal; i++)
		table->equal = slots[i].weight == slots[0].weight;
}

static inline bool is_excluded(const uint64_t *exclude, size_t index)
{
	return exclude && (exclude[index / 64] >> (index % 64) & 1);
}

/* The score grows with the hash, so that without weights the hash will do. */
static size_t pick_equal(const struct pick_table *table, uint64_t key, const uint64_t *exclude)
{
	const struct pick_slot *slots = table->slots;
	size_t best = PICK_NONE;
	uint64_t best_hash = 0;

	for (size_t i = 0; i < table->count; i++) {
		uint64_t hash = mix(key ^ slots[i].seed);

		if (hash < best_hash || is_excluded(exclude, i))
			continue;
		if (best != PICK_NONE && hash == best_hash && slots[i].seed <= slots[best].seed)
			continue;
		best = i;
		best_hash = hash;
	}
	return best;
}

/* The middles of 2^52 equal steps: each an exact double, and neither 0 nor 1. */
static inline double uniform(uint64_t hash)
{
	return ((double)(hash >> 12) + 0.5) * 0x1p-52;
}

static size_t pick_weighted(const struct pick_table *table, uint64_t key, const uint64_t *exclude)
{
	const struct pick_slot *slots = table->slots;
	size_t best = PICK_NONE;
	uint64_t best_hash = 0;
	double best_score = 0;

	for (size_t i = 0; i < table->count; i++) {
		uint64_t hash = mix(key ^ slots[i].seed);
		double u = uniform(hash), score;

		/* -ln(u) >= 1 - u: most slots cannot win and need no logarithm. The factor covers rounding.
		 */
		if (slots[i].weight <= 0 || slots[i].weight * 1.000001 < best_score * (1 - u) ||
		    is_excluded(exclude, i))
			continue;
		score = slots[i].weight / -log(u);
		if (best != PICK_NONE) {
			if (score < best_score)
				continue;
			/* Rounding can make two scores equal: then as without weights. */
			if (score == best_score &&
			    (hash < best_hash || (hash == best_hash && slots[i].seed <= slots[best].seed)))
				continue;
		}
		best = i;
		best_hash = hash;
		best_score = score;
	}
	return best;
}

size_t pick(const struct pick_table *table, uint64_t key, const uint64_t *exclude)
{
	return table->equal ? pick_equal(table, key, exclude) : pick_weighted(table, key, exclude);
}
