#include "loading.h"

#include <signal.h>

#include "config/units.h"

static uint64_t fallback_number(const struct key *key)
{
	uint64_t value = UINT64_MAX;

	if (key->type == KEY_DURATION)
		assert_int_equal(duration_parse(&value, key->fallback), UNITS_OK);
	else if (key->type == KEY_SIZE)
		assert_int_equal(size_parse(&value, key->fallback), UNITS_OK);
	else
		value = strtoull(key->fallback, NULL, 10);
	return value;
}

/* Each row makes sense by itself. */
static void test_rows(void **state)
{
	for (size_t i = 0; i < keys_count; i++) {
		const struct key *key = &keys[i];
		int value;

		print_message("%s%s\n", keys_prefix(key->object), key->name);
		assert_ptr_equal(keys_find(key->object, key->name), key);
		assert_true(strlen(key->help) > 10);
		assert_true(key->help[strlen(key->help) - 1] != '.');
		assert_false(key->required && key->fallback != NULL);
		assert_true(key->min <= key->max);
		assert_int_equal(key->type == KEY_CHOICE, key->choices != NULL);
		if (key->type == KEY_CHOICE && key->fallback != NULL)
			assert_true(choice_value(key->choices, key->fallback, &value));
		if (key->type == KEY_DURATION || key->type == KEY_SIZE || key->type == KEY_INTEGER ||
		    key->type == KEY_MODE || key->type == KEY_LIMIT || key->type == KEY_SIZE_LIMIT)
			assert_true(key->max > 0);
		if ((key->type == KEY_DURATION || key->type == KEY_SIZE || key->type == KEY_INTEGER) &&
		    key->fallback != NULL)
			assert_in_range(fallback_number(key), key->min, key->max);
	}
	assert_null(keys_find(KEYS_POOL, "address"));
	assert_null(keys_find(KEYS_POOL, ""));
}

static void test_defaults(void **state)
{
	struct listener_config listener = {0};
	struct pool_config pool = {0};
	struct sticky_source source = {0};
	struct config config = {0};

	keys_set_defaults(KEYS_LISTENER, &listener);
	assert_int_equal(listener.head_timeout, 10000);
	assert_int_equal(listener.head_size, 16384);
	assert_int_equal(listener.max_waiting, 10000);
	assert_int_equal(listener.max_waiting_per_client, 256);
	assert_int_equal(listener.backlog, 4096);
	assert_false(listener.proxy_protocol);
	assert_false(listener.mode.is_set);
	assert_int_equal(listener.client_address, CLIENT_ADDRESS_PEER);
	keys_set_defaults(KEYS_POOL, &pool);
	assert_int_equal(pool.start_timeout, 30000);
	assert_int_equal(pool.drain_timeout, 300000);
	assert_int_equal(pool.connections, CONNECTIONS_ACCEPT);
	assert_int_equal(pool.accept, ACCEPT_AUTO);
	assert_int_equal(pool.drain_signal, SIGTERM);
	assert_int_equal(pool.kill_timeout, 10000);
	assert_int_equal(pool.stuck_timeout, 10000);
	assert_int_equal(pool.stuck_action, STUCK_WAIT);
	assert_int_equal(pool.surge, 1);
	assert_int_equal(pool.max_retired, 64);
	assert_int_equal(pool.on_down, ON_DOWN_HOLD);
	assert_int_equal(pool.hold, 2000);
	assert_int_equal(pool.window, 64);
	assert_int_equal(pool.queue, 10000);
	assert_int_equal(pool.queue_timeout, 30000);
	assert_int_equal(pool.protocol, PROTOCOL_AUTO);
	assert_true(pool.socket_mode.is_set);
	assert_int_equal(pool.socket_mode.bits, 0600);
	assert_false(pool.umask.is_set);
	assert_false(pool.limit_core.is_set);
	keys_set_defaults(KEYS_CONFIG, &config);
	assert_true(config.control_mode.is_set);
	assert_int_equal(config.control_mode.bits, 0600);
	assert_null(config.control_group);
	keys_set_defaults(KEYS_STICKY_IP, &source);
	assert_int_equal(source.v4_prefix, 32);
	assert_int_equal(source.v6_prefix, 64);
	keys_set_defaults(KEYS_LOG, &config);
	assert_int_equal(config.log_level, LOG_LEVEL_INFO);
	assert_int_equal(config.log_format, LOG_FORMAT_TEXT);
}

static void test_names(void **state)
{
	assert_string_equal(protocol_name(PROTOCOL_NODE_CLUSTER), "node-cluster");
	assert_string_equal(protocol_name(PROTOCOL_NODE_IPC), "node-ipc");
	assert_string_equal(protocol_name(PROTOCOL_LIMPET), "limpet");
	assert_string_equal(protocol_name(PROTOCOL_ACCEPT), "accept");
	assert_string_equal(flavour_name(FLAVOUR_STICKY_SESSION), "sticky-session");
	assert_string_equal(flavour_name(FLAVOUR_STICKY_CLUSTER), "sticky-cluster");
	assert_string_equal(flavour_name(FLAVOUR_STICKY_SESSION_CONNECTION), "sticky-session:connection");
	assert_string_equal(flavour_name(FLAVOUR_SOCKET_IO), "socket.io");
	assert_string_equal(flavour_name(FLAVOUR_STICKY_LISTEN), "sticky-listen");
	assert_string_equal(flavour_name(FLAVOUR_NONE), "none");
	assert_string_equal(on_down_name(ON_DOWN_HOLD), "hold");
	assert_string_equal(on_down_name(ON_DOWN_NEXT), "next");
	assert_string_equal(on_down_name(ON_DOWN_REJECT), "reject");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_rows), cmocka_unit_test(test_defaults), cmocka_unit_test(test_names)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
