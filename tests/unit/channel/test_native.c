#include "dialogue.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fd_passing.h"

#define CONNECTION                                                                                           \
	"{\"type\":\"connection\",\"id\":#,\"listener\":\"web\",\"client\":\"203.0.113.9:51123\",\"key\":"   \
	"\"cookie\"}"

static struct dialogue d;

static void open_native(unsigned window)
{
	dialogue_open(&d, PROTOCOL_LIMPET, FLAVOUR_NONE, window);
}

static uint64_t send_one(uint32_t id)
{
	assert_int_equal(owner_sends(&d, id, NULL), 0);
	worker_hears_with_fd(&d, CONNECTION);
	return d.number;
}

static void a_worker_from_hello_to_bye(void **state)
{
	uint64_t first, second;

	open_native(4);
	worker_says(&d, "{\"type\":\"hello\",\"version\":1,\"pool\":\"chat\",\"slot\":\"2\"}");
	owner_is_told(&d, "");
	worker_says(&d, "{\"type\":\"ready\"}");
	worker_says(&d, "{\"type\":\"ready\"}");
	owner_is_told(&d, "ready");
	first = send_one(1);
	second = send_one(2);
	worker_says(&d, "{\"type\":\"refuse\",\"id\":%llu}", (unsigned long long)second);
	worker_says(&d, " { \"id\": %llu, \"new\": null, \"type\": \"ack\" }\n", (unsigned long long)first);
	owner_is_told(&d, "refused 2; acknowledged 1");
	worker_says(&d, "{\"type\":\"closed\",\"count\":3}");
	owner_is_told(&d, "connections_closed 3");
	assert_int_equal(channel_probe(d.channel), 0);
	assert_int_equal(channel_probe(d.channel), 0);
	worker_hears(&d, "{\"type\":\"ping\",\"id\":#}");
	worker_hears_nothing(&d);
	worker_says(&d, "{\"type\":\"pong\",\"id\":%llu}", (unsigned long long)d.number);
	owner_is_told(&d, "alive");
	assert_int_equal(channel_drain(d.channel), 0);
	assert_int_equal(channel_drain(d.channel), 0);
	worker_hears(&d, "{\"type\":\"drain\"}");
	worker_hears_nothing(&d);
	assert_int_equal(owner_sends(&d, 3, NULL), -EPIPE);
	worker_says(&d, "{\"type\":\"bye\"}");
	worker_ends(&d);
	owner_is_told(&d, "failed 0 (end of file)");
	assert_int_equal(channel_skipped(d.channel), 0);
	assert_int_equal(channel_answer_listen(d.channel, 1, 0, NULL, -1, NULL), -ENOENT);
	dialogue_close(&d);
}

static void a_worker_may_leave_by_itself(void **state)
{
	open_native(4);
	worker_says(&d, "{\"type\":\"bye\"}");
	worker_says(&d, "{\"type\":\"bye\"}");
	owner_is_told(&d, "leaving");
	assert_false(channel_can_send(d.channel));
	dialogue_close(&d);
}

static void all_up_to_one_are_acknowledged_together(void **state)
{
	uint64_t ids[6];

	open_native(6);
	for (uint32_t i = 0; i < 6; i++)
		ids[i] = send_one(i + 1);
	worker_says(&d, "{\"type\":\"ack\",\"id\":%llu}", (unsigned long long)ids[1]);
	worker_says(&d, "{\"type\":\"ack\",\"through\":%llu}", (unsigned long long)ids[3]);
	owner_is_told(&d, "acknowledged 2; acknowledged 1; acknowledged 3; acknowledged 4");
	worker_says(&d, "{\"type\":\"ack\",\"through\":%llu}", (unsigned long long)ids[3]);
	worker_says(&d, "{\"type\":\"ack\",\"through\":%llu}", (unsigned long long)ids[5] + 1);
	owner_is_told(&d, "");
	assert_int_equal(channel_skipped(d.channel), 2);
	assert_int_equal(channel_unacknowledged(d.channel), 2);
	dialogue_close(&d);
}

static void an_answered_one_may_be_the_last_of_those_acknowledged_together(void **state)
{
	uint64_t ids[3];

	open_native(4);
	for (uint32_t i = 0; i < 3; i++)
		ids[i] = send_one(i + 1);
	worker_says(&d, "{\"type\":\"refuse\",\"id\":%llu}", (unsigned long long)ids[2]);
	worker_says(&d, "{\"type\":\"ack\",\"through\":%llu}", (unsigned long long)ids[2]);
	owner_is_told(&d, "refused 3; acknowledged 1; acknowledged 2");
	worker_says(&d, "{\"type\":\"ack\",\"through\":%llu}", (unsigned long long)ids[2]);
	assert_int_equal(channel_skipped(d.channel), 1);
	dialogue_close(&d);
}

static void a_worker_may_ask_whether_the_front_lives(void **state)
{
	open_native(4);
	worker_says(&d, "{\"type\":\"ping\",\"id\":7}");
	owner_is_told(&d, "");
	worker_hears(&d, "{\"type\":\"pong\",\"id\":7}");
	worker_says(&d, "{\"type\":\"ping\"}");
	worker_says(&d, "{\"type\":\"ping\",\"id\":-1}");
	owner_is_told(&d, "");
	worker_hears_nothing(&d);
	assert_int_equal(channel_skipped(d.channel), 2);
	dialogue_close(&d);
}

/* The front's answers are bounded by what the socket takes, and the channel goes on. */
static void who_does_not_read_is_not_answered_for_ever(void **state)
{
	open_native(4);
	for (unsigned i = 0; i < 5000 && !channel_skipped(d.channel); i++)
		worker_says(&d, "{\"type\":\"ping\",\"id\":%u}", i), owner_is_told(&d, "");
	assert_true(channel_skipped(d.channel) > 0);
	assert_true(channel_wants_write(d.channel));
	dialogue_close(&d);
}

static void numbers_of_its_own_are_told(void **state)
{
	static const char *const bad[] = {
	    "{\"type\":\"stats\"}",
	    "{\"type\":\"stats\",\"values\":7}",
	    "{\"type\":\"stats\",\"values\":[1]}",
	    "{\"type\":\"stats\",\"values\":{\"rooms\":\"12\"}}",
	    "{\"type\":\"stats\",\"values\":{\"rooms\":1,\"b\":null}}",
	    "{\"type\":\"stats\",\"values\":{\"Rooms\":1}}",
	    "{\"type\":\"stats\",\"values\":{\"\":1}}",
	    "{\"type\":\"stats\",\"values\":{\"a b\":1}}",
	    "{\"type\":\"stats\",\"values\":{\"rooms\":1e999}}",
	    "{\"type\":\"stats\",\"values\":{\"a23456789012345678901234567890123\":1}}",
	    "{\"type\":\"stats\",\"values\":{\"a\":1,\"b\":1,\"c\":1,\"d\":1,\"e\":1,\"f\":1,\"g\":1,\"h\":1,"
	    "\"i\":1,\"j\":1,\"k\":1,\"l\":1,\"m\":1,\"n\":1,\"o\":1,\"p\":1,\"q\":1}}",
	};

	open_native(4);
	worker_says(&d, "{\"type\":\"stats\",\"values\":{\"rooms\":12,\"load_1\":-0.5}}");
	owner_is_told(&d, "stats 2; rooms=12; load_1=-0.5");
	worker_says(&d, "{\"type\":\"stats\",\"values\":{}}");
	owner_is_told(&d, "stats 0");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		worker_says(&d, "%s", bad[i]);
		owner_is_told(&d, "");
		if (channel_skipped(d.channel) != i + 1)
			fail_msg("not counted: %s", bad[i]);
	}
	dialogue_close(&d);
}

static void the_front_may_go_and_still_hears_answers(void **state)
{
	uint64_t id;

	open_native(4);
	id = send_one(1);
	assert_int_equal(channel_leave(d.channel, "limpet is stopping"), 0);
	assert_int_equal(channel_leave(d.channel, "limpet is stopping"), 0);
	worker_hears(&d, "{\"type\":\"bye\",\"reason\":\"limpet is stopping\"}");
	worker_hears_nothing(&d);
	assert_int_equal(owner_sends(&d, 2, NULL), -EPIPE);
	worker_says(&d, "{\"type\":\"bye\",\"reason\":\"so do I\"}");
	worker_says(&d, "{\"type\":\"ack\",\"id\":%llu}", (unsigned long long)id);
	owner_is_told(&d, "acknowledged 1");
	dialogue_close(&d);
}

static void what_means_nothing_is_counted(void **state)
{
	static const char *const bad[] = {
	    "{}",
	    "[]",
	    "7",
	    "\"ready\"",
	    "not json",
	    "{\"type\":\"ready\"",
	    "{\"type\":\"ready\"}{}",
	    "{\"type\":\"\xff\"}",
	    "{\"type\":7}",
	    "{\"type\":\"unknown\"}",
	    "{\"type\":\"ack\"}",
	    "{\"type\":\"ack\",\"id\":\"1\"}",
	    "{\"type\":\"ack\",\"id\":-1}",
	    "{\"type\":\"ack\",\"id\":1e3}",
	    "{\"type\":\"ack\",\"id\":99999999999999999999}",
	    "{\"type\":\"ack\",\"id\":2147483648}",
	    "{\"type\":\"ack\",\"through\":-1}",
	    "{\"type\":\"ack\",\"id\":1,\"through\":1}",
	    "{\"type\":\"refuse\"}",
	    "{\"type\":\"refuse\",\"id\":[1]}",
	    "{\"type\":\"closed\"}",
	    "{\"type\":\"closed\",\"count\":0}",
	    "{\"type\":\"closed\",\"count\":-3}",
	    "{\"type\":\"closed\",\"count\":4294967296}",
	    "{\"type\":\"pong\",\"id\":1}",
	    "{\"type\":\"pong\"}",
	    "{\"type\":\"hello\"}",
	    "{\"type\":\"hello\",\"version\":\"1\"}",
	};
	uint64_t id;

	open_native(4);
	id = send_one(1);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		worker_says(&d, "%s", bad[i]);
		if (channel_skipped(d.channel) != i + 1)
			fail_msg("not counted: %s", bad[i]);
	}
	/* Not sent by us, and answered twice. */
	worker_says(&d, "{\"type\":\"ack\",\"id\":%llu}", (unsigned long long)(id + 1) & 0x7fffffff);
	owner_is_told(&d, "");
	worker_says(&d, "{\"type\":\"ack\",\"id\":%llu}", (unsigned long long)id);
	worker_says(&d, "{\"type\":\"ack\",\"id\":%llu}", (unsigned long long)id);
	worker_says(&d, "{\"type\":\"refuse\",\"id\":%llu}", (unsigned long long)id);
	owner_is_told(&d, "acknowledged 1");
	assert_int_equal(channel_skipped(d.channel), sizeof(bad) / sizeof(bad[0]) + 3);
	dialogue_close(&d);
}

static void a_pong_is_taken_once(void **state)
{
	open_native(4);
	channel_probe(d.channel);
	worker_hears(&d, "{\"type\":\"ping\",\"id\":#}");
	worker_says(&d, "{\"type\":\"pong\",\"id\":%llu}", (unsigned long long)(d.number + 1));
	owner_is_told(&d, "");
	worker_says(&d, "{\"type\":\"pong\",\"id\":%llu}", (unsigned long long)d.number);
	worker_says(&d, "{\"type\":\"pong\",\"id\":%llu}", (unsigned long long)d.number);
	owner_is_told(&d, "alive");
	channel_probe(d.channel);
	worker_hears(&d, "{\"type\":\"ping\",\"id\":#}");
	dialogue_close(&d);
}

static void long_datagrams_are_skipped(void **state)
{
	char bytes[20000];

	open_native(4);
	memset(bytes, ' ', sizeof(bytes));
	memcpy(bytes, "{\"type\":\"ready\"}", 16);
	worker_sends(&d, bytes, 8193, -1);
	worker_sends(&d, bytes, sizeof(bytes), -1);
	owner_is_told(&d, "");
	assert_int_equal(channel_skipped(d.channel), 2);
	worker_sends(&d, bytes, 8192, -1);
	owner_is_told(&d, "ready");
	dialogue_close(&d);
}

static void fds_of_the_worker_are_dropped(void **state)
{
	int before;

	open_native(4);
	before = open_fds();
	worker_sends(&d, "{\"type\":\"ready\"}", 16, 0);
	owner_is_told(&d, "ready");
	assert_int_equal(open_fds(), before);
	dialogue_close(&d);
}

static void another_version_ends_it(void **state)
{
	open_native(4);
	worker_says(&d, "{\"type\":\"hello\",\"version\":2}");
	owner_is_told(&d, "failed EPROTO (the worker speaks another version of the protocol)");
	worker_says(&d, "{\"type\":\"ready\"}");
	owner_is_told(&d, "");
	assert_false(channel_can_send(d.channel));
	dialogue_close(&d);
}

/* What a worker had said when it died with messages unread is heard before its end. */
static void the_last_words_count(void **state)
{
	uint64_t id;

	open_native(4);
	id = send_one(1);
	send_one(2);
	assert_int_equal(owner_sends(&d, 3, NULL), 0);
	dprintf(d.worker, "{\"type\":\"ack\",\"id\":%llu}", (unsigned long long)id);
	worker_ends(&d);
	owner_is_told(&d, "acknowledged 1; failed 0 (end of file)");
	assert_int_equal(channel_unacknowledged(d.channel), 2);
	dialogue_close(&d);
}

/* A flood is read in portions. */
static void one_call_reads_a_bounded_number(void **state)
{
	static const char message[] = "{\"type\":\"closed\",\"count\":1}";
	uint64_t told = 0;
	int sent = 0, calls = 0;

	open_native(4);
	while (fd_send(d.worker, message, sizeof(message) - 1, -1) > 0)
		sent++;
	assert_true(sent > 250);
	for (; told < (uint64_t)sent; calls++) {
		size_t count = 0;

		channel_readable(d.channel);
		for (const char *at = d.events; (at = strstr(at, "closed")); at++)
			count++;
		assert_in_range(count, 1, 65536 / 256 + 1);
		told += count;
		d.events[0] = '\0';
	}
	assert_true(calls > 1 || sent <= 257);
	dialogue_close(&d);
}

static void names_are_escaped(void **state)
{
	struct channel_connection connection = {
	    .id = 1, .fd = 0, .listener = "a\"b\xff\n", .key_source = NULL, .client = NULL};

	open_native(4);
	assert_int_equal(channel_send_connection(d.channel, &connection), 0);
	worker_hears_with_fd(&d, "{\"type\":\"connection\",\"id\":#,\"listener\":\"a\\\"b?\\u000a\","
	                         "\"client\":\"\",\"key\":\"\"}");
	dialogue_close(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_worker_from_hello_to_bye),
	    cmocka_unit_test(a_worker_may_leave_by_itself),
	    cmocka_unit_test(all_up_to_one_are_acknowledged_together),
	    cmocka_unit_test(an_answered_one_may_be_the_last_of_those_acknowledged_together),
	    cmocka_unit_test(a_worker_may_ask_whether_the_front_lives),
	    cmocka_unit_test(who_does_not_read_is_not_answered_for_ever),
	    cmocka_unit_test(numbers_of_its_own_are_told),
	    cmocka_unit_test(the_front_may_go_and_still_hears_answers),
	    cmocka_unit_test(what_means_nothing_is_counted),
	    cmocka_unit_test(a_pong_is_taken_once),
	    cmocka_unit_test(long_datagrams_are_skipped),
	    cmocka_unit_test(fds_of_the_worker_are_dropped),
	    cmocka_unit_test(another_version_ends_it),
	    cmocka_unit_test(the_last_words_count),
	    cmocka_unit_test(one_call_reads_a_bounded_number),
	    cmocka_unit_test(names_are_escaped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
