/* What both Node protocols share, seen through node-cluster. */
#include "dialogue.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define KEY "null:80:4:undefined:0"
#define NEWCONN(key)                                                                                         \
	"{\"cmd\":\"NODE_HANDLE\",\"type\":\"net.Native\",\"msg\":"                                          \
	"{\"cmd\":\"NODE_CLUSTER\",\"act\":\"newconn\",\"key\":\"" key "\",\"seq\":#}}"

static struct dialogue d;

static void open_in_step(void)
{
	dialogue_open_in_step(&d, PROTOCOL_NODE_CLUSTER, FLAVOUR_NONE, 4);
}

static void worker_accepts(uint64_t seq, bool accepted)
{
	worker_says(&d, "{\"cmd\":\"NODE_CLUSTER\",\"ack\":%llu,\"accepted\":%s,\"seq\":3}",
	    (unsigned long long)seq, accepted ? "true" : "false");
}

static void nothing_is_sent_before_the_first_answer(void **state)
{
	dialogue_open(&d, PROTOCOL_NODE_CLUSTER, FLAVOUR_NONE, 4);
	worker_hears_with_fd(&d, PROBE);
	assert_int_equal(owner_sends(&d, 1, KEY), -EAGAIN);
	/* Acknowledgements for a predecessor: whose they are cannot be told. */
	worker_says(&d, ACK);
	worker_says(&d, ACK);
	worker_says(&d, NACK);
	worker_accepts(12345, true);
	assert_int_equal(owner_sends(&d, 1, KEY), -EAGAIN);
	worker_hears_nothing(&d);
	worker_accepts(d.number, false);
	owner_is_told(&d, "");
	assert_int_equal(owner_sends(&d, 1, KEY), 0);
	worker_hears_with_fd(&d, NEWCONN(KEY));
	dialogue_close(&d);
}

static void a_first_probe_that_was_lost_is_sent_again(void **state)
{
	uint64_t first;

	dialogue_open(&d, PROTOCOL_NODE_CLUSTER, FLAVOUR_NONE, 4);
	worker_hears_with_fd(&d, PROBE);
	first = d.number;
	channel_probe(d.channel);
	worker_hears_nothing(&d);
	worker_says(&d, NACK);
	channel_probe(d.channel);
	worker_hears_with_fd(&d, PROBE);
	assert_int_not_equal(d.number, first);
	channel_probe(d.channel);
	worker_hears_nothing(&d);
	/* The first one's answer does not say that the second one was read. */
	worker_accepts(first, false);
	assert_false(channel_can_send(d.channel));
	worker_accepts(d.number, false);
	assert_true(channel_can_send(d.channel));
	owner_is_told(&d, "alive");
	dialogue_close(&d);
}

static void a_hand_off_is_acknowledged_or_refused(void **state)
{
	uint64_t first, second, third;

	open_in_step();
	assert_int_equal(owner_sends(&d, 1, KEY), 0);
	assert_int_equal(owner_sends(&d, 2, KEY), 0);
	assert_int_equal(owner_sends(&d, 3, KEY), 0);
	assert_int_equal(channel_unacknowledged(d.channel), 3);
	worker_hears_with_fd(&d, NEWCONN(KEY));
	first = d.number;
	worker_hears_with_fd(&d, NEWCONN(KEY));
	second = d.number;
	worker_hears_with_fd(&d, NEWCONN(KEY));
	third = d.number;
	worker_says(&d, ACK);
	owner_is_told(&d, "");
	worker_accepts(first, true);
	owner_is_told(&d, "acknowledged 1");
	worker_says(&d, ACK);
	worker_accepts(second, false);
	owner_is_told(&d, "refused 2");
	/* The third one's socket did not arrive. */
	worker_says(&d, NACK);
	owner_is_told(&d, "refused 3");
	worker_accepts(third, true);
	worker_accepts(second, true);
	owner_is_told(&d, "");
	assert_int_equal(channel_unacknowledged(d.channel), 0);
	assert_int_equal(channel_skipped(d.channel), 2);
	dialogue_close(&d);
}

/* Says the line with the number in place of '#'. */
static void worker_says_number(const char *line, uint64_t number)
{
	const char *at = strchr(line, '#');

	worker_says(&d, "%.*s%llu%s", (int)(at - line), line, (unsigned long long)number, at + 1);
}

static void answers_in_any_form(void **state)
{
	static const char *const good[] = {
	    "{\"cmd\":\"NODE_CLUSTER\",\"ack\":#,\"accepted\":true,\"seq\":3}",
	    "{\"cmd\":\"NODE_CLUSTER\",\"ack\":#,\"accepted\":true}",
	    "{\"cmd\":\"NODE_CLUSTER\",\"ack\":#,\"accepted\":true,\"seq\":3,\"new\":[1]}",
	    " { \"accepted\" : true , \"seq\":1, \"ack\": #, \"cmd\": \"NODE_CLUSTER\" } \r",
	};
	static const char *const bad[] = {
	    "{\"cmd\":\"NODE_CLUSTER\",\"ack\":#,\"accepted\":true,\"seq\":3",
	    "{\"cmd\":\"NODE_CLUSTER\",\"ack\":#,\"accepted\":1,\"seq\":3}",
	    "{\"cmd\":\"NODE_CLUSTER\",\"ack\":#,\"accepted\":\"true\"}",
	    "{\"cmd\":\"NODE_CLUSTER\",\"ack\":#}",
	    "{\"cmd\":\"NODE_CLUSTER\",\"ack\":\"#\",\"accepted\":true}",
	    "{\"cmd\":\"NODE_CLUSTER\",\"ack\":#.5,\"accepted\":true}",
	    "{\"cmd\":\"NODE_CLUSTER\",\"ack\":-#,\"accepted\":true,\"seq\":3}",
	    "{\"cmd\":\"NODE_CLUSTER\",\"ack\":1#,\"accepted\":true,\"seq\":3}",
	    "{\"cmd\":\"NODE_CLUSTER\",\"ack\":9999999999999999999999999999#,\"accepted\":true,\"seq\":3}",
	    "{\"cmd\":\"NODE_cluster\",\"ack\":#,\"accepted\":true}",
	    "{\"app\":{\"cmd\":\"NODE_CLUSTER\",\"ack\":#,\"accepted\":true}}",
	    "[{\"cmd\":\"NODE_CLUSTER\",\"ack\":#,\"accepted\":true}]",
	    "{\"cmd\":[\"NODE_CLUSTER\"],\"ack\":#,\"accepted\":true}",
	    "{\"x\":\"\xff\",\"cmd\":\"NODE_CLUSTER\",\"ack\":#,\"accepted\":true}",
	    "{\"cmd\":\"NODE_CLUSTER\",\"ack\":#,\"accepted\":true}}",
	};
	open_in_step();
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(owner_sends(&d, 9, KEY), 0);
		worker_hears_with_fd(&d, NEWCONN(KEY));
		worker_says(&d, ACK);
		worker_says_number(good[i], d.number);
		owner_is_told(&d, "acknowledged 9");
	}
	assert_int_equal(channel_skipped(d.channel), 0);
	assert_int_equal(owner_sends(&d, 9, KEY), 0);
	worker_hears_with_fd(&d, NEWCONN(KEY));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		worker_says_number(bad[i], d.number);
		owner_is_told(&d, "");
		assert_int_equal(channel_skipped(d.channel), i + 1);
	}
	assert_int_equal(channel_unacknowledged(d.channel), 1);
	dialogue_close(&d);
}

static void lines_come_byte_by_byte(void **state)
{
	static const char lines[] = "{\"cmd\":\"NODE_HANDLE_ACK\"}\n {\"cmd\" : \"NODE_HANDLE_NACK\"}\n";

	open_in_step();
	owner_sends(&d, 1, KEY);
	owner_sends(&d, 2, KEY);
	for (size_t i = 0; i < sizeof(lines) - 1; i++) {
		owner_is_told(&d, "");
		worker_sends(&d, lines + i, 1, -1);
	}
	owner_is_told(&d, "refused 2");
	dialogue_close(&d);
}

static void the_window_bounds_what_is_under_way(void **state)
{
	open_in_step();
	for (uint32_t id = 1; id <= 4; id++)
		assert_int_equal(owner_sends(&d, id, KEY), 0);
	assert_false(channel_can_send(d.channel));
	assert_int_equal(owner_sends(&d, 5, KEY), -EAGAIN);
	worker_hears_with_fd(&d, NEWCONN(KEY));
	worker_says(&d, ACK);
	assert_false(channel_can_send(d.channel));
	worker_accepts(d.number, true);
	owner_is_told(&d, "acknowledged 1");
	assert_int_equal(owner_sends(&d, 5, KEY), 0);
	dialogue_close(&d);
}

static void sends_again(struct dialogue *dialogue, uint32_t id)
{
	if (id == 1)
		assert_int_equal(owner_sends(dialogue, 77, KEY), 0);
}

static void the_owner_may_send_from_within_an_event(void **state)
{
	uint32_t id;
	size_t cursor = 0;

	dialogue_open_in_step(&d, PROTOCOL_NODE_CLUSTER, FLAVOUR_NONE, 1);
	d.on_acknowledged = sends_again;
	owner_sends(&d, 1, KEY);
	worker_hears_with_fd(&d, NEWCONN(KEY));
	worker_says(&d, ACK);
	worker_accepts(d.number, true);
	owner_is_told(&d, "acknowledged 1");
	worker_hears_with_fd(&d, NEWCONN(KEY));
	assert_true(channel_next_unacknowledged(d.channel, &cursor, &id));
	assert_int_equal(id, 77);
	assert_false(channel_next_unacknowledged(d.channel, &cursor, &id));
	dialogue_close(&d);
}

/* No message with a socket may straddle the 64 KiB blocks in which Node reads. */
static void unread_bytes_are_bounded(void **state)
{
	size_t bytes = 0, sent = 0, acks = 0;
	char line[65536];
	ssize_t length;

	dialogue_open_in_step(&d, PROTOCOL_NODE_CLUSTER, FLAVOUR_NONE, 60000);
	memset(line, 'k', CHANNEL_KEY_MAX);
	line[CHANNEL_KEY_MAX] = '\0';
	while (owner_sends(&d, (uint32_t)sent + 1, line) == 0) {
		sent++;
		bytes += CHANNEL_KEY_MAX + 100;
		assert_in_range(bytes, 0, 48 * 1024);
	}
	assert_in_range(bytes, 40 * 1024, 48 * 1024);
	assert_int_equal(owner_sends(&d, 999, line), -EAGAIN);
	assert_false(channel_can_send(d.channel));
	/* Nothing to write: it is the worker that has to read. */
	assert_false(channel_wants_write(d.channel));
	/* What else is said waits too, and is no reason to poll for writing. */
	for (int i = 0; i < 400; i++)
		worker_says(&d, "{\"cmd\":\"NODE_HANDLE\",\"type\":\"net.Socket\",\"msg\":{}}");
	assert_false(channel_wants_write(d.channel));
	for (; sent; sent--)
		worker_says(&d, ACK);
	while ((length = recv(d.worker, line, sizeof(line), MSG_DONTWAIT)) > 0) {
		for (char *at = line; (at = memmem(at, (size_t)(line + length - at), ACK, strlen(ACK))); at++)
			acks++;
		if (channel_wants_write(d.channel))
			channel_writable(d.channel);
	}
	assert_int_equal(acks, 400);
	assert_true(channel_can_send(d.channel));
	dialogue_close(&d);
}

static void long_answers_wait_for_the_worker_to_read(void **state)
{
	static char data[CHANNEL_DATA_MAX];
	struct address address;
	size_t heard = 0, probes = 0, unread = 0, most = 0;

	open_in_step();
	memset(data, '1', sizeof(data) - 1);
	address_parse(&address, "[::]:80", NULL);
	for (int i = 0; i < 40; i++) {
		worker_says(&d,
		    "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"queryServer\",\"index\":%d,\"address\":null,"
		    "\"port\":80,"
		    "\"addressType\":4,\"seq\":%d}",
		    i, i);
		assert_int_equal(channel_answer_listen(d.channel, d.request, 0, &address, -1, data), 0);
	}
	/* The worker reads all that was written, then answers the probes among it. */
	for (;;) {
		char bytes[65536];
		ssize_t length = recv(d.worker, bytes, sizeof(bytes), MSG_DONTWAIT);

		if (length <= 0) {
			if (!probes)
				break;
			worker_says(&d, ACK);
			probes--;
			most = unread > most ? unread : most;
			unread = 0;
			continue;
		}
		unread += (size_t)length;
		for (char *at = bytes; (at = memchr(at, '\n', (size_t)(bytes + length - at))); at++)
			heard++;
		for (char *at = bytes; (at = memmem(at, (size_t)(bytes + length - at), "newconn", 7)); at++)
			probes++, heard--;
	}
	assert_int_equal(heard, 40);
	assert_in_range(most, 1, 52 * 1024);
	assert_true(channel_can_send(d.channel));
	dialogue_close(&d);
}

static void strays_are_counted(void **state)
{
	open_in_step();
	worker_says(&d, ACK);
	worker_says(&d, NACK);
	worker_says(&d, "{ \"cmd\": \"NODE_HANDLE_ACK\" }");
	assert_int_equal(channel_skipped(d.channel), 3);
	/* They were not put to the account of what is sent next. */
	owner_sends(&d, 1, KEY);
	worker_hears_with_fd(&d, NEWCONN(KEY));
	worker_says(&d, NACK);
	owner_is_told(&d, "refused 1");
	dialogue_close(&d);
}

static void a_probe_goes_in_line(void **state)
{
	uint64_t seq;

	open_in_step();
	owner_sends(&d, 1, KEY);
	assert_int_equal(channel_probe(d.channel), 0);
	assert_int_equal(channel_probe(d.channel), 0);
	owner_sends(&d, 2, KEY);
	worker_hears_with_fd(&d, NEWCONN(KEY));
	seq = d.number;
	worker_hears_with_fd(&d, PROBE);
	worker_says(&d, ACK);
	worker_accepts(seq, true);
	owner_is_told(&d, "acknowledged 1");
	seq = d.number;
	worker_hears_with_fd(&d, NEWCONN(KEY));
	worker_says(&d, ACK);
	owner_is_told(&d, "alive");
	worker_accepts(seq, false);
	owner_is_told(&d, "");
	worker_says(&d, ACK);
	worker_accepts(d.number, true);
	owner_is_told(&d, "acknowledged 2");
	/* A worker without free fds is alive all the same. */
	channel_probe(d.channel);
	worker_hears_with_fd(&d, PROBE);
	worker_says(&d, NACK);
	owner_is_told(&d, "alive");
	assert_int_equal(channel_skipped(d.channel), 0);
	dialogue_close(&d);
}

static void sockets_of_the_worker_are_acknowledged_and_dropped(void **state)
{
	static const char line[] = "{\"cmd\":\"NODE_HANDLE\",\"type\":\"net.Socket\",\"msg\":{\"take\":1}}\n";
	static const char other[] = "{\"msg\":{\"take\":1}, \"cmd\": \"NODE_HANDLE\"}\n";
	int before;

	open_in_step();
	worker_hears_nothing(&d);
	before = open_fds();
	worker_sends(&d, line, sizeof(line) - 1, 0);
	worker_hears(&d, ACK);
	worker_sends(&d, other, sizeof(other) - 1, 0);
	worker_hears(&d, ACK);
	worker_sends(&d, "x", 1, 0);
	worker_sends(&d, "\n", 1, 0);
	worker_hears_nothing(&d);
	assert_int_equal(open_fds(), before);
	dialogue_close(&d);
}

static void a_long_message_with_a_socket_is_acknowledged(void **state)
{
	static const char head[] = "{\"cmd\":\"NODE_HANDLE\",\"type\":\"net.Socket\",\"msg\":\"";
	size_t length = 1024 * 1024;
	char *line = malloc(length);

	open_in_step();
	memset(line, 'x', length);
	memcpy(line, head, sizeof(head) - 1);
	memcpy(line + length - 3, "\"}\n", 3);
	worker_sends(&d, line, length, 0);
	for (int i = 0; i < 20; i++)
		channel_readable(d.channel);
	worker_hears(&d, ACK);
	worker_hears_nothing(&d);
	free(line);
	dialogue_close(&d);
}

static void application_messages_are_skipped(void **state)
{
	size_t length = 1024 * 1024;
	char *line = malloc(length);

	open_in_step();
	worker_says(&d, "\"hello\"");
	worker_says(&d, "%s", "");
	worker_says(&d, "{\"type\":\"close\"}");
	worker_says(&d, "{\"env\":\"NODE_ENV\"}");
	worker_says(&d, "{\"cmd\":\"NODE_\"}");
	worker_says(&d, "{\"cmd\":\"NODE_HANDLE_NACKS\"}");
	assert_int_equal(channel_skipped(d.channel), 6);
	memset(line, 'x', length);
	line[length - 1] = '\n';
	memcpy(line, "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"", 29);
	worker_sends(&d, line, length, -1);
	for (int i = 0; i < 20; i++)
		channel_readable(d.channel);
	assert_int_equal(channel_skipped(d.channel), 7);
	free(line);
	worker_hears_nothing(&d);
	owner_is_told(&d, "");
	assert_true(channel_can_send(d.channel));
	dialogue_close(&d);
}

static void deep_and_broken_json(void **state)
{
	static const char with_nul[] =
	    "{\"cmd\":\"NODE_CLUSTER\0\",\"act\":\"exitedAfterDisconnect\",\"seq\":1}\n";
	char line[8192];

	open_in_step();
	memset(line, '[', 8000);
	strcpy(line + 8000, "\"NODE_\"");
	worker_says(&d, "%s", line);
	worker_says(&d, "{\"cmd\":\"NODE_CLUSTER\",\"act\":");
	worker_says(&d, "{\"cmd\":\"NODE_CLUSTER\",\"act\":{}}");
	worker_says(&d, "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"\\ud800\"}");
	worker_sends(&d, with_nul, sizeof(with_nul) - 1, -1);
	assert_int_equal(channel_skipped(d.channel), 5);
	owner_is_told(&d, "");
	dialogue_close(&d);
}

static void drain_is_said_once(void **state)
{
	open_in_step();
	assert_int_equal(channel_drain(d.channel), 0);
	assert_int_equal(channel_drain(d.channel), 0);
	worker_hears(&d, "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"disconnect\"}");
	worker_hears_nothing(&d);
	assert_false(channel_can_send(d.channel));
	assert_int_equal(owner_sends(&d, 1, KEY), -EPIPE);
	worker_ends(&d);
	owner_is_told(&d, "failed 0 (end of file)");
	dialogue_close(&d);
}

static void a_worker_that_leaves_is_answered(void **state)
{
	open_in_step();
	worker_says(&d, "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"exitedAfterDisconnect\",\"seq\":17}");
	owner_is_told(&d, "leaving");
	worker_hears(&d, "{\"cmd\":\"NODE_CLUSTER\",\"ack\":17}");
	assert_int_equal(owner_sends(&d, 1, KEY), -EPIPE);
	dialogue_close(&d);
}

static void the_end_lists_what_was_not_answered(void **state)
{
	size_t cursor = 0;
	uint32_t id;
	uint64_t second;

	open_in_step();
	for (uint32_t i = 1; i <= 3; i++)
		owner_sends(&d, i, KEY);
	worker_hears_with_fd(&d, NEWCONN(KEY));
	worker_hears_with_fd(&d, NEWCONN(KEY));
	second = d.number;
	/* Said just before the end, and with bytes unread at the worker's: heard all the same. */
	dprintf(d.worker, "{\"cmd\":\"NODE_CLUSTER\",\"ack\":%llu,\"accepted\":true,\"seq\":1}\n{\"half\":",
	    (unsigned long long)second);
	worker_ends(&d);
	channel_readable(d.channel);
	owner_is_told(&d, "acknowledged 2; failed 0 (end of file)");
	assert_true(channel_next_unacknowledged(d.channel, &cursor, &id));
	assert_int_equal(id, 1);
	assert_true(channel_next_unacknowledged(d.channel, &cursor, &id));
	assert_int_equal(id, 3);
	assert_false(channel_next_unacknowledged(d.channel, &cursor, &id));
	/* The last callback ever. */
	channel_readable(d.channel);
	channel_writable(d.channel);
	assert_int_equal(channel_probe(d.channel), -EPIPE);
	assert_int_equal(channel_drain(d.channel), -EPIPE);
	assert_int_equal(owner_sends(&d, 4, KEY), -EPIPE);
	assert_false(channel_wants_write(d.channel));
	owner_is_told(&d, "");
	dialogue_close(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(nothing_is_sent_before_the_first_answer),
	    cmocka_unit_test(a_first_probe_that_was_lost_is_sent_again),
	    cmocka_unit_test(a_hand_off_is_acknowledged_or_refused),
	    cmocka_unit_test(answers_in_any_form),
	    cmocka_unit_test(lines_come_byte_by_byte),
	    cmocka_unit_test(the_window_bounds_what_is_under_way),
	    cmocka_unit_test(the_owner_may_send_from_within_an_event),
	    cmocka_unit_test(unread_bytes_are_bounded),
	    cmocka_unit_test(long_answers_wait_for_the_worker_to_read),
	    cmocka_unit_test(strays_are_counted),
	    cmocka_unit_test(a_probe_goes_in_line),
	    cmocka_unit_test(sockets_of_the_worker_are_acknowledged_and_dropped),
	    cmocka_unit_test(a_long_message_with_a_socket_is_acknowledged),
	    cmocka_unit_test(application_messages_are_skipped),
	    cmocka_unit_test(deep_and_broken_json),
	    cmocka_unit_test(drain_is_said_once),
	    cmocka_unit_test(a_worker_that_leaves_is_answered),
	    cmocka_unit_test(the_end_lists_what_was_not_answered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
