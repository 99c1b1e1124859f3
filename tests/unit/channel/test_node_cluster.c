#include "dialogue.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct dialogue d;

static struct address address(const char *text)
{
	struct address address;

	assert_int_equal(address_parse(&address, text, NULL), 0);
	return address;
}

static void open_in_step(void)
{
	dialogue_open_in_step(&d, PROTOCOL_NODE_CLUSTER, FLAVOUR_NONE, 8);
	worker_says(&d, "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"online\",\"seq\":0}");
}

static void a_server_from_listen_to_close(void **state)
{
	struct address sockname = address("[::]:8080");

	open_in_step();
	worker_says(&d,
	    "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"queryServer\",\"index\":0,\"data\":null,\"address\":null,"
	    "\"port\":8080,\"addressType\":4,\"backlog\":511,\"seq\":1}");
	owner_is_told(&d, "listen null:8080:4:undefined:0 [::]:8080 any index 0 backlog 511 data none");
	worker_hears_nothing(&d);
	assert_int_equal(channel_answer_listen(d.channel, d.request, 0, &sockname, -1, NULL), 0);
	worker_hears(&d,
	    "{\"cmd\":\"NODE_CLUSTER\",\"errno\":null,\"key\":\"null:8080:4:undefined:0\",\"ack\":1,"
	    "\"data\":null,\"sockname\":{\"address\":\"::\",\"family\":\"IPv6\",\"port\":8080}}");
	owner_is_told(&d, "");
	worker_says(&d,
	    "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"listening\",\"index\":0,\"data\":null,\"address\":null,"
	    "\"port\":8080,\"addressType\":4,\"backlog\":511,\"seq\":2}");
	owner_is_told(&d, "listening null:8080:4:undefined:0; ready");
	assert_int_equal(owner_sends(&d, 1, "null:8080:4:undefined:0"), 0);
	worker_hears_with_fd(&d,
	    "{\"cmd\":\"NODE_HANDLE\",\"type\":\"net.Native\",\"msg\":{\"cmd\":\"NODE_CLUSTER\","
	    "\"act\":\"newconn\",\"key\":\"null:8080:4:undefined:0\",\"seq\":#}}");
	worker_says(&d, ACK);
	worker_says(&d, "{\"cmd\":\"NODE_CLUSTER\",\"ack\":%llu,\"accepted\":true,\"seq\":3}",
	    (unsigned long long)d.number);
	owner_is_told(&d, "acknowledged 1");
	worker_says(
	    &d, "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"close\",\"key\":\"null:8080:4:undefined:0\",\"seq\":4}");
	owner_is_told(&d, "closed_server null:8080:4:undefined:0");
	/* On its way when the server closed: the worker declines it. */
	assert_int_equal(owner_sends(&d, 2, "null:8080:4:undefined:0"), 0);
	worker_hears_with_fd(&d,
	    "{\"cmd\":\"NODE_HANDLE\",\"type\":\"net.Native\",\"msg\":{\"cmd\":\"NODE_CLUSTER\","
	    "\"act\":\"newconn\",\"key\":\"null:8080:4:undefined:0\",\"seq\":#}}");
	worker_says(&d, ACK);
	worker_says(&d, "{\"cmd\":\"NODE_CLUSTER\",\"ack\":%llu,\"accepted\":false,\"seq\":5}",
	    (unsigned long long)d.number);
	owner_is_told(&d, "refused 2");
	assert_int_equal(channel_skipped(d.channel), 0);
	dialogue_close(&d);
}

static void answer_at_once(struct dialogue *dialogue, const struct channel_listen *listen)
{
	struct address sockname = listen->address;

	address_set_port(&sockname, 40000);
	assert_int_equal(
	    channel_answer_listen(dialogue->channel, listen->request, 0, &sockname, -1, "\"first\""), 0);
	/* Still valid. */
	assert_string_equal(listen->key, "127.0.0.1:0:4:undefined:1");
	assert_string_equal(listen->data, "{\"ticketKeys\":\"00\"}");
}

static void any_port_and_data(void **state)
{
	open_in_step();
	d.on_listen = answer_at_once;
	worker_says(&d,
	    "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"queryServer\",\"index\":1,\"data\":{\"ticketKeys\":\"00\"},"
	    "\"address\":\"127.0.0.1\",\"port\":0,\"addressType\":4,\"seq\":7}");
	owner_is_told(&d,
	    "listen 127.0.0.1:0:4:undefined:1 127.0.0.1:0 index 1 backlog 0 data {\"ticketKeys\":\"00\"}");
	worker_hears(&d,
	    "{\"cmd\":\"NODE_CLUSTER\",\"errno\":null,\"key\":\"127.0.0.1:0:4:undefined:1\",\"ack\":7,"
	    "\"data\":\"first\",\"sockname\":{\"address\":\"127.0.0.1\",\"family\":\"IPv4\",\"port\":40000}"
	    "}");
	/* Told with the port that it got. */
	worker_says(&d,
	    "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"listening\",\"index\":1,\"address\":\"127.0.0.1\","
	    "\"port\":40000,\"addressType\":4,\"seq\":8}");
	owner_is_told(&d, "listening 127.0.0.1:0:4:undefined:1; ready");
	/* Ready once, listening each time; and 40000 asked for by name is another server. */
	worker_says(&d,
	    "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"listening\",\"index\":1,\"address\":\"127.0.0.1\","
	    "\"port\":40001,\"addressType\":4,\"seq\":8}");
	owner_is_told(&d, "listening 127.0.0.1:40001:4:undefined:1");
	dialogue_close(&d);
}

static void its_own_data_comes_back(void **state)
{
	struct address sockname = address("[::]:443");

	open_in_step();
	worker_says(&d,
	    "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"queryServer\",\"index\":0,\"data\":{\"k\":\"a\\nb\"},"
	    "\"address\":null,\"port\":443,\"addressType\":4,\"seq\":7}");
	/* What would end the line is not passed on. */
	assert_int_equal(channel_answer_listen(d.channel, d.request, 0, &sockname, -1, "1\n2"), 0);
	worker_hears(&d,
	    "{\"cmd\":\"NODE_CLUSTER\",\"errno\":null,\"key\":\"null:443:4:undefined:0\",\"ack\":7,"
	    "\"data\":{\"k\":\"a\\nb\"},\"sockname\":{\"address\":\"::\",\"family\":\"IPv6\",\"port\":443}}");
	dialogue_close(&d);
}

static void a_unix_path(void **state)
{
	struct address sockname = address("/run/a.sock");

	open_in_step();
	worker_says(&d,
	    "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"queryServer\",\"index\":0,\"address\":\"/run/a.sock\","
	    "\"port\":-1,\"addressType\":-1,\"seq\":2}");
	owner_is_told(
	    &d, "listen /run/a.sock:-1:-1:undefined:0 unix:/run/a.sock index 0 backlog 0 data none");
	channel_answer_listen(d.channel, d.request, 0, &sockname, -1, NULL);
	worker_hears(&d,
	    "{\"cmd\":\"NODE_CLUSTER\",\"errno\":null,\"key\":\"/run/a.sock:-1:-1:undefined:0\",\"ack\":2,"
	    "\"data\":null}");
	worker_says(&d,
	    "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"listening\",\"index\":0,\"address\":\"/run/a.sock\","
	    "\"port\":-1,\"addressType\":-1,\"seq\":2}");
	owner_is_told(&d, "listening /run/a.sock:-1:-1:undefined:0; ready");
	dialogue_close(&d);
}

#define QUERY_UDP                                                                                            \
	"{\"cmd\":\"NODE_CLUSTER\",\"act\":\"queryServer\",\"index\":0,\"address\":\"0.0.0.0\",\"port\":53," \
	"\"addressType\":\"udp4\",\"fd\":-1,\"flags\":0,\"seq\":5}"
#define ANSWER_UDP                                                                                           \
	"{\"cmd\":\"NODE_HANDLE\",\"type\":\"dgram.Native\",\"msg\":{\"cmd\":\"NODE_CLUSTER\",\"errno\":0,"  \
	"\"key\":\"0.0.0.0:53:udp4:-1:0\",\"ack\":5,\"data\":null}}"

static void udp_is_shared(void **state)
{
	struct address sockname = address("0.0.0.0:53");
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), type = 0;
	socklen_t size = sizeof(type);

	open_in_step();
	worker_says(&d, QUERY_UDP);
	owner_is_told(&d, "listen 0.0.0.0:53:udp4:-1:0 udp 0.0.0.0:53 index 0 backlog 0 data none");
	assert_int_equal(channel_answer_listen(d.channel, d.request, 0, &sockname, fd, NULL), 0);
	assert_int_equal(channel_answer_listen(d.channel, d.request, 0, &sockname, fd, NULL), -ENOENT);
	worker_hears_with_fd(&d, ANSWER_UDP);
	assert_int_equal(getsockopt(d.heard_fd, SOL_SOCKET, SO_TYPE, &type, &size), 0);
	assert_int_equal(type, SOCK_DGRAM);
	/* The fd was only borrowed; its acknowledgement is no hand-off's, and it takes no connections. */
	assert_int_equal(close(fd), 0);
	assert_int_equal(owner_sends(&d, 1, "null:80:4:undefined:0"), 0);
	worker_says(&d, ACK);
	worker_says(&d, NACK);
	owner_is_told(&d, "refused 1");
	worker_says(&d, "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"listening\",\"index\":0,\"address\":\"0.0.0.0\","
	                "\"port\":53,\"addressType\":\"udp4\",\"fd\":-1,\"seq\":5}");
	owner_is_told(&d, "listening 0.0.0.0:53:udp4:-1:0");
	dialogue_close(&d);
}

static void a_udp_socket_that_is_missing_or_lost_is_an_error(void **state)
{
	struct address sockname = address("0.0.0.0:53");

	open_in_step();
	worker_says(&d, QUERY_UDP);
	assert_int_equal(channel_answer_listen(d.channel, d.request, 0, &sockname, -1, NULL), 0);
	worker_hears(&d, "{\"cmd\":\"NODE_CLUSTER\",\"errno\":-22,\"key\":\"\",\"ack\":5,\"data\":null}");
	worker_says(&d, QUERY_UDP);
	assert_int_equal(channel_answer_listen(d.channel, d.request, 0, &sockname, 0, NULL), 0);
	worker_hears_with_fd(&d, ANSWER_UDP);
	worker_says(&d, NACK);
	worker_hears(&d, "{\"cmd\":\"NODE_CLUSTER\",\"errno\":-24,\"key\":\"\",\"ack\":5,\"data\":null}");
	dialogue_close(&d);
}

/* No socket before the channel is in step; the order stays. */
static void udp_waits_for_the_first_probe(void **state)
{
	struct address sockname = address("0.0.0.0:53");
	uint64_t probe;

	dialogue_open(&d, PROTOCOL_NODE_CLUSTER, FLAVOUR_NONE, 8);
	worker_hears_with_fd(&d, PROBE);
	probe = d.number;
	worker_says(&d, QUERY_UDP);
	channel_answer_listen(d.channel, d.request, 0, &sockname, 0, NULL);
	worker_hears_nothing(&d);
	assert_false(channel_wants_write(d.channel));
	worker_says(&d, ACK);
	worker_says(&d, "{\"cmd\":\"NODE_CLUSTER\",\"ack\":%llu,\"accepted\":false,\"seq\":1}",
	    (unsigned long long)probe);
	worker_hears_with_fd(&d, ANSWER_UDP);
	dialogue_close(&d);
}

static void refusals_reach_the_worker(void **state)
{
	open_in_step();
	worker_says(&d,
	    "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"queryServer\",\"index\":0,\"address\":null,\"port\":80,"
	    "\"addressType\":4,\"seq\":9}");
	assert_int_equal(channel_answer_listen(d.channel, d.request + 1, EACCES, NULL, -1, NULL), -ENOENT);
	assert_int_equal(channel_answer_listen(d.channel, 0, EACCES, NULL, -1, NULL), -ENOENT);
	assert_int_equal(channel_answer_listen(d.channel, d.request, EACCES, NULL, -1, NULL), 0);
	worker_hears(&d, "{\"cmd\":\"NODE_CLUSTER\",\"errno\":-13,\"key\":\"\",\"ack\":9,\"data\":null}");
	owner_is_told(&d, "listen null:80:4:undefined:0 [::]:80 any index 0 backlog 0 data none");
	/* Refused without asking the owner: an inherited fd, nonsense. */
	worker_says(&d,
	    "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"queryServer\",\"index\":0,\"address\":null,\"port\":null,"
	    "\"addressType\":null,\"fd\":3,\"seq\":10}");
	worker_hears(&d, "{\"cmd\":\"NODE_CLUSTER\",\"errno\":-95,\"key\":\"\",\"ack\":10,\"data\":null}");
	worker_says(&d, "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"queryServer\",\"seq\":11}");
	worker_hears(&d, "{\"cmd\":\"NODE_CLUSTER\",\"errno\":-95,\"key\":\"\",\"ack\":11,\"data\":null}");
	worker_says(&d, "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"queryServer\",\"address\":null,\"port\":80,"
	                "\"addressType\":4}");
	worker_hears_nothing(&d);
	owner_is_told(&d, "");
	dialogue_close(&d);
}

static void servers_are_bounded(void **state)
{
	open_in_step();
	for (int i = 0; i < 256; i++) {
		worker_says(&d,
		    "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"queryServer\",\"index\":%d,\"address\":null,"
		    "\"port\":80,"
		    "\"addressType\":4,\"seq\":%d}",
		    i, i);
		assert_int_equal(d.request, i + 1);
	}
	worker_hears_nothing(&d);
	worker_says(&d,
	    "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"queryServer\",\"index\":256,\"address\":null,\"port\":80,"
	    "\"addressType\":4,\"seq\":1000}");
	worker_hears(&d, "{\"cmd\":\"NODE_CLUSTER\",\"errno\":-105,\"key\":\"\",\"ack\":1000,\"data\":null}");
	worker_says(
	    &d, "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"close\",\"key\":\"null:80:4:undefined:7\",\"seq\":1}");
	worker_says(&d,
	    "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"queryServer\",\"index\":0,\"address\":null,\"port\":80,"
	    "\"addressType\":4,\"seq\":1001}");
	worker_hears(&d, "{\"cmd\":\"NODE_CLUSTER\",\"errno\":-98,\"key\":\"\",\"ack\":1001,\"data\":null}");
	worker_says(&d,
	    "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"queryServer\",\"index\":7,\"address\":null,\"port\":80,"
	    "\"addressType\":4,\"seq\":1002}");
	assert_int_equal(d.request, 257);
	dialogue_close(&d);
}

static void messages_that_mean_nothing(void **state)
{
	static const char *const lines[] = {
	    "{\"cmd\":\"NODE_CLUSTER\"}",
	    "{\"cmd\":\"NODE_CLUSTER\",\"act\":7}",
	    "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"suicide\",\"seq\":1}",
	    "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"close\"}",
	    "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"close\",\"key\":[]}",
	    "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"listening\"}",
	    "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"listening\",\"addressType\":4,\"port\":80,\"address\":{}}",
	    "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"exitedAfterDisconnect\"}",
	    "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"exitedAfterDisconnect\",\"seq\":-1}",
	};

	open_in_step();
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		worker_says(&d, "%s", lines[i]);
		assert_int_equal(channel_skipped(d.channel), i + 1);
	}
	/* Listening before it was allowed to. */
	worker_says(&d,
	    "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"queryServer\",\"index\":0,\"address\":null,\"port\":80,"
	    "\"addressType\":4,\"seq\":9}");
	worker_says(&d,
	    "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"listening\",\"index\":0,\"address\":null,\"port\":80,"
	    "\"addressType\":4,\"seq\":9}");
	owner_is_told(&d, "listen null:80:4:undefined:0 [::]:80 any index 0 backlog 0 data none");
	worker_hears_nothing(&d);
	dialogue_close(&d);
}

/* A server that a predecessor answered for. */
static void listening_after_a_succession(void **state)
{
	open_in_step();
	worker_says(&d,
	    "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"listening\",\"index\":0,\"address\":null,\"port\":80,"
	    "\"addressType\":4,\"seq\":9}");
	owner_is_told(&d, "listening null:80:4:undefined:0; ready");
	dialogue_close(&d);
}

static void keys_are_checked_and_escaped(void **state)
{
	char key[CHANNEL_KEY_MAX + 2];

	open_in_step();
	assert_int_equal(owner_sends(&d, 1, NULL), -EINVAL);
	assert_int_equal(owner_sends(&d, 1, ""), -EINVAL);
	memset(key, 1, sizeof(key));
	key[CHANNEL_KEY_MAX + 1] = '\0';
	assert_int_equal(owner_sends(&d, 1, key), -EINVAL);
	key[CHANNEL_KEY_MAX] = '\0';
	assert_int_equal(owner_sends(&d, 1, key), 0);
	worker_says(&d, NACK);
	owner_is_told(&d, "refused 1");
	assert_int_equal(owner_sends(&d, 2, "/a\"b:-1:-1:undefined:0"), 0);
	dialogue_close(&d);
}

static void a_leaving_worker_opens_nothing(void **state)
{
	open_in_step();
	channel_drain(d.channel);
	worker_hears(&d, "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"disconnect\"}");
	worker_says(&d,
	    "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"queryServer\",\"index\":0,\"address\":null,\"port\":80,"
	    "\"addressType\":4,\"seq\":9}");
	owner_is_told(&d, "");
	worker_hears_nothing(&d);
	dialogue_close(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_server_from_listen_to_close),
	    cmocka_unit_test(any_port_and_data),
	    cmocka_unit_test(its_own_data_comes_back),
	    cmocka_unit_test(a_unix_path),
	    cmocka_unit_test(udp_is_shared),
	    cmocka_unit_test(a_udp_socket_that_is_missing_or_lost_is_an_error),
	    cmocka_unit_test(udp_waits_for_the_first_probe),
	    cmocka_unit_test(refusals_reach_the_worker),
	    cmocka_unit_test(servers_are_bounded),
	    cmocka_unit_test(messages_that_mean_nothing),
	    cmocka_unit_test(listening_after_a_succession),
	    cmocka_unit_test(keys_are_checked_and_escaped),
	    cmocka_unit_test(a_leaving_worker_opens_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
