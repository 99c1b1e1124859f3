#include "dialogue.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct dialogue d;

static const struct {
	enum flavour flavour;
	const char *message;
	bool listens;
} flavours[] = {
    {FLAVOUR_STICKY_SESSION, "\"sticky:balance\"", false},
    {FLAVOUR_STICKY_CLUSTER, "\"sticky-cluster:connection\"", true},
    {FLAVOUR_STICKY_SESSION_CONNECTION, "\"sticky-session:connection\"", true},
    {FLAVOUR_SOCKET_IO, "{\"type\":\"sticky:connection\",\"data\":\"\"}", false},
    {FLAVOUR_STICKY_LISTEN, "{\"msg\":\"sticky:balance\",\"payload\":null}", false},
    {FLAVOUR_LIMPET_CONNECTION,
        "{\"type\":\"limpet:connection\",\"listener\":\"web\",\"client\":\"203.0.113.9:51123\",\"key\":\"cookie\"}",
        false},
};

static void each_flavour_gets_its_message(void **state)
{
	for (size_t i = 0; i < sizeof(flavours) / sizeof(flavours[0]); i++) {
		char expected[200] = "{\"cmd\":\"NODE_HANDLE\",\"type\":\"net.Socket\",\"msg\":";

		dialogue_open_in_step(&d, PROTOCOL_NODE_IPC, flavours[i].flavour, 2);
		owner_is_told(&d, flavours[i].listens ? "" : "ready");
		worker_says(&d, "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"listening\",\"port\":1,\"seq\":2}");
		owner_is_told(&d, flavours[i].listens ? "ready" : "");
		strcat(strcat(expected, flavours[i].message), "}");
		assert_int_equal(owner_sends(&d, 5, NULL), 0);
		assert_int_equal(owner_sends(&d, 6, "ignored"), 0);
		assert_int_equal(owner_sends(&d, 7, NULL), -EAGAIN);
		worker_hears_with_fd(&d, expected);
		worker_hears_with_fd(&d, expected);
		worker_says(&d, ACK);
		owner_is_told(&d, "acknowledged 5");
		worker_says(&d, NACK);
		owner_is_told(&d, "refused 6");
		dialogue_close(&d);
	}
}

static void listens_are_answered_here(void **state)
{
	dialogue_open_in_step(&d, PROTOCOL_NODE_IPC, FLAVOUR_STICKY_CLUSTER, 2);
	worker_says(&d, "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"online\",\"seq\":0}");
	worker_says(&d, "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"queryServer\",\"index\":0,\"data\":null,"
	                "\"address\":\"127.0.0.1\",\"port\":0,\"addressType\":4,\"seq\":1}");
	worker_hears(&d, "{\"cmd\":\"NODE_CLUSTER\",\"errno\":null,\"key\":\"1\",\"ack\":1,\"data\":null,"
	                 "\"sockname\":{\"address\":\"127.0.0.1\",\"family\":\"IPv4\",\"port\":49152}}");
	worker_says(&d, "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"queryServer\",\"index\":0,\"data\":\"x\","
	                "\"address\":null,\"port\":3000,\"addressType\":4,\"seq\":2}");
	worker_hears(&d, "{\"cmd\":\"NODE_CLUSTER\",\"errno\":null,\"key\":\"2\",\"ack\":2,\"data\":\"x\","
	                 "\"sockname\":{\"address\":\"::\",\"family\":\"IPv6\",\"port\":3000}}");
	worker_says(&d, "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"queryServer\",\"index\":0,\"address\":\"/a\","
	                "\"port\":-1,\"addressType\":-1,\"seq\":3}");
	worker_hears(&d, "{\"cmd\":\"NODE_CLUSTER\",\"errno\":null,\"key\":\"3\",\"ack\":3,\"data\":null}");
	worker_says(&d, "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"queryServer\",\"index\":0,\"address\":\"::\","
	                "\"port\":53,\"addressType\":\"udp6\",\"seq\":4}");
	worker_hears(&d, "{\"cmd\":\"NODE_CLUSTER\",\"errno\":-95,\"key\":\"\",\"ack\":4,\"data\":null}");
	worker_says(&d, "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"queryServer\",\"index\":0,\"fd\":4,\"seq\":5}");
	worker_hears(&d, "{\"cmd\":\"NODE_CLUSTER\",\"errno\":-95,\"key\":\"\",\"ack\":5,\"data\":null}");
	worker_says(&d, "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"close\",\"key\":\"1\",\"seq\":6}");
	owner_is_told(&d, "");
	assert_int_equal(channel_answer_listen(d.channel, 1, 0, NULL, -1, NULL), -ENOENT);
	worker_hears_nothing(&d);
	assert_int_equal(channel_skipped(d.channel), 0);
	dialogue_close(&d);
}

static void sticky_session_closes_its_server(void **state)
{
	dialogue_open_in_step(&d, PROTOCOL_NODE_IPC, FLAVOUR_STICKY_SESSION, 2);
	worker_says(&d, "{\"type\":\"close\"}");
	owner_is_told(&d, "ready; leaving");
	assert_int_equal(owner_sends(&d, 1, NULL), -EPIPE);
	/* It took its server down, not its process: that is told to end all the same. */
	assert_int_equal(channel_drain(d.channel), 0);
	worker_hears(&d, "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"disconnect\"}");
	dialogue_close(&d);
}

static void socket_io_tells_of_ended_connections(void **state)
{
	dialogue_open_in_step(&d, PROTOCOL_NODE_IPC, FLAVOUR_SOCKET_IO, 2);
	worker_says(&d, "{\"type\":\"sticky:connection\",\"data\":\"7kJ\"}");
	worker_says(&d, "{\"type\":\"sticky:disconnection\",\"data\":\"7kJ\"}");
	owner_is_told(&d, "ready; connections_closed 1");
	assert_int_equal(channel_skipped(d.channel), 0);
	worker_says(&d, "{\"type\":\"close\"}");
	worker_says(&d, "{\"type\":7}");
	worker_says(&d, "[\"sticky:disconnection\"]");
	worker_says(&d, "{\"type\":\"sticky:disconnection\"");
	worker_says(&d, "{\"type\":\"sticky:disconnection\",\"data\":\"%1100d\"}", 1);
	owner_is_told(&d, "");
	assert_int_equal(channel_skipped(d.channel), 5);
	dialogue_close(&d);
}

static void tcp_connections_do_not_wait(void **state)
{
	struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t length = sizeof(name), size = sizeof(int);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct channel_connection connection = {.id = 1};
	int nodelay = 0;

	assert_int_equal(bind(listener, (struct sockaddr *)&name, length), 0);
	assert_int_equal(listen(listener, 1), 0);
	getsockname(listener, (struct sockaddr *)&name, &length);
	assert_int_equal(connect(client, (struct sockaddr *)&name, length), 0);
	connection.fd = accept(listener, NULL, NULL);
	dialogue_open_in_step(&d, PROTOCOL_NODE_IPC, FLAVOUR_SOCKET_IO, 2);
	assert_int_equal(channel_send_connection(d.channel, &connection), 0);
	worker_hears_with_fd(&d, "{\"cmd\":\"NODE_HANDLE\",\"type\":\"net.Socket\","
	                         "\"msg\":{\"type\":\"sticky:connection\",\"data\":\"\"}}");
	assert_int_equal(getsockopt(d.heard_fd, IPPROTO_TCP, TCP_NODELAY, &nodelay, &size), 0);
	assert_int_not_equal(nodelay, 0);
	close(connection.fd);
	close(client);
	close(listener);
	dialogue_close(&d);
}

static void a_probe_is_answered(void **state)
{
	dialogue_open_in_step(&d, PROTOCOL_NODE_IPC, FLAVOUR_SOCKET_IO, 2);
	owner_is_told(&d, "ready");
	channel_probe(d.channel);
	worker_hears_with_fd(&d, PROBE);
	worker_says(&d, ACK);
	worker_says(&d, "{\"cmd\":\"NODE_CLUSTER\",\"ack\":%llu,\"accepted\":false,\"seq\":2}",
	    (unsigned long long)d.number);
	owner_is_told(&d, "alive");
	/* A number of node-cluster's means nothing here. */
	owner_sends(&d, 1, NULL);
	worker_says(&d, "{\"cmd\":\"NODE_CLUSTER\",\"ack\":1,\"accepted\":true,\"seq\":2}");
	owner_is_told(&d, "");
	assert_int_equal(channel_skipped(d.channel), 1);
	dialogue_close(&d);
}

static void cluster_messages(void **state)
{
	dialogue_open_in_step(&d, PROTOCOL_NODE_IPC, FLAVOUR_STICKY_LISTEN, 2);
	worker_says(&d, "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"exitedAfterDisconnect\",\"seq\":4}");
	worker_hears(&d, "{\"cmd\":\"NODE_CLUSTER\",\"ack\":4}");
	owner_is_told(&d, "ready; leaving");
	worker_says(&d, "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"what\",\"seq\":4}");
	worker_says(&d, "{\"cmd\":\"NODE_CLUSTER\",\"seq\":4}");
	worker_says(&d, "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"queryServer\"}");
	worker_says(&d, "{\"type\":\"close\"}");
	assert_int_equal(channel_skipped(d.channel), 4);
	dialogue_close(&d);
}

static void limpets_own_messages(void **state)
{
	static const char *const bad[] = {"{}", "7", "{\"type\":\"limpet:closed\"}", "{\"type\":\"limpet:closed\",\"count\":0}",
	    "{\"type\":\"limpet:closed\",\"count\":4294967296}", "{\"type\":\"limpet:stats\"}",
	    "{\"type\":\"limpet:stats\",\"values\":{\"A\":1}}", "{\"type\":\"hello\"}"};

	dialogue_open_in_step(&d, PROTOCOL_NODE_IPC, FLAVOUR_LIMPET_CONNECTION, 2);
	worker_says(&d, "{\"type\":\"limpet:closed\",\"count\":3}");
	worker_says(&d, "{\"type\":\"limpet:stats\",\"values\":{\"rooms\":12}}");
	owner_is_told(&d, "ready; connections_closed 3; stats 1; rooms=12");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		worker_says(&d, "%s", bad[i]);
		owner_is_told(&d, "");
		if (channel_skipped(d.channel) != i + 1)
			fail_msg("not counted: %s", bad[i]);
	}
	assert_int_equal(channel_drain(d.channel), 0);
	worker_hears(&d, "{\"type\":\"limpet:drain\"}");
	worker_hears(&d, "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"disconnect\"}");
	dialogue_close(&d);
	dialogue_open_in_step(&d, PROTOCOL_NODE_IPC, FLAVOUR_LIMPET_CONNECTION, 2);
	worker_says(&d, "{\"type\":\"limpet:bye\"}");
	owner_is_told(&d, "ready; leaving");
	dialogue_close(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_flavour_gets_its_message),
	    cmocka_unit_test(listens_are_answered_here),
	    cmocka_unit_test(sticky_session_closes_its_server),
	    cmocka_unit_test(socket_io_tells_of_ended_connections),
	    cmocka_unit_test(tcp_connections_do_not_wait),
	    cmocka_unit_test(a_probe_is_answered),
	    cmocka_unit_test(cluster_messages),
	    cmocka_unit_test(limpets_own_messages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
