/* A worker that joins, as a dialogue with its front. */
#include "scene.h"

#include <errno.h>

#include "backoff.h"

static struct scene *joined(void **state)
{
	struct scene *scene = greeting(state, "2");

	front_says(&scene->front, WELCOME);
	expect(scene, LIMPET_JOINED);
	expect(scene, NOTHING);
	front_hears(&scene->front, READY);
	return scene;
}

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

int main(void)
{
	const struct CMUnitTest tests[] = {
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
