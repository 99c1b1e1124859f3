/* Tests of src/supervisor/listeners.c and listening.c: what a router, which is not believed, may ask for. */
#include "testing.h"

#include <errno.h>
#include <stdio.h>

#include "supervisor/listeners.h"

static struct listener_config worker_listener = {.backlog = 16};
static struct pool_config config = {.name = (char *)"test", .worker_listener = &worker_listener};
static struct supervisor supervisor;
static struct supervised_pool pool = {.supervisor = &supervisor, .config = &config, .name = (char *)"test"};

static int set_up(void **state)
{
	log_configure("test", LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
	TAILQ_INIT(&supervisor.listenings);
	return 0;
}

static void ask_for(struct link_message *asked, const char *address)
{
	link_message_init(asked, LINK_LISTEN);
	asked->socket_type = SOCK_STREAM;
	strcpy(asked->key, "key");
	assert_int_equal(address_parse(&asked->address, address, NULL), 0);
}

static void opens_what_workers_ask_for(void **state)
{
	static const struct {
		const char *address;
		int type;
	} good[] = {{"127.0.0.1:0", SOCK_STREAM}, {"127.0.0.1:0", SOCK_DGRAM}, {"[::1]:0", SOCK_STREAM},
	    {"@limpet-test-listeners", SOCK_STREAM}, {"/tmp/limpet-test-listeners.sock", SOCK_STREAM}};

	for (size_t i = 0; i < COUNT(good); i++) {
		struct listening *listening, *again;
		struct link_message asked;
		int type;

		ask_for(&asked, good[i].address);
		asked.socket_type = good[i].type;
		assert_int_equal(listeners_ask(&pool, &asked, -1, &listening), 0);
		assert_int_equal(
		    getsockopt(listening->fd, SOL_SOCKET, SO_TYPE, &type, &(socklen_t){sizeof(type)}), 0);
		assert_int_equal(type, good[i].type);
		assert_int_equal(listeners_ask(&pool, &asked, -1, &again), 0);
		assert_ptr_equal(again, listening); /* the same key: the same socket */
		listeners_close(&supervisor, listening);
	}
}

static void refuses_what_no_worker_asks_for(void **state)
{
	unsigned before = open_fds();
	struct listening *listening;
	struct link_message asked;

	for (int i = 0; i < 9; i++) {
		ask_for(&asked, i < 6 ? "127.0.0.1:0" : "/tmp/limpet-test-listeners.sock");
		switch (i) {
		case 0:
			asked.socket_type = SOCK_RAW;
			break;
		case 1:
			asked.socket_type = SOCK_STREAM | SOCK_NONBLOCK;
			break;
		case 2:
			asked.address.sa.sa_family = AF_PACKET;
			break;
		case 3:
			asked.address.length--;
			break;
		case 4:
			asked.address.sa.sa_family = AF_INET6;
			break;
		case 5:
			asked.address.length = 0;
			break;
		case 6: /* no NUL: must not be used as a string */
			memset(asked.address.un.sun_path, 'x', sizeof(asked.address.un.sun_path));
			asked.address.length = sizeof(struct sockaddr_un);
			break;
		case 7:
			asked.address.length = offsetof(struct sockaddr_un, sun_path);
			break;
		case 8:
			asked.address.length = sizeof(struct sockaddr_un) + 1;
			break;
		}
		if (listeners_ask(&pool, &asked, -1, &listening) != EINVAL)
			fail_msg("request %d is not refused", i);
	}
	assert_true(TAILQ_EMPTY(&supervisor.listenings));
	assert_int_equal(open_fds(), before);
}

static void a_pool_has_a_most_of_them(void **state)
{
	struct listening *listening;
	struct link_message asked;
	int result = 0, count = 0;

	config.has_listeners = true; /* then no sockets are opened, only names kept */
	while (result == 0 && count < 100000) {
		ask_for(&asked, "127.0.0.1:80");
		snprintf(asked.key, sizeof(asked.key), "key %d", count++);
		result = listeners_ask(&pool, &asked, -1, &listening);
	}
	assert_int_equal(result, EMFILE);
	listeners_close_all(&supervisor);
	config.has_listeners = false;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(opens_what_workers_ask_for),
	    cmocka_unit_test(refuses_what_no_worker_asks_for),
	    cmocka_unit_test(a_pool_has_a_most_of_them),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
