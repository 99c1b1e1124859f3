#include "scene.h"

#include <stdio.h>

int set_up(void **state)
{
	static struct scene scene;

	memset(&scene, 0, sizeof(scene));
	scene.fds = open_fds();
	scene.now = 1000000;
	scene.front = (struct front){.listening = -1, .channel = -1};
	*state = &scene;
	return limpet_session_init(&scene.session);
}

int tear_down(void **state)
{
	struct scene *scene = *state;

	limpet_session_close(&scene->session, true);
	front_close(&scene->front);
	assert_int_equal(open_fds(), scene->fds);
	return 0;
}

void expect(struct scene *scene, enum limpet_event_type event)
{
	assert_int_equal(limpet_session_step(&scene->session, scene->now), event);
}

struct scene *inherited(void **state)
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

struct scene *greeting(void **state, const char *slot)
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

int taken(struct scene *scene, unsigned id)
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

void wait_until_due(struct scene *scene)
{
	int64_t deadline = limpet_session_deadline(&scene->session, scene->now);

	assert_true(deadline >= scene->now);
	scene->now = deadline;
}
