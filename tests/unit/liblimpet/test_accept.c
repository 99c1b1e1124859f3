/* limpet_accept() and limpet_next(), as a program has them from the shared library. */
#include "front.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/time.h>

#define READY "{\"type\":\"ready\"}"
#define DRAIN "{\"type\":\"drain\"}"
#define THREADS 8

struct scene {
	struct front front;
	struct limpet *limpet;
	unsigned fds;
};

static int set_up(void **state)
{
	static struct scene scene;

	unsetenv("LIMPET_POOL");
	unsetenv("LIMPET_SLOT");
	scene.fds = open_fds();
	assert_int_equal(limpet_open_fd(&scene.limpet, front_pair(&scene.front)), 0);
	*state = &scene;
	return 0;
}

static int tear_down(void **state)
{
	struct scene *scene = *state;

	limpet_close(scene->limpet);
	front_close(&scene->front);
	assert_int_equal(open_fds(), scene->fds);
	return 0;
}

/* From here on the front waits for what it hears. */
static void front_waits(struct front *front)
{
	fcntl(front->channel, F_SETFL, 0);
}

static int accept_now(struct scene *scene)
{
	return limpet_accept(scene->limpet, NULL, NULL, LIMPET_DONTWAIT);
}

static void introduce(struct scene *scene)
{
	assert_int_equal(accept_now(scene), -EAGAIN);
	front_hears(&scene->front, "{\"type\":\"hello\",\"version\":1,\"capabilities\":[\"stats\"]}");
	front_hears(&scene->front, READY);
}

static void test_like_accept(void **state)
{
	struct scene *scene = *state;
	struct sockaddr_in address;
	socklen_t length = sizeof(address);
	int peer, fd;

	peer = front_connects(&scene->front, 1);
	fd = limpet_accept(scene->limpet, (struct sockaddr *)&address, &length, 0);
	assert_true(fd >= 0);
	assert_int_equal(length, sizeof(address));
	assert_int_equal(address.sin_family, AF_INET);
	assert_int_equal(ntohs(address.sin_port), 51123);
	assert_int_equal(ntohl(address.sin_addr.s_addr), 0xcb007109);
	assert_int_equal(fcntl(fd, F_GETFD), 0);
	assert_false(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_int_equal(write(fd, "hello", 5), 5);
	peer_hears(peer, "hello");
	close(fd);
	peer_is_closed(peer);

	peer = front_connects(&scene->front, 2);
	length = 4;
	address.sin_addr.s_addr = 7;
	fd = limpet_accept(scene->limpet, (struct sockaddr *)&address, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
	assert_int_equal(length, sizeof(address));
	assert_int_equal(address.sin_addr.s_addr, 7);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	close(fd);
	close(peer);
}

static void test_an_address_that_is_none(void **state)
{
	struct scene *scene = *state;
	struct sockaddr_storage address = {.ss_family = AF_INET};
	socklen_t length = sizeof(address);
	int fd;

	front_passes(&scene->front, "{\"type\":\"connection\",\"id\":1,\"client\":\"nobody\"}",
	    scene->front.channel, 1);
	fd = limpet_accept(scene->limpet, (struct sockaddr *)&address, &length, 0);
	assert_true(fd >= 0);
	assert_int_equal(address.ss_family, AF_UNSPEC);
	assert_int_equal(length, sizeof(sa_family_t));
	close(fd);
}

/* What another process left there does not matter. */
static void test_a_socket_that_does_not_block(void **state)
{
	struct scene *scene = *state;
	int ends[2], fd;

	make_pair(SOCK_STREAM, ends);
	front_passes(&scene->front, "{\"type\":\"connection\",\"id\":1}", ends[1], 1);
	fd = accept_now(scene);
	assert_false(fcntl(fd, F_GETFL) & O_NONBLOCK);
	close(fd);
	close_pair(ends);
}

static void test_wrong_arguments(void **state)
{
	struct scene *scene = *state;
	struct sockaddr_storage address;

	assert_int_equal(limpet_accept(scene->limpet, NULL, NULL, 1), -EINVAL);
	assert_int_equal(limpet_accept(scene->limpet, (struct sockaddr *)&address, NULL, 0), -EINVAL);
}

static void test_no_room(void **state)
{
	struct scene *scene = *state;
	struct rlimit limit, none;
	int peer;

	needs_the_kernels_limit_of_files();
	introduce(scene);
	peer = front_connects(&scene->front, 3);
	getrlimit(RLIMIT_NOFILE, &limit);
	none = limit;
	none.rlim_cur = 0;
	setrlimit(RLIMIT_NOFILE, &none);
	assert_int_equal(limpet_accept(scene->limpet, NULL, NULL, 0), -EMFILE);
	setrlimit(RLIMIT_NOFILE, &limit);
	front_hears(&scene->front, "{\"type\":\"refuse\",\"id\":3}");
	peer_is_closed(peer);
}

static void test_drain_and_end(void **state)
{
	struct scene *scene = *state;
	int peer;

	introduce(scene);
	peer = front_connects(&scene->front, 1);
	front_says(&scene->front, DRAIN);
	close(limpet_accept(scene->limpet, NULL, NULL, 0));
	close(peer);
	front_hears(&scene->front, "{\"type\":\"ack\",\"id\":1}");
	assert_int_equal(limpet_accept(scene->limpet, NULL, NULL, 0), -ESHUTDOWN);
	/* It still answers. */
	front_says(&scene->front, "{\"type\":\"ping\",\"id\":1}");
	assert_true(polls(limpet_fd(scene->limpet)));
	assert_int_equal(accept_now(scene), -ESHUTDOWN);
	front_hears(&scene->front, "{\"type\":\"pong\",\"id\":1}");
	assert_false(polls(limpet_fd(scene->limpet)));
	front_close_channel(&scene->front);
	assert_int_equal(limpet_accept(scene->limpet, NULL, NULL, 0), -ESHUTDOWN);
	assert_false(polls(limpet_fd(scene->limpet)));
}

static void on_alarm(int number)
{
}

static void test_a_signal(void **state)
{
	struct scene *scene = *state;
	struct sigaction action = {.sa_handler = on_alarm}, before;
	struct itimerval every = {{0, 20000}, {0, 20000}}, never = {{0, 0}, {0, 0}};

	sigaction(SIGALRM, &action, &before);
	/* Again and again: the first one may come before the wait. */
	setitimer(ITIMER_REAL, &every, NULL);
	assert_int_equal(limpet_accept(scene->limpet, NULL, NULL, 0), -EINTR);
	setitimer(ITIMER_REAL, &never, NULL);
	sigaction(SIGALRM, &before, NULL);
}

/* ---- events ---- */

static const struct limpet_event *next(struct scene *scene, enum limpet_event_type type)
{
	const struct limpet_event *event = limpet_next(scene->limpet);

	assert_non_null(event);
	assert_int_equal(event->type, type);
	assert_non_null(event->client);
	assert_non_null(event->listener);
	assert_non_null(event->key);
	assert_non_null(event->address);
	assert_non_null(event->pool);
	assert_non_null(event->slot);
	assert_non_null(event->reason);
	return event;
}

static void test_events(void **state)
{
	struct scene *scene = *state;
	const struct limpet_event *event;
	int peer;

	assert_true(polls(limpet_fd(scene->limpet)));
	assert_int_equal(limpet_timeout(scene->limpet), 0);
	assert_null(limpet_next(scene->limpet));
	assert_false(polls(limpet_fd(scene->limpet)));
	assert_int_equal(limpet_timeout(scene->limpet), -1);
	peer = front_connects(&scene->front, 1);
	assert_true(polls(limpet_fd(scene->limpet)));
	event = next(scene, LIMPET_CONNECTION);
	assert_string_equal(event->client, "203.0.113.9:51123");
	assert_string_equal(event->listener, "web");
	assert_string_equal(event->key, "cookie");
	assert_int_equal(event->address->sa_family, AF_INET);
	assert_int_equal(event->address_length, sizeof(struct sockaddr_in));
	assert_int_equal(fcntl(event->fd, F_GETFD), FD_CLOEXEC);
	assert_true(fcntl(event->fd, F_GETFL) & O_NONBLOCK);
	close(event->fd);
	peer_is_closed(peer);
	front_says(&scene->front, DRAIN);
	event = next(scene, LIMPET_DRAIN);
	assert_int_equal(event->fd, -1);
	front_close_channel(&scene->front);
	assert_string_equal(next(scene, LIMPET_OVER)->reason, "the channel has ended");
	assert_null(limpet_next(scene->limpet));
	assert_false(polls(limpet_fd(scene->limpet)));
}

/* ---- threads ---- */

struct thread {
	pthread_t thread;
	struct scene *scene;
	unsigned taken;
	int result;
};

static void *accept_all(void *argument)
{
	struct thread *thread = argument;
	int fd;

	while ((fd = limpet_accept(thread->scene->limpet, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		thread->taken++;
		if (write(fd, "hello", 5) != 5)
			abort();
		close(fd);
		limpet_closed(thread->scene->limpet, 1);
	}
	thread->result = fd;
	return NULL;
}

static void start(struct scene *scene, struct thread *threads)
{
	for (unsigned i = 0; i < THREADS; i++) {
		threads[i] = (struct thread){.scene = scene};
		assert_int_equal(pthread_create(&threads[i].thread, NULL, accept_all, &threads[i]), 0);
	}
}

static unsigned end(struct thread *threads)
{
	unsigned taken = 0;

	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(threads[i].thread, NULL);
		assert_int_equal(threads[i].result, -ESHUTDOWN);
		taken += threads[i].taken;
	}
	return taken;
}

/* Reads up to an acknowledgement; counts what is said to have closed. */
static void hear_acknowledgement(struct front *front, unsigned id, unsigned *closed)
{
	char bytes[256], expected[64];
	unsigned count;

	snprintf(expected, sizeof(expected), "{\"type\":\"ack\",\"id\":%u}", id);
	for (;;) {
		ssize_t length = recv(front->channel, bytes, sizeof(bytes) - 1, 0);

		assert_true(length > 0);
		bytes[length] = '\0';
		if (sscanf(bytes, "{\"type\":\"closed\",\"count\":%u}", &count) == 1)
			*closed += count;
		else
			break;
	}
	assert_string_equal(bytes, expected);
}

static void test_threads(void **state)
{
	struct scene *scene = *state;
	struct thread threads[THREADS];
	const unsigned count = 2000;
	unsigned closed = 0;

	introduce(scene);
	front_waits(&scene->front);
	start(scene, threads);
	for (unsigned id = 0; id < count; id++) {
		int peer = front_connects(&scene->front, id);
		char bytes[8];

		hear_acknowledgement(&scene->front, id, &closed);
		assert_int_equal(recv(peer, bytes, sizeof(bytes), MSG_WAITALL), 5);
		close(peer);
	}
	front_says(&scene->front, DRAIN);
	assert_int_equal(end(threads), count);
	while (closed < count) {
		char bytes[64];
		unsigned more;
		struct pollfd polled = {.fd = limpet_fd(scene->limpet), .events = POLLIN};

		assert_true(poll(&polled, 1, 5000) >= 0);
		accept_now(scene);
		assert_true(recv(scene->front.channel, bytes, sizeof(bytes), 0) > 0);
		assert_int_equal(sscanf(bytes, "{\"type\":\"closed\",\"count\":%u}", &more), 1);
		closed += more;
	}
	assert_int_equal(closed, count);
}

static void test_many_at_a_time_for_many_threads(void **state)
{
	struct scene *scene = *state;
	struct thread threads[THREADS];
	int peers[100];
	unsigned closed = 0;

	introduce(scene);
	front_waits(&scene->front);
	start(scene, threads);
	for (unsigned round = 0; round < 20; round++) {
		for (unsigned i = 0; i < COUNT(peers); i++)
			peers[i] = front_connects(&scene->front, i);
		for (unsigned i = 0; i < COUNT(peers); i++)
			hear_acknowledgement(&scene->front, i, &closed);
		for (unsigned i = 0; i < COUNT(peers); i++) {
			char bytes[8];

			assert_int_equal(recv(peers[i], bytes, sizeof(bytes), MSG_WAITALL), 5);
			close(peers[i]);
		}
	}
	front_close_channel(&scene->front);
	assert_int_equal(end(threads), 20 * COUNT(peers));
}

/* Keeps its connection up to the end. */
static void *accept_one(void *argument)
{
	struct thread *thread = argument;

	thread->result = limpet_accept(thread->scene->limpet, NULL, NULL, SOCK_CLOEXEC);
	return NULL;
}

static void test_whoever_is_busy_leaves_the_next_one_to_others(void **state)
{
	struct scene *scene = *state;
	struct thread threads[THREADS];
	int peers[THREADS];
	unsigned closed = 0;

	introduce(scene);
	front_waits(&scene->front);
	for (unsigned i = 0; i < THREADS; i++) {
		threads[i] = (struct thread){.scene = scene};
		assert_int_equal(pthread_create(&threads[i].thread, NULL, accept_one, &threads[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		peers[i] = front_connects(&scene->front, i);
		hear_acknowledgement(&scene->front, i, &closed);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(threads[i].thread, NULL);
		assert_true(threads[i].result >= 0);
		close(threads[i].result);
		close(peers[i]);
	}
}

/* Maybe it is not the thread that waits who reads the end. */
static void test_an_end_that_somebody_else_reads(void **state)
{
	for (int round = 0; round < 300; round++) {
		struct scene *scene = *state;
		struct thread thread = {.scene = scene};

		assert_int_equal(pthread_create(&thread.thread, NULL, accept_one, &thread), 0);
		front_says(&scene->front, DRAIN);
		while (accept_now(scene) == -EAGAIN)
			;
		pthread_join(thread.thread, NULL);
		assert_int_equal(thread.result, -ESHUTDOWN);
		assert_int_equal(accept_now(scene), -ESHUTDOWN);
		assert_false(polls(limpet_fd(scene->limpet)));
		tear_down(state);
		set_up(state);
	}
}

static void test_leaving_ends_every_thread(void **state)
{
	struct scene *scene = *state;
	struct thread threads[THREADS];
	char bytes[64] = "";

	introduce(scene);
	front_waits(&scene->front);
	start(scene, threads);
	limpet_leave(scene->limpet);
	front_hears(&scene->front, "{\"type\":\"bye\"}");
	assert_true(recv(scene->front.channel, bytes, sizeof(bytes) - 1, 0) > 0);
	assert_memory_equal(bytes, "{\"type\":\"ping\",", 15);
	memcpy(bytes, "{\"type\":\"pong\",", 15);
	front_says(&scene->front, bytes);
	assert_int_equal(end(threads), 0);
}

static void test_leaving_a_front_that_is_stuck_ends_every_thread(void **state)
{
	struct scene *scene = *state;
	struct thread threads[THREADS];

	start(scene, threads);
	limpet_leave(scene->limpet);
	assert_int_equal(end(threads), 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_like_accept),
	    TEST(test_an_address_that_is_none),
	    TEST(test_a_socket_that_does_not_block),
	    TEST(test_wrong_arguments),
	    TEST(test_no_room),
	    TEST(test_drain_and_end),
	    TEST(test_a_signal),
	    TEST(test_events),
	    TEST(test_threads),
	    TEST(test_many_at_a_time_for_many_threads),
	    TEST(test_whoever_is_busy_leaves_the_next_one_to_others),
	    TEST(test_an_end_that_somebody_else_reads),
	    TEST(test_leaving_ends_every_thread),
	    TEST(test_leaving_a_front_that_is_stuck_ends_every_thread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
