/* Protocol node-cluster with workers that have the preloaded library, and so get data sockets to listen on. */
#include "dialogue.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd_passing.h"
#include "channel/accept_message.h"

#define CLUSTER "{\"cmd\":\"NODE_CLUSTER\","
#define KEY "127.0.0.1:80:4:undefined:0"
#define LISTEN ",\"index\":0,\"data\":null,\"address\":\"127.0.0.1\",\"port\":80,\"addressType\":4"
#define SOCKET                                                                                               \
	"{\"cmd\":\"NODE_HANDLE\",\"type\":\"net.Native\",\"msg\":" CLUSTER                                  \
	"\"errno\":0,\"key\":\"" KEY "\",\"ack\":#,\"data\":null}}"
#define PROMISE                                                                                              \
	CLUSTER "\"errno\":null,\"key\":\"" KEY "\",\"ack\":#,\"data\":null,"                                \
	        "\"sockname\":{\"address\":\"127.0.0.1\",\"family\":\"IPv4\",\"port\":80}}"

static struct dialogue d;

/* ---- the worker's side ---- */

static int mark_of(int fd)
{
	int mark = -1;
	socklen_t length = sizeof(mark);

	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_PRIORITY, &mark, &length), 0);
	return mark;
}

static void set_mark(int fd, int mark)
{
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_PRIORITY, &mark, sizeof(mark)), 0);
}

static void open_offered(void)
{
	dialogue_open(&d, PROTOCOL_NODE_CLUSTER, FLAVOUR_NONE, 8);
	dialogue_offer_accept(&d);
}

/* Node.js answers the probe at the end of its first turn. */
static void worker_comes_in_step(bool library)
{
	worker_hears_with_fd(&d, PROBE);
	assert_int_equal(mark_of(d.heard_fd), ACCEPT_MARK_GIVEN);
	if (library)
		set_mark(d.heard_fd, ACCEPT_MARK_SEEN);
	worker_says(&d, ACK);
	worker_says(&d, CLUSTER "\"ack\":%llu,\"accepted\":false,\"seq\":1}", (unsigned long long)d.number);
}

static void open_with_library(void)
{
	open_offered();
	worker_comes_in_step(true);
}

static void owner_answers(void)
{
	struct address sockname;

	assert_int_equal(address_parse(&sockname, "127.0.0.1:80", NULL), 0);
	assert_int_equal(channel_answer_listen(d.channel, d.request, 0, &sockname, -1, NULL), 0);
}

static void worker_asks_to_listen(void)
{
	worker_says(&d, CLUSTER "\"act\":\"queryServer\"" LISTEN ",\"seq\":3}");
	owner_is_told(&d, "listen " KEY " 127.0.0.1:80 index 0 backlog 0 data none");
	owner_answers();
}

static void owner_reads(void)
{
	if (dialogue_points.always)
		dialogue_hand_over(&d, 8);
	channel_readable(d.channel);
}

static void near_says(int near, enum accept_type type, uint32_t number)
{
	struct accept_message message = {.type = type, .number = number};

	assert_int_equal(send(near, &message, sizeof(message), MSG_NOSIGNAL), sizeof(message));
	owner_reads();
}

/* Returns the fd that came, -1 without one. */
static int near_hears(int near, enum accept_type type, struct accept_message *message)
{
	int fd = -1;

	assert_int_equal(fd_receive(near, message, sizeof(*message), &fd, NULL), sizeof(*message));
	assert_int_equal(message->type, type);
	return fd;
}

static void near_hears_nothing(int near)
{
	char byte;

	assert_int_equal(recv(near, &byte, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
}

/* Takes the data socket that came with an answer. */
static int take_near(void)
{
	struct accept_message message;
	int near = fcntl(d.heard_fd, F_DUPFD_CLOEXEC, 0), far;

	assert_int_equal(mark_of(near), ACCEPT_MARK_GIVEN);
	assert_true(fcntl(near, F_GETFL) & O_NONBLOCK);
	far = near_hears(near, ACCEPT_GIVEN, &message);
	assert_true(far >= 0);
	assert_int_equal(message.number, ACCEPT_VERSION);
	assert_int_equal(message.address_length, sizeof(message.address.in));
	assert_int_equal(message.address.in.sin_port, htons(80));
	close(far);
	worker_says(&d, ACK);
	worker_hears_nothing(&d); /* and has no other copy */
	return near;
}

static void near_listens(int near)
{
	struct accept_message message;

	near_says(near, ACCEPT_LISTEN, 0);
	near_hears(near, ACCEPT_ANSWER, &message);
	assert_int_equal(message.value, 0);
	near_says(near, ACCEPT_LISTENING, 0);
}

static int worker_listens(void)
{
	int near;

	worker_asks_to_listen();
	worker_hears_with_fd(&d, SOCKET);
	near = take_near();
	near_listens(near);
	return near;
}

/* A connection comes over the data socket; returns its number. */
static uint32_t near_gets_connection(int near)
{
	struct accept_message message;
	int fd = near_hears(near, ACCEPT_CONNECTION, &message);

	assert_true(fd >= 0);
	close(fd);
	return message.number;
}

static void worker_closes_server(void)
{
	worker_says(&d, CLUSTER "\"act\":\"close\",\"key\":\"" KEY "\",\"seq\":9}");
}

/* ---- */

static void from_listen_to_close(void **state)
{
	uint32_t number;
	int near;

	open_with_library();
	near = worker_listens();
	owner_is_told(&d, "kept " KEY "; listening " KEY "; ready");
	/* Node.js says it, too. */
	worker_says(&d, CLUSTER "\"act\":\"listening\"" LISTEN ",\"seq\":4}");
	owner_is_told(&d, "");
	assert_int_equal(owner_sends(&d, 1, KEY), 0);
	assert_int_equal(owner_sends(&d, 2, KEY), 0);
	assert_int_equal(owner_sends(&d, 3, KEY), 0);
	worker_hears_nothing(&d);
	number = near_gets_connection(near);
	near_says(near, ACCEPT_TAKEN, number);
	owner_is_told(&d, "acknowledged 1");
	near_says(near, ACCEPT_TAKEN, number); /* once */
	near_says(near, ACCEPT_REFUSED, near_gets_connection(near));
	owner_is_told(&d, "refused 2");
	/* What is in the socket when the server is closed goes to another. */
	worker_closes_server();
	owner_is_told(&d, "closed_server " KEY);
	assert_int_equal(owner_sends(&d, 4, KEY), 0); /* as a message that it will decline */
	worker_hears_with_fd(&d, "{\"cmd\":\"NODE_HANDLE\",\"type\":\"net.Native\",\"msg\":" CLUSTER
	                         "\"act\":\"newconn\",\"key\":\"" KEY "\",\"seq\":#}}");
	close(near);
	owner_reads();
	owner_is_told(&d, "dropped; refused 3");
	assert_int_equal(channel_skipped(d.channel), 1);
	dialogue_close(&d);
}

static void answers_wait_until_the_library_is_known(void **state)
{
	int near;

	open_offered();
	worker_asks_to_listen();
	assert_int_equal(channel_answer_listen(d.channel, d.request, 0, NULL, -1, NULL), -ENOENT);
	worker_comes_in_step(true);
	worker_hears_with_fd(&d, SOCKET);
	near = take_near();
	near_listens(near);
	owner_is_told(&d, "kept " KEY "; listening " KEY "; ready");
	close(near);
	dialogue_close(&d);
}

static void without_the_library_there_are_messages(void **state)
{
	open_offered();
	worker_asks_to_listen();
	worker_comes_in_step(false);
	worker_hears(&d, PROMISE);
	worker_says(&d, CLUSTER "\"act\":\"listening\"" LISTEN ",\"seq\":4}");
	owner_is_told(&d, "listening " KEY "; ready");
	assert_int_equal(owner_sends(&d, 1, KEY), 0);
	worker_hears_with_fd(&d, "{\"cmd\":\"NODE_HANDLE\",\"type\":\"net.Native\",\"msg\":" CLUSTER
	                         "\"act\":\"newconn\",\"key\":\"" KEY "\",\"seq\":#}}");
	dialogue_close(&d);
}

static void not_offered_there_are_messages(void **state)
{
	dialogue_open(&d, PROTOCOL_NODE_CLUSTER, FLAVOUR_NONE, 8);
	worker_comes_in_step(true);
	worker_asks_to_listen();
	worker_hears(&d, PROMISE);
	dialogue_close(&d);
}

static void a_lost_probe_holds_nothing_up(void **state)
{
	open_offered();
	worker_asks_to_listen();
	worker_hears_with_fd(&d, PROBE);
	worker_says(&d, NACK);
	worker_hears(&d, PROMISE);
	/* Another one comes in step, for the next server. */
	assert_int_equal(channel_probe(d.channel), 0);
	worker_comes_in_step(true);
	owner_is_told(&d, "alive");
	worker_closes_server();
	owner_is_told(&d, "closed_server " KEY);
	worker_asks_to_listen();
	worker_hears_with_fd(&d, SOCKET);
	dialogue_close(&d);
}

static void a_socket_that_did_not_arrive(void **state)
{
	open_with_library();
	worker_asks_to_listen();
	worker_hears_with_fd(&d, SOCKET);
	worker_says(&d, NACK);
	worker_hears(&d, CLUSTER "\"errno\":-24,\"key\":\"\",\"ack\":3,\"data\":null}");
	owner_reads();
	owner_is_told(&d, "");
	/* It may try again. */
	close(worker_listens());
	owner_is_told(&d, "kept " KEY "; listening " KEY "; ready");
	dialogue_close(&d);
}

/* What it has taken counts, what it may still take is not given to another. */
static void a_death_in_any_order(void **state)
{
	uint32_t number;
	int near;

	open_with_library();
	near = worker_listens();
	owner_is_told(&d, "kept " KEY "; listening " KEY "; ready");
	for (uint32_t id = 1; id <= 3; id++)
		assert_int_equal(owner_sends(&d, id, KEY), 0);
	worker_ends(&d);
	owner_is_told(&d, "unreachable");
	assert_false(channel_can_send(d.channel));
	number = near_gets_connection(near);
	near_says(near, ACCEPT_TAKEN, number);
	owner_is_told(&d, "acknowledged 1");
	close(near);
	owner_reads();
	owner_is_told(&d, "dropped; failed 0 (end of file)");
	assert_int_equal(channel_unacknowledged(d.channel), 2);
	dialogue_close(&d);
}

/* As a rule its data sockets are seen to be closed first: nothing is refused for that. */
static void a_death_seen_at_the_data_socket_first(void **state)
{
	int near;

	open_with_library();
	near = worker_listens();
	owner_is_told(&d, "kept " KEY "; listening " KEY "; ready");
	assert_int_equal(owner_sends(&d, 1, KEY), 0);
	close(near);
	owner_reads();
	owner_is_told(&d, "dropped");
	assert_int_equal(owner_sends(&d, 2, KEY), -EINVAL);
	worker_ends(&d);
	owner_is_told(&d, "failed 0 (end of file)");
	assert_int_equal(channel_unacknowledged(d.channel), 1);
	dialogue_close(&d);
}

static void closed_before_it_is_said(void **state)
{
	int near;

	open_with_library();
	near = worker_listens();
	owner_is_told(&d, "kept " KEY "; listening " KEY "; ready");
	assert_int_equal(owner_sends(&d, 1, KEY), 0);
	close(near);
	owner_reads();
	owner_is_told(&d, "dropped");
	worker_closes_server();
	owner_is_told(&d, "refused 1; closed_server " KEY);
	dialogue_close(&d);
}

static void a_death_with_last_words(void **state)
{
	struct accept_message taken = {.type = ACCEPT_TAKEN};
	int near;

	open_with_library();
	near = worker_listens();
	owner_is_told(&d, "kept " KEY "; listening " KEY "; ready");
	assert_int_equal(owner_sends(&d, 1, KEY), 0);
	assert_int_equal(owner_sends(&d, 2, KEY), 0);
	taken.number = near_gets_connection(near);
	assert_int_equal(send(near, &taken, sizeof(taken), MSG_NOSIGNAL), sizeof(taken));
	shutdown(d.worker, SHUT_RDWR);
	close(near);
	worker_ends(&d);
	owner_is_told(&d, "acknowledged 1; dropped; failed 0 (end of file)");
	assert_int_equal(channel_unacknowledged(d.channel), 1);
	dialogue_close(&d);
}

static void the_same_again(void **state)
{
	int first, second;

	open_with_library();
	first = worker_listens();
	owner_is_told(&d, "kept " KEY "; listening " KEY "; ready");
	worker_closes_server();
	owner_is_told(&d, "closed_server " KEY);
	second = worker_listens();
	owner_is_told(&d, "kept " KEY "; listening " KEY);
	assert_int_equal(owner_sends(&d, 1, KEY), 0);
	near_hears_nothing(first);
	near_says(second, ACCEPT_TAKEN, near_gets_connection(second));
	owner_is_told(&d, "acknowledged 1");
	close(first);
	owner_reads();
	owner_is_told(&d, "dropped");
	assert_int_equal(owner_sends(&d, 2, KEY), 0);
	near_says(second, ACCEPT_TAKEN, near_gets_connection(second));
	owner_is_told(&d, "acknowledged 2");
	close(second);
	dialogue_close(&d);
}

/* The next channel over the same socket, after a crash. */
static void what_was_kept_goes_on(void **state)
{
	int near, worker, kept, end;
	uint64_t number;

	open_with_library();
	near = worker_listens();
	worker = fcntl(d.worker, F_DUPFD_CLOEXEC, 0);
	end = fcntl(d.front, F_DUPFD_CLOEXEC, 0);
	kept = fcntl(d.kept_fd, F_DUPFD_CLOEXEC, 0);
	number = d.kept_number;
	dialogue_close(&d);
	open_offered();
	channel_free(d.channel);
	close(d.front);
	close(d.worker);
	d.worker = worker;
	d.front = fcntl(end, F_DUPFD_CLOEXEC, 0);
	d.channel = dialogue_new(&d, end);
	channel_offer_accept(d.channel);
	assert_int_equal(channel_keep(d.channel, KEY, number, kept), 0);
	worker_comes_in_step(true);
	assert_int_equal(owner_sends(&d, 1, KEY), 0);
	near_says(near, ACCEPT_TAKEN, near_gets_connection(near));
	owner_is_told(&d, "acknowledged 1");
	worker_closes_server();
	owner_is_told(&d, "closed_server " KEY);
	close(near);
	owner_reads();
	owner_is_told(&d, "dropped");
	dialogue_close(&d);
}

/* The owner polls one fd, which says so when there is room for what is queued. */
static void room_for_messages_is_waited_for(void **state)
{
	struct pollfd poll_in = {.events = POLLIN};
	char bytes[65536];

	if (dialogue_points.always)
		return;
	open_with_library();
	worker_hears_nothing(&d);
	assert_int_equal(setsockopt(d.front, SOL_SOCKET, SO_SNDBUF, &(int){1}, sizeof(int)), 0);
	for (int i = 0; i < 50; i++) {
		worker_says(&d, CLUSTER "\"act\":\"queryServer\"" LISTEN ",\"seq\":%d}", 100 + i);
		channel_answer_listen(d.channel, d.request, EADDRINUSE, NULL, -1, NULL);
	}
	assert_false(channel_wants_write(d.channel));
	poll_in.fd = channel_fd(d.channel);
	assert_int_equal(poll(&poll_in, 1, 0), 0);
	while (recv(d.worker, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
	assert_int_equal(poll(&poll_in, 1, 0), 1);
	channel_readable(d.channel);
	assert_false(channel_wants_write(d.channel));
	assert_true(recv(d.worker, bytes, sizeof(bytes), MSG_DONTWAIT) > 0);
	dialogue_close(&d);
}

static int fds_before;

static int setup(void **state)
{
	fds_before = open_fds();
	return 0;
}

static int no_fd_is_left(void **state)
{
	assert_int_equal(open_fds(), fds_before);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, no_fd_is_left)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(from_listen_to_close),
	    TEST(answers_wait_until_the_library_is_known),
	    TEST(without_the_library_there_are_messages),
	    TEST(not_offered_there_are_messages),
	    TEST(a_lost_probe_holds_nothing_up),
	    TEST(a_socket_that_did_not_arrive),
	    TEST(a_death_in_any_order),
	    TEST(a_death_seen_at_the_data_socket_first),
	    TEST(closed_before_it_is_said),
	    TEST(a_death_with_last_words),
	    TEST(the_same_again),
	    TEST(what_was_kept_goes_on),
	    TEST(room_for_messages_is_waited_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
