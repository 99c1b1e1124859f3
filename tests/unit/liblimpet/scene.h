/* A worker's session and its front, in a time of its own. */
#ifndef LIMPET_TESTS_LIBLIMPET_SCENE_H
#define LIMPET_TESTS_LIBLIMPET_SCENE_H

#include "front.h"

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

int set_up(void **state);
int tear_down(void **state);

/* The next step brings this event. */
void expect(struct scene *scene, enum limpet_event_type event);

/* An inherited channel whose worker is ready. */
struct scene *inherited(void **state);

/* A worker that has connected, and said hello. */
struct scene *greeting(void **state, const char *slot);

/* A connection comes and is taken; returns the client's end. */
int taken(struct scene *scene, unsigned id);

void wait_until_due(struct scene *scene);

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

#endif
