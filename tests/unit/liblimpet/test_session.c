/* A worker and its front as a dialogue, over an inherited channel. */
#include "scene.h"

#include <stdio.h>
#include <sys/resource.h>

static void test_connection(void **state)
{
	struct scene *scene = inherited(state);

	peer_is_closed(taken(scene, 7));
	assert_string_equal(scene->session.message.client, "203.0.113.9:51123");
	assert_string_equal(scene->session.message.listener, "web");
	assert_string_equal(scene->session.message.key, "cookie");
	assert_int_equal(scene->session.address.ss_family, AF_INET);
	expect(scene, NOTHING);
	assert_false(polls(scene->session.epoll));
	assert_true(limpet_session_deadline(&scene->session, scene->now) < 0);
}

static void test_nobody_has_a_connection_before_its_acknowledgement_is_out(void **state)
{
	struct scene *scene = inherited(state);
	int peer = front_connects(&scene->front, 8);

	front_stops_reading(&scene->front, scene->session.fd);
	front_says(&scene->front, DRAIN);
	expect(scene, NOTHING);
	expect(scene, NOTHING);
	assert_false(polls(scene->session.epoll));
	front_reads(&scene->front);
	assert_true(polls(scene->session.epoll));
	expect(scene, LIMPET_CONNECTION);
	front_hears(&scene->front, "{\"type\":\"ack\",\"id\":8}");
	close(scene->session.passed);
	scene->session.passed = -1;
	peer_is_closed(peer);
	assert_true(polls(scene->session.epoll));
	expect(scene, LIMPET_DRAIN);
}

static void test_a_front_that_dies_meanwhile_has_its_connection_closed(void **state)
{
	struct scene *scene = inherited(state);
	int peer = front_connects(&scene->front, 8);

	front_stops_reading(&scene->front, scene->session.fd);
	expect(scene, NOTHING);
	front_close_channel(&scene->front);
	assert_true(polls(scene->session.epoll));
	expect(scene, LIMPET_OVER);
	peer_is_closed(peer);
	assert_int_equal(scene->session.state, LIMPET_SESSION_OVER);
	expect(scene, NOTHING);
}

static void test_connections_without_exactly_one_fd_are_refused(void **state)
{
	struct scene *scene = inherited(state);

	front_says(&scene->front, "{\"type\":\"connection\",\"id\":1,\"client\":\"\",\"key\":\"ip\"}");
	front_passes(&scene->front, "{\"type\":\"connection\",\"id\":2}", 0, 2);
	expect(scene, NOTHING);
	front_hears(&scene->front, "{\"type\":\"refuse\",\"id\":1}");
	front_hears(&scene->front, "{\"type\":\"refuse\",\"id\":2}");
}

static void test_no_room(void **state)
{
	struct scene *scene;
	struct rlimit limit, none;
	int peer;

	needs_the_kernels_limit_of_files();
	scene = inherited(state);
	peer = front_connects(&scene->front, 3);
	getrlimit(RLIMIT_NOFILE, &limit);
	none = limit;
	none.rlim_cur = 0;
	setrlimit(RLIMIT_NOFILE, &none);
	expect(scene, LIMPET_NO_ROOM);
	setrlimit(RLIMIT_NOFILE, &limit);
	front_hears(&scene->front, "{\"type\":\"refuse\",\"id\":3}");
	peer_is_closed(peer);
	close(taken(scene, 4));
}

static void test_a_limit(void **state)
{
	struct scene *scene = inherited(state);
	int peer;

	scene->session.limit = 2;
	close(taken(scene, 1));
	close(taken(scene, 2));
	peer = front_connects(&scene->front, 3);
	expect(scene, NOTHING);
	front_hears(&scene->front, "{\"type\":\"refuse\",\"id\":3}");
	peer_is_closed(peer);
	limpet_session_closed(&scene->session, 1);
	limpet_session_flush(&scene->session, scene->now);
	front_hears(&scene->front, "{\"type\":\"closed\",\"count\":1}");
	close(taken(scene, 4));
}

static void test_ping(void **state)
{
	struct scene *scene = inherited(state);

	front_says(&scene->front, "{\"type\":\"ping\",\"id\":41}");
	front_says(&scene->front, "{\"type\":\"ping\",\"id\":42}");
	expect(scene, NOTHING);
	front_hears(&scene->front, "{\"type\":\"pong\",\"id\":41}");
	front_hears(&scene->front, "{\"type\":\"pong\",\"id\":42}");
}

static void test_what_is_no_message_is_skipped(void **state)
{
	static const char *const skipped[] = {"x", "[]", "{}", "{\"type\":7}", "{\"type\":\"connection\"}",
	    "{\"type\":\"connection\",\"id\":-1}", "{\"type\":\"weather\",\"id\":1}", "\xff\xfe",
	    "{\"type\":\"drain\"", "{\"type\":\"welcome\",\"version\":9}", "{\"type\":\"pong\",\"id\":1}",
	    "{\"type\":\"bye\",\"reason\":\"later\"}"};
	struct scene *scene = inherited(state);
	char huge[LIMPET_MESSAGE_MAX + 1];
	int ends[2];

	memset(huge, ' ', sizeof(huge));
	memcpy(huge, DRAIN, strlen(DRAIN));
	front_sends(&scene->front, huge, sizeof(huge));
	expect(scene, NOTHING);
	for (size_t i = 0; i < COUNT(skipped); i++) {
		make_pair(SOCK_STREAM, ends);
		front_passes(&scene->front, skipped[i], ends[1], 1);
		close(ends[1]);
		expect(scene, NOTHING);
		peer_is_closed(ends[0]);
		front_hears_nothing(&scene->front);
	}
	close(taken(scene, 1));
}

static void test_a_flood_does_not_keep_a_step_for_ever(void **state)
{
	struct scene *scene = inherited(state);
	unsigned sent = 0;

	while (send(scene->front.channel, "{}", 2, MSG_NOSIGNAL) > 0)
		sent++;
	assert_in_range(sent, 100, 100000);
	expect(scene, NOTHING);
	assert_true(polls(scene->session.epoll));
	assert_true(limpet_session_deadline(&scene->session, scene->now) == scene->now);
	for (unsigned i = 0; i < sent / 64 + 1; i++)
		expect(scene, NOTHING);
	assert_false(polls(scene->session.epoll));
	/* The last one of a step's: its answer is not forgotten. */
	for (unsigned i = 0; i < 31; i++)
		front_says(&scene->front, "{\"type\":\"ping\",\"id\":1}");
	for (unsigned i = 0; i < 32; i++)
		front_says(&scene->front, "{}");
	front_says(&scene->front, "{\"type\":\"ping\",\"id\":2}");
	expect(scene, NOTHING);
	while (polls(scene->session.epoll))
		expect(scene, NOTHING);
	for (unsigned i = 0; i < 31; i++)
		front_hears(&scene->front, "{\"type\":\"pong\",\"id\":1}");
	front_hears(&scene->front, "{\"type\":\"pong\",\"id\":2}");
}

static void test_drain(void **state)
{
	struct scene *scene = inherited(state);
	int peer = taken(scene, 1), late;

	front_says(&scene->front, DRAIN);
	front_says(&scene->front, DRAIN);
	expect(scene, LIMPET_DRAIN);
	front_says(&scene->front, "{\"type\":\"ping\",\"id\":1}");
	expect(scene, NOTHING);
	front_hears(&scene->front, "{\"type\":\"pong\",\"id\":1}");
	late = front_connects(&scene->front, 2);
	expect(scene, NOTHING);
	front_hears(&scene->front, "{\"type\":\"refuse\",\"id\":2}");
	peer_is_closed(late);
	close(peer);
	limpet_session_closed(&scene->session, 1);
	expect(scene, NOTHING);
	front_hears(&scene->front, "{\"type\":\"closed\",\"count\":1}");
	front_close_channel(&scene->front);
	expect(scene, LIMPET_OVER);
}

static void test_the_end(void **state)
{
	struct scene *scene = inherited(state);

	front_says(&scene->front, "{\"type\":\"bye\",\"reason\":\"limpet is stopping\"}");
	front_close_channel(&scene->front);
	expect(scene, LIMPET_OVER);
	assert_string_equal(scene->session.reason, "limpet is stopping");
	expect(scene, NOTHING);
	assert_false(polls(scene->session.epoll));
	assert_true(limpet_session_deadline(&scene->session, scene->now) < 0);
}

static void test_a_front_that_closes_before_it_has_read_is_still_heard(void **state)
{
	struct scene *scene = *state;
	int peer;

	assert_int_equal(limpet_session_inherit(&scene->session, front_pair(&scene->front), "chat", "2"), 0);
	expect(scene, NOTHING);
	peer = front_connects(&scene->front, 1);
	front_says(&scene->front, "{\"type\":\"bye\",\"reason\":\"gone\"}");
	front_close_channel(&scene->front); /* with hello and ready unread: ECONNRESET */
	expect(scene, LIMPET_OVER);
	assert_string_equal(scene->session.reason, "gone");
	peer_is_closed(peer);
}

static void test_a_channel_that_another_process_has_too_is_still_left(void **state)
{
	struct scene *scene = inherited(state);
	int copy = dup(scene->session.fd);

	front_close_channel(&scene->front);
	expect(scene, LIMPET_OVER);
	assert_false(polls(scene->session.epoll));
	close(copy);
}

static void test_closed_is_told_at_most_so_often(void **state)
{
	struct scene *scene = inherited(state);

	for (unsigned id = 0; id < 5; id++)
		close(taken(scene, id));
	limpet_session_closed(&scene->session, 1);
	limpet_session_flush(&scene->session, scene->now);
	front_hears(&scene->front, "{\"type\":\"closed\",\"count\":1}");
	limpet_session_closed(&scene->session, 2);
	limpet_session_flush(&scene->session, scene->now);
	limpet_session_closed(&scene->session, 1);
	limpet_session_flush(&scene->session, ++scene->now);
	front_hears_nothing(&scene->front);
	wait_until_due(scene);
	expect(scene, NOTHING);
	front_hears(&scene->front, "{\"type\":\"closed\",\"count\":3}");
	/* No more than were taken. */
	limpet_session_closed(&scene->session, 9);
	wait_until_due(scene);
	expect(scene, NOTHING);
	front_hears(&scene->front, "{\"type\":\"closed\",\"count\":1}");
	limpet_session_closed(&scene->session, 1);
	assert_true(limpet_session_deadline(&scene->session, scene->now) < 0);
}

static void test_leaving(void **state)
{
	struct scene *scene = inherited(state);
	int peer = front_connects(&scene->front, 1);
	char text[64];

	limpet_session_leave(&scene->session, scene->now);
	expect(scene, LIMPET_CONNECTION);
	close(scene->session.passed);
	scene->session.passed = -1;
	peer_is_closed(peer);
	front_hears(&scene->front, "{\"type\":\"bye\"}");
	snprintf(text, sizeof(text), "{\"type\":\"ping\",\"id\":%u}", scene->session.fence);
	front_hears(&scene->front, text);
	front_hears(&scene->front, "{\"type\":\"ack\",\"id\":1}");
	close(taken(scene, 2));
	front_says(&scene->front, "{\"type\":\"pong\",\"id\":7}");
	expect(scene, NOTHING);
	text[10] = 'o'; /* the pong */
	front_says(&scene->front, text);
	expect(scene, LIMPET_DRAIN);
	limpet_session_leave(&scene->session, scene->now);
	expect(scene, NOTHING);
	front_hears_nothing(&scene->front);
}

static void test_leaving_a_front_that_does_not_answer(void **state)
{
	struct scene *scene = inherited(state);

	limpet_session_leave(&scene->session, scene->now);
	expect(scene, NOTHING);
	scene->now += LIMPET_LEAVE_MS - 1;
	expect(scene, NOTHING);
	wait_until_due(scene);
	expect(scene, LIMPET_DRAIN);
	expect(scene, NOTHING);
}

static void test_closing_gives_back_what_was_not_taken(void **state)
{
	struct scene *scene = inherited(state);
	int peer;

	close(taken(scene, 9));
	peer = front_connects(&scene->front, 10);
	front_stops_reading(&scene->front, scene->session.fd);
	expect(scene, NOTHING);
	front_reads(&scene->front);
	limpet_session_closed(&scene->session, 1);
	limpet_session_close(&scene->session, true);
	front_hears(&scene->front, "{\"type\":\"refuse\",\"id\":10}");
	front_hears(&scene->front, "{\"type\":\"closed\",\"count\":1}");
	front_hears(&scene->front, "{\"type\":\"bye\"}");
	front_hears_end(&scene->front);
	peer_is_closed(peer);
	assert_int_equal(limpet_session_init(&scene->session), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_connection),
	    TEST(test_nobody_has_a_connection_before_its_acknowledgement_is_out),
	    TEST(test_a_front_that_dies_meanwhile_has_its_connection_closed),
	    TEST(test_connections_without_exactly_one_fd_are_refused),
	    TEST(test_no_room),
	    TEST(test_a_limit),
	    TEST(test_ping),
	    TEST(test_what_is_no_message_is_skipped),
	    TEST(test_a_flood_does_not_keep_a_step_for_ever),
	    TEST(test_drain),
	    TEST(test_the_end),
	    TEST(test_a_front_that_closes_before_it_has_read_is_still_heard),
	    TEST(test_a_channel_that_another_process_has_too_is_still_left),
	    TEST(test_closed_is_told_at_most_so_often),
	    TEST(test_leaving),
	    TEST(test_leaving_a_front_that_does_not_answer),
	    TEST(test_closing_gives_back_what_was_not_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
