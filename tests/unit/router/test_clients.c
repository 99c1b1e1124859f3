/* Tests of src/router/clients.c. */
#include "testing.h"

#include "route/pick.h"
#include "router/clients.h"

static struct pick_secret secret;

static int init(void **state)
{
	static const unsigned char seed[PICK_SEED_SIZE] = "clients";

	pick_secret_init(&secret, seed);
	clients_init(&secret);
	return 0;
}

static struct address peer(const char *text)
{
	struct address address;

	if (address_parse(&address, text, NULL) < 0)
		fail_msg("%s does not parse", text);
	return address;
}

static void counts_by_prefix(void **state)
{
	static const struct {
		const char *peer;
		unsigned count;
	} table[] = {
	    {"192.0.2.1:1", 1},
	    {"192.0.2.1:2", 2}, /* another port */
	    {"192.0.2.2:1", 1},
	    {"[::ffff:192.0.2.1]:3", 3}, /* the same client over a listener for both families */
	    {"[2001:db8::1]:1", 1},
	    {"[2001:db8::ffff:2]:1", 2}, /* the same /64 */
	    {"[2001:db8:0:1::1]:1", 1},
	    {"[c000:201::]:1", 1}, /* begins with the bytes of 192.0.2.1 */
	    {"[::]:1", 1},
	    {"0.0.0.0:1", 1},
	};
	struct client_count *clients = NULL, *counts[COUNT(table)];

	for (size_t i = 0; i < COUNT(table); i++) {
		struct address address = peer(table[i].peer);

		if (clients_enter(&clients, &address, &counts[i]) != table[i].count)
			fail_msg("%s", table[i].peer);
	}
	for (size_t i = 0; i < COUNT(table); i++)
		clients_leave(&clients, counts[i]);
	assert_null(clients); /* nothing is kept of clients that are gone */
	clients_leave(&clients, NULL);
}

static void is_forgotten_with_the_last(void **state)
{
	struct client_count *clients = NULL, *first, *second;
	struct address address = peer("192.0.2.1:1");

	assert_int_equal(clients_enter(&clients, &address, &first), 1);
	assert_int_equal(clients_enter(&clients, &address, &second), 2);
	clients_leave(&clients, first);
	assert_non_null(clients);
	assert_int_equal(clients_enter(&clients, &address, &first), 2);
	clients_leave(&clients, first);
	clients_leave(&clients, second);
	assert_null(clients);
}

static void many_prefixes(void **state)
{
	enum { MANY = 50000 };
	static struct client_count *counts[MANY];
	struct client_count *clients = NULL;

	for (int round = 1; round <= 2; round++) {
		for (unsigned i = 0; i < MANY; i++) {
			struct address address = peer("[2001:db8::]:1");
			struct client_count *count;

			memcpy(&address.in6.sin6_addr.s6_addr[4], &i, sizeof(i));
			assert_int_equal(clients_enter(&clients, &address, &count), round);
			counts[i] = count;
		}
	}
	for (int round = 1; round <= 2; round++)
		for (unsigned i = 0; i < MANY; i++)
			clients_leave(&clients, counts[i]);
	assert_null(clients);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(counts_by_prefix),
	    cmocka_unit_test(is_forgotten_with_the_last),
	    cmocka_unit_test(many_prefixes),
	};

	return cmocka_run_group_tests(tests, init, NULL);
}
