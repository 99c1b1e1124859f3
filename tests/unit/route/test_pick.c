/* Tests of src/route/pick.c: what must hold for every key, on keys and seeds that are always the same. */
#include <math.h>
#include <stdio.h>

#include "base/address.h"
#include "cmocka_all.h"
#include "route/pick.h"

#define SLOTS_MAX 1024
#define KEYS 10000

struct pool {
	struct pick_secret secret;
	struct pick_slot slots[SLOTS_MAX];
	struct pick_table table;
};

static struct pool pool, other;

/* Slots "0", "1", ... */
static void make_pool(struct pool *made, unsigned char seed, size_t count, unsigned weight)
{
	unsigned char bytes[PICK_SEED_SIZE];
	char name[24];

	memset(bytes, seed, sizeof(bytes));
	pick_secret_init(&made->secret, bytes);
	for (size_t i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "%zu", i);
		pick_slot_init(&made->slots[i], &made->secret, name, weight);
	}
	pick_table_init(&made->table, made->slots, count);
}

static uint64_t key_of(const struct pool *from, unsigned number)
{
	char text[32];

	return pick_hash(&from->secret, text, (size_t)snprintf(text, sizeof(text), "session-%u", number));
}

/* How many standard deviations the counts are off an even spread: Wilson and Hilferty's cube root makes
 * chi-square nearly normal. */
static double unevenness(const unsigned *counts, size_t count, unsigned total)
{
	double expected = (double)total / (double)count, chi_square = 0, freedom = (double)count - 1;

	for (size_t i = 0; i < count; i++)
		chi_square += (counts[i] - expected) * (counts[i] - expected) / expected;
	return (cbrt(chi_square / freedom) - (1 - 2 / (9 * freedom))) / sqrt(2 / (9 * freedom));
}

static void the_same_key_has_the_same_slot(void **state)
{
	make_pool(&pool, 1, 16, 1);
	make_pool(&other, 1, 16, 1);
	for (unsigned i = 0; i < KEYS; i++) {
		size_t slot = pick(&pool.table, key_of(&pool, i), NULL);

		assert_in_range(slot, 0, 15);
		assert_int_equal(slot, pick(&pool.table, key_of(&pool, i), NULL));
		assert_int_equal(slot, pick(&other.table, key_of(&other, i), NULL));
	}
}

static void another_secret_moves_keys(void **state)
{
	unsigned same = 0;

	make_pool(&pool, 1, 16, 1);
	make_pool(&other, 2, 16, 1);
	for (unsigned i = 0; i < KEYS; i++)
		same +=
		    pick(&pool.table, key_of(&pool, i), NULL) == pick(&other.table, key_of(&other, i), NULL);
	assert_in_range(same, KEYS / 16 - 100, KEYS / 16 + 100);
}

/* Hosts with the same hash_secret agree, and so do versions: these values may never change. */
static void hashes_never_change(void **state)
{
	static const struct {
		const char *text;
		uint64_t hash;
	} table[] = {
	    {"", 0xb5f7569e8a1860a4},
	    {"a", 0x21da9f68144fb9ff},
	    {"sessionid", 0x1972225dff5dc12b},
	    {"a session id with more than sixteen bytes", 0x2aa5a51e043d3594},
	    {"a value so long that XXH3 takes its path for long inputs: "
	     "..............................................................................................."
	     "."
	     "..............................................................................................."
	     ".",
	        0xfa08e7902bebf194},
	};
	unsigned char seed[PICK_SEED_SIZE];

	for (unsigned i = 0; i < sizeof(seed); i++)
		seed[i] = (unsigned char)i;
	pick_secret_init(&pool.secret, seed);
	for (size_t i = 0; i < COUNT(table); i++)
		assert_int_equal(
		    pick_hash(&pool.secret, table[i].text, strlen(table[i].text)), table[i].hash);
	assert_int_equal(pick_hash(&pool.secret, NULL, 0), table[0].hash);
}

static void the_order_of_slots_does_not_matter(void **state)
{
	make_pool(&pool, 3, 16, 1);
	for (size_t i = 0; i < 16; i++)
		other.slots[i] = pool.slots[15 - i];
	pick_table_init(&other.table, other.slots, 16);
	for (unsigned i = 0; i < KEYS; i++)
		assert_int_equal(pick(&pool.table, key_of(&pool, i), NULL),
		    15 - pick(&other.table, key_of(&pool, i), NULL));
}

/* Read backwards: what a new slot takes is its own share and nothing else moves. */
static void removing_a_slot_moves_only_its_keys(void **state)
{
	for (unsigned weighted = 0; weighted < 2; weighted++) {
		for (size_t removed = 0; removed < 16; removed++) {
			unsigned moved_to[16] = {0}, moved = 0;

			make_pool(&pool, 4, 16, 1);
			if (weighted)
				for (size_t i = 0; i < 16; i++)
					pool.slots[i].weight = (double)(1 + i % 3);
			pick_table_init(&pool.table, pool.slots, 16);
			memcpy(other.slots, pool.slots, sizeof(pool.slots));
			memmove(other.slots + removed, other.slots + removed + 1,
			    (15 - removed) * sizeof(other.slots[0]));
			pick_table_init(&other.table, other.slots, 15);
			for (unsigned i = 0; i < KEYS; i++) {
				size_t before = pick(&pool.table, key_of(&pool, i), NULL);
				size_t after = pick(&other.table, key_of(&pool, i), NULL);

				after += after >= removed;
				if (before != removed)
					assert_int_equal(before, after);
				else
					moved_to[after]++, moved++;
			}
			/* They go to all of the others. */
			assert_true(moved > 0);
			for (size_t i = 0; i < 16; i++)
				assert_true(i == removed ? moved_to[i] == 0 : moved_to[i] > 0);
		}
	}
}

static void excluding_is_removing(void **state)
{
	uint64_t exclude[2];

	make_pool(&pool, 5, 70, 1);
	for (unsigned i = 0; i < KEYS; i++) {
		uint64_t key = key_of(&pool, i);
		size_t first = pick(&pool.table, key, NULL), second, third;

		memset(exclude, 0, sizeof(exclude));
		assert_int_equal(pick(&pool.table, key, exclude), first);
		exclude[first / 64] |= (uint64_t)1 << first % 64;
		second = pick(&pool.table, key, exclude);
		assert_int_not_equal(second, first);
		exclude[second / 64] |= (uint64_t)1 << second % 64;
		third = pick(&pool.table, key, exclude);
		assert_true(third < 70 && third != first && third != second);
		/* The first one's being gone does not change what comes after it. */
		memset(exclude, 0, sizeof(exclude));
		exclude[second / 64] |= (uint64_t)1 << second % 64;
		assert_int_equal(pick(&pool.table, key, exclude), first);
	}
}

static void picks_none_if_none_is_eligible(void **state)
{
	uint64_t all[2] = {UINT64_MAX, UINT64_MAX}, but_one[2] = {UINT64_MAX, ~(uint64_t)2};

	pick_table_init(&pool.table, NULL, 0);
	assert_int_equal(pick(&pool.table, 1, NULL), PICK_NONE);
	make_pool(&pool, 6, 70, 0);
	assert_int_equal(pick(&pool.table, 1, NULL), PICK_NONE);
	for (unsigned weighted = 0; weighted < 2; weighted++) {
		make_pool(&pool, 6, 70, 1);
		pool.slots[3].weight += weighted;
		pick_table_init(&pool.table, pool.slots, 70);
		assert_int_equal(pool.table.equal, !weighted);
		assert_int_equal(pick(&pool.table, 1, all), PICK_NONE);
		assert_int_equal(pick(&pool.table, 1, but_one), 65);
	}
}

/* Also without a good hash before it: keys that differ in a few bits, wherever these are. */
static void mixes_every_bit(void **state)
{
	make_pool(&pool, 12, 16, 1);
	for (unsigned shift = 0; shift < 64 - 14; shift++) {
		unsigned counts[16] = {0};

		for (uint64_t i = 0; i < KEYS; i++)
			counts[pick(&pool.table, i << shift, NULL)]++;
		assert_true(fabs(unevenness(counts, 16, KEYS)) < 4);
	}
}

/* The limit is 4 standard deviations: one chance in 30,000 for each, were the keys not always the same. */
static void spreads_evenly(void **state)
{
	for (unsigned char seed = 1; seed <= 3; seed++) {
		for (size_t count = 2; count <= 64; count++) {
			unsigned counts[64] = {0};

			make_pool(&pool, seed, count, 1);
			for (unsigned i = 0; i < KEYS; i++)
				counts[pick(&pool.table, key_of(&pool, i), NULL)]++;
			assert_true(unevenness(counts, count, KEYS) < 4);
		}
	}
}

static void spreads_in_proportion_to_weights(void **state)
{
	static const unsigned weights[] = {1, 2, 3, 4, 0, 10};
	unsigned counts[COUNT(weights)] = {0}, total = 0;
	double chi_square = 0;

	make_pool(&pool, 7, COUNT(weights), 1);
	for (size_t i = 0; i < COUNT(weights); i++) {
		pool.slots[i].weight = weights[i];
		total += weights[i];
	}
	pick_table_init(&pool.table, pool.slots, COUNT(weights));
	assert_false(pool.table.equal);
	for (unsigned i = 0; i < 10 * KEYS; i++)
		counts[pick(&pool.table, key_of(&pool, i), NULL)]++;
	for (size_t i = 0; i < COUNT(weights); i++) {
		double expected = 10.0 * KEYS * weights[i] / total;

		if (weights[i] == 0)
			assert_int_equal(counts[i], 0);
		else
			chi_square += (counts[i] - expected) * (counts[i] - expected) / expected;
	}
	assert_true(chi_square < 18.5); /* 4 degrees of freedom: 0.1 % */
}

/* A weight that grows takes keys and gives none. */
static void raising_a_weight_only_attracts(void **state)
{
	unsigned won = 0;

	make_pool(&pool, 8, 16, 2);
	make_pool(&other, 8, 16, 2);
	other.slots[5].weight = 3;
	pick_table_init(&other.table, other.slots, 16);
	for (unsigned i = 0; i < KEYS; i++) {
		size_t before = pick(&pool.table, key_of(&pool, i), NULL),
		       after = pick(&other.table, key_of(&pool, i), NULL);

		assert_true(after == before || after == 5);
		won += after != before;
	}
	assert_in_range(won, 200, 400); /* 3/33 - 2/32 of 10,000 is 284 */
}

static void the_shortcut_gives_the_same_answers(void **state)
{
	static const size_t sizes[] = {1, 2, 3, 16, 64, 1000};

	for (size_t i = 0; i < COUNT(sizes); i++) {
		for (unsigned weight = 1; weight <= 1000000; weight *= 1000) {
			struct pick_table full;

			make_pool(&pool, 9, sizes[i], weight);
			assert_true(pool.table.equal);
			full = pool.table;
			full.equal = false;
			for (unsigned j = 0; j < KEYS; j++)
				assert_int_equal(pick(&pool.table, key_of(&pool, j), NULL),
				    pick(&full, key_of(&pool, j), NULL));
		}
	}
}

/* The smallest hash, 0, and others must leave the logarithm finite. */
static void extreme_hashes_have_scores(void **state)
{
	static const uint64_t seeds[] = {0, 1, UINT64_MAX, 1ull << 63};

	for (size_t i = 0; i < COUNT(seeds); i++) {
		for (size_t j = 0; j < COUNT(seeds); j++) {
			struct pick_slot slots[2] = {{seeds[i], 1}, {seeds[j], 2}};
			struct pick_table table;

			pick_table_init(&table, slots, 2);
			assert_in_range(pick(&table, 0, NULL), 0, 1);
			pick_table_init(&table, slots, 1);
			assert_int_equal(pick(&table, seeds[i], NULL), 0); /* mix(0) is 0 */
			table.equal = false;
			assert_int_equal(pick(&table, seeds[i], NULL), 0);
		}
	}
}

/* Twins cannot be configured, but must not depend on anything but themselves. */
static void ties_go_to_the_first(void **state)
{
	struct pick_slot slots[3] = {{42, 1}, {42, 1}, {42, 1}};
	struct pick_table table;

	pick_table_init(&table, slots, 3);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(pick(&table, i, NULL), 0);
	table.equal = false;
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(pick(&table, i, NULL), 0);
}

/* A counter through a multiplication: any even-looking, always equal sequence does. */
static uint64_t next_random(uint64_t *random)
{
	*random = *random * 6364136223846793005u + 1442695040888963407u;
	return *random ^ *random >> 33;
}

static void spreads_ipv6_clients_evenly(void **state)
{
	for (unsigned prefix = 64; prefix <= 128; prefix += 64) {
		unsigned counts[4] = {0};
		uint64_t random = 1;

		make_pool(&pool, 10, 4, 1);
		for (unsigned i = 0; i < 20000; i++) {
			struct address address;
			uint64_t high = next_random(&random), low = next_random(&random);
			size_t length;
			const void *bytes;

			assert_int_equal(address_parse_ip(&address, "2001:db8::", 10), 0);
			memcpy(address.in6.sin6_addr.s6_addr + 4, &high, 4);
			memcpy(address.in6.sin6_addr.s6_addr + 8, &low, 8);
			address_mask(&address, 32, prefix);
			bytes = address_bytes(&address, &length);
			counts[pick(&pool.table, pick_hash(&pool.secret, bytes, length), NULL)]++;
		}
		assert_true(unevenness(counts, 4, 20000) < 4);
	}
}

/* Neighbours: a counter in the last bytes, as in one data centre. */
static void spreads_consecutive_ipv4_clients_evenly(void **state)
{
	unsigned counts[16] = {0};

	make_pool(&pool, 11, 16, 1);
	for (unsigned i = 0; i < 65536; i++) {
		unsigned char bytes[4] = {10, 0, (unsigned char)(i >> 8), (unsigned char)i};

		counts[pick(&pool.table, pick_hash(&pool.secret, bytes, 4), NULL)]++;
	}
	assert_true(unevenness(counts, 16, 65536) < 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_same_key_has_the_same_slot),
	    cmocka_unit_test(another_secret_moves_keys),
	    cmocka_unit_test(hashes_never_change),
	    cmocka_unit_test(the_order_of_slots_does_not_matter),
	    cmocka_unit_test(removing_a_slot_moves_only_its_keys),
	    cmocka_unit_test(excluding_is_removing),
	    cmocka_unit_test(picks_none_if_none_is_eligible),
	    cmocka_unit_test(mixes_every_bit),
	    cmocka_unit_test(spreads_evenly),
	    cmocka_unit_test(spreads_in_proportion_to_weights),
	    cmocka_unit_test(raising_a_weight_only_attracts),
	    cmocka_unit_test(the_shortcut_gives_the_same_answers),
	    cmocka_unit_test(extreme_hashes_have_scores),
	    cmocka_unit_test(ties_go_to_the_first),
	    cmocka_unit_test(spreads_ipv6_clients_evenly),
	    cmocka_unit_test(spreads_consecutive_ipv4_clients_evenly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
