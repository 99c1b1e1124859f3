/* A worker and its front as a dialogue, in a time of its own. */
#include "front.h"

#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>

#include "backoff.h"

#define HELLO                                                                                                \
	"{\"type\":\"hello\",\"version\":1,\"pool\":\"chat\",\"slot\":\"2\",\"capabilities\":[\"stats\"]}"
#define HELLO_WITHOUT_SLOT "{\"type\":\"hello\",\"version\":1,\"pool\":\"chat\",\"capabilities\":[\"stats\"]}"
#define READY "{\"type\":\"ready\"}"
#define WELCOME "{\"type\":\"welcome\",\"version\":1,\"pool\":\"chat\",\"slot\":\"2\"}"
#define DRAIN "{\"type\":\"drain\"}"
#define NOTHING ((enum limpet_event_type)0)

struct scene {
	struct front front;
	struct limpet_session session;
	int64_t now;
	unsigned fds;
};

static int set_up(void **state)
{
	static struct scene scene;

	memset(&scene, 0, sizeof(scene));
	scene.fds = open_fds();
	scene.now = 1000000;
	scene.front = (struct front){.listening = -1, .channel = -1};
	*state = &scene;
	return limpet_session_init(&scene.session);
}

static int tear_down(void **state)
{
	struct scene *scene = *state;

	limpet_session_close(&scene->session, true);
	front_close(&scene->front);
	assert_int_equal(open_fds(), scene->fds);
	return 0;
}

static void expect(struct scene *scene, enum limpet_event_type event)
{
	assert_int_equal(limpet_session_step(&scene->session, scene->now), event);
}

/* An inherited channel whose worker is ready. */
static struct scene *inherited(void **state)
{
	struct scene *scene = *state;

	assert_int_equal(limpet_session_inherit(&scene->session, front_pair(&scene->front), "chat", "2"), 0);
	assert_true(limpet_session_deadline(&scene->session, scene->now) == scene->now);
	expect(scene, NOTHING);
	front_hears(&scene->front, HELLO);
	front_hears(&scene->front, READY);
	front_hears_nothing(&scene->front);
	return scene;
}

/* A worker that has connected, and said hello. */
static struct scene *greeting(void **state, const char *slot)
{
	struct scene *scene = *state;

	front_listen(&scene->front);
	assert_int_equal(limpet_session_join(&scene->session, scene->front.name, "chat", slot), 0);
	expect(scene, NOTHING);
	front_accept(&scene->front);
	front_hears(&scene->front, *slot ? HELLO : HELLO_WITHOUT_SLOT);
	front_hears_nothing(&scene->front);
	return scene;
}

static struct scene *joined(void **state)
{
	struct scene *scene = greeting(state, "2");

	front_says(&scene->front, WELCOME);
	expect(scene, LIMPET_JOINED);
	expect(scene, NOTHING);
	front_hears(&scene->front, READY);
	return scene;
}

/* A connection comes and is taken; returns the client's end. */
static int taken(struct scene *scene, unsigned id)
{
	int peer = front_connects(&scene->front, id);
	char text[64];

	expect(scene, LIMPET_CONNECTION);
	snprintf(text, sizeof(text), "{\"type\":\"ack\",\"id\":%u}", id);
	front_hears(&scene->front, text);
	assert_true(scene->session.passed >= 0);
	close(scene->session.passed);
	scene->session.passed = -1;
	return peer;
}

static void wait_until_due(struct scene *scene)
{
	int64_t deadline = limpet_session_deadline(&scene->session, scene->now);

	assert_true(deadline >= scene->now);
	scene->now = deadline;
}

/* ---- an inherited channel ---- */

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
	struct scene *scene = inherited(state);
	struct rlimit limit, none;
	int peer = front_connects(&scene->front, 3);

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

/* ---- joining ---- */

static void test_joining(void **state)
{
	struct scene *scene = joined(state);

	close(taken(scene, 1));
}

static void test_limpet_chooses_the_slot(void **state)
{
	struct scene *scene = greeting(state, "");

	front_says(&scene->front, "{\"type\":\"welcome\",\"version\":1,\"pool\":\"chat\",\"slot\":\"5\"}");
	expect(scene, LIMPET_JOINED);
	assert_string_equal(scene->session.slot, "5");
	/* It is asked for again, */
	front_close_channel(&scene->front);
	expect(scene, LIMPET_LOST);
	wait_until_due(scene);
	expect(scene, NOTHING);
	front_accept(&scene->front);
	front_hears(&scene->front, "{\"type\":\"hello\",\"version\":1,\"pool\":\"chat\",\"slot\":\"5\","
	                           "\"capabilities\":[\"stats\"]}");
	/* unless it is gone. */
	front_says(&scene->front, "{\"type\":\"bye\",\"reason\":\"slot 5 has a worker\"}");
	front_close_channel(&scene->front);
	expect(scene, LIMPET_REJECTED);
	wait_until_due(scene);
	expect(scene, NOTHING);
	front_accept(&scene->front);
	front_hears(&scene->front, HELLO_WITHOUT_SLOT);
}

static void test_rejected(void **state)
{
	struct scene *scene = greeting(state, "2");

	front_says(&scene->front, "{\"type\":\"bye\",\"reason\":\"no pool is called chat\"}");
	front_close_channel(&scene->front);
	expect(scene, LIMPET_REJECTED);
	assert_string_equal(scene->session.reason, "no pool is called chat");
	expect(scene, NOTHING);
	wait_until_due(scene);
	expect(scene, NOTHING);
	front_accept(&scene->front);
	front_hears(&scene->front, HELLO);
}

static void test_another_version(void **state)
{
	struct scene *scene = greeting(state, "2");

	front_says(&scene->front, "{\"type\":\"welcome\",\"version\":2}");
	expect(scene, LIMPET_REJECTED);
	assert_string_equal(scene->session.reason, "limpet speaks version 2 of the protocol");
	front_hears_end(&scene->front);
}

static void test_a_front_that_says_nothing(void **state)
{
	struct scene *scene = greeting(state, "2");

	scene->now += LIMPET_WELCOME_MS - 1;
	expect(scene, NOTHING);
	wait_until_due(scene);
	expect(scene, LIMPET_LOST);
	assert_non_null(strstr(scene->session.reason, "did not answer"));
	front_hears_end(&scene->front);
}

static void test_a_front_that_speaks_before_the_welcome(void **state)
{
	struct scene *scene = greeting(state, "2");
	int peer = front_connects(&scene->front, 1);

	front_says(&scene->front, DRAIN);
	front_says(&scene->front, "{\"type\":\"ping\",\"id\":1}");
	front_says(&scene->front, "{\"type\":\"welcome\"}");
	expect(scene, NOTHING);
	peer_is_closed(peer);
	front_hears_nothing(&scene->front);
	front_says(&scene->front, WELCOME);
	expect(scene, LIMPET_JOINED);
	front_says(&scene->front, WELCOME);
	expect(scene, NOTHING);
	front_hears(&scene->front, READY);
	front_hears_nothing(&scene->front);
}

static void test_a_front_that_is_not_there_is_tried_again_less_and_less_often(void **state)
{
	struct scene *scene = *state;
	int64_t before;

	front_listen(&scene->front);
	close(scene->front.listening);
	scene->front.listening = -1;
	assert_int_equal(limpet_session_join(&scene->session, scene->front.name, "chat", "2"), 0);
	for (unsigned failed = 1; failed < 20; failed++) {
		int least = failed < 9 ? LIMPET_BACKOFF_MIN_MS << (failed - 1) : LIMPET_BACKOFF_MAX_MS / 2;

		expect(scene, LIMPET_LOST);
		assert_non_null(strstr(scene->session.reason, ") failed: Connection refused"));
		expect(scene, NOTHING);
		before = scene->now;
		wait_until_due(scene);
		least = least < LIMPET_BACKOFF_MAX_MS / 2 ? least : LIMPET_BACKOFF_MAX_MS / 2;
		assert_in_range(scene->now - before, least, 2 * least);
	}
}

static void rejoin(struct scene *scene)
{
	wait_until_due(scene);
	expect(scene, NOTHING);
	front_accept(&scene->front);
	front_hears(&scene->front, HELLO);
	front_says(&scene->front, WELCOME);
	expect(scene, LIMPET_JOINED);
	expect(scene, NOTHING);
	front_hears(&scene->front, READY);
}

static void test_the_front_restarts(void **state)
{
	struct scene *scene = joined(state);
	int64_t lost;

	close(taken(scene, 1));
	scene->now += LIMPET_STABLE_MS;
	front_close_channel(&scene->front);
	expect(scene, LIMPET_LOST);
	assert_string_equal(scene->session.reason, "the channel has ended");
	lost = scene->now;
	rejoin(scene);
	assert_in_range(scene->now - lost, LIMPET_BACKOFF_MIN_MS, 2 * LIMPET_BACKOFF_MIN_MS);
	/* The new front knows nothing of the connection that its predecessor had passed. */
	limpet_session_closed(&scene->session, 1);
	assert_true(limpet_session_deadline(&scene->session, scene->now) < 0);
	assert_int_equal(scene->session.open, 0);
	close(taken(scene, 1));
	/* One that takes the worker in and goes at once is not joined again and again without a pause. */
	for (int i = 1; i < 5; i++) {
		front_close_channel(&scene->front);
		expect(scene, LIMPET_LOST);
		lost = scene->now;
		rejoin(scene);
		assert_in_range(
		    scene->now - lost, LIMPET_BACKOFF_MIN_MS << i, 2 * LIMPET_BACKOFF_MIN_MS << i);
	}
}

static void test_stats_are_told_again(void **state)
{
	static const char text[] = "{\"type\":\"stats\",\"values\":{\"rooms\":12}}";
	struct scene *scene = joined(state);

	memcpy(scene->session.stats, text, sizeof(text) - 1);
	scene->session.stats_length = sizeof(text) - 1;
	scene->session.stats_due = true;
	expect(scene, NOTHING);
	front_hears(&scene->front, text);
	front_close_channel(&scene->front);
	expect(scene, LIMPET_LOST);
	rejoin(scene);
	front_hears(&scene->front, text);
	front_hears_nothing(&scene->front);
}

static void test_a_drained_worker_does_not_join_again(void **state)
{
	struct scene *scene = joined(state);

	front_says(&scene->front, DRAIN);
	front_close_channel(&scene->front);
	expect(scene, LIMPET_DRAIN);
	expect(scene, LIMPET_OVER);
	expect(scene, NOTHING);
}

static void test_leaving_before_it_has_joined(void **state)
{
	struct scene *scene = greeting(state, "2");

	limpet_session_leave(&scene->session, scene->now);
	assert_true(limpet_session_deadline(&scene->session, scene->now) == scene->now);
	expect(scene, LIMPET_OVER);
	expect(scene, NOTHING);
	front_hears_end(&scene->front);
}

static void test_names_of_sockets(void **state)
{
	struct scene *scene = *state;
	char name[109];

	memset(name, 'a', sizeof(name));
	name[108] = '\0';
	assert_int_equal(limpet_session_join(&scene->session, name, "chat", ""), -ENAMETOOLONG);
	assert_int_equal(limpet_session_join(&scene->session, "", "chat", ""), -ENAMETOOLONG);
	name[107] = '\0';
	assert_int_equal(limpet_session_join(&scene->session, name, "chat", ""), 0);
	expect(scene, LIMPET_LOST);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

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
	    TEST(test_closed_is_told_at_most_so_often),
	    TEST(test_leaving),
	    TEST(test_leaving_a_front_that_does_not_answer),
	    TEST(test_closing_gives_back_what_was_not_taken),
	    TEST(test_joining),
	    TEST(test_limpet_chooses_the_slot),
	    TEST(test_rejected),
	    TEST(test_another_version),
	    TEST(test_a_front_that_says_nothing),
	    TEST(test_a_front_that_speaks_before_the_welcome),
	    TEST(test_a_front_that_is_not_there_is_tried_again_less_and_less_often),
	    TEST(test_the_front_restarts),
	    TEST(test_stats_are_told_again),
	    TEST(test_a_drained_worker_does_not_join_again),
	    TEST(test_leaving_before_it_has_joined),
	    TEST(test_names_of_sockets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
