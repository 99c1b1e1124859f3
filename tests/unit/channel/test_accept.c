/* Protocol accept, with a worker that is a control socket and the near ends of data sockets. */
#include "accept_dialogue.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd_passing.h"

static void from_bind_to_the_end(void **state)
{
	uint32_t first, second;
	int near;

	open_channel(4);
	near = worker_opens();
	owner_is_told("");
	worker_binds(near, ANY, 0);
	owner_is_told("bind " ANY);
	owner_answers(0);
	worker_hears(near, ACCEPT_ANSWER, 0);
	assert_int_equal(owner_sends(1, ANY), -EINVAL);
	worker_says(near, ACCEPT_LISTEN, 0, 128);
	owner_is_told("listen " ANY " backlog 128");
	owner_answers(0);
	assert_int_equal(owner_sends(1, ANY), -EINVAL);
	worker_hears(near, ACCEPT_ANSWER, 0);
	worker_says(near, ACCEPT_LISTENING, 0, 0);
	owner_is_told("kept " ANY "; listening " ANY "; ready");
	assert_int_equal(owner_sends(1, ANY), 0);
	assert_int_equal(owner_sends(2, ANY), 0);
	assert_int_equal(owner_sends(3, "another"), -EINVAL);
	first = worker_hears(near, ACCEPT_CONNECTION, 0);
	second = worker_hears(near, ACCEPT_CONNECTION, 0);
	worker_says(near, ACCEPT_REFUSED, second, 0);
	worker_says(near, ACCEPT_TAKEN, first, 0);
	owner_is_told("refused 2; acknowledged 1");
	assert_int_equal(channel_unacknowledged(channel), 0);
	assert_int_equal(channel_skipped(channel), 0);
	/* The program closes its socket with one connection in it that it never saw. */
	assert_int_equal(owner_sends(4, ANY), 0);
	close(near);
	owner_is_told("dropped; closed " ANY "; refused 4");
	close_fd(&control);
	owner_is_told("failed 0 (end of file)");
	close_channel();
}

static void options_of_a_socket_that_is_the_front_s(void **state)
{
	int near;

	open_channel(4);
	near = worker_opens();
	worker_sets(near, 6, 1, 1, sizeof(int)); /* not bound yet */
	owner_is_told("");
	assert_int_equal(channel_skipped(channel), 1);
	close(near);
	owner_is_told("");
	near = listening(ANY);
	worker_sets(near, 6, 1, 1, sizeof(int));
	worker_sets(near, 1, 9, 256, sizeof(int));
	owner_is_told("option " ANY " 6/1=1; option " ANY " 1/9=256");
	worker_sets(near, 6, 1, 1, 0);
	worker_sets(near, 6, 1, 1, CHANNEL_OPTION_MAX + 1);
	worker_sets(near, 6, 1, 1, UINT32_MAX);
	worker_sets(near, UINT32_MAX, 1, 1, sizeof(int));
	worker_sets(near, 6, UINT32_MAX, 1, sizeof(int));
	owner_is_told("");
	assert_int_equal(channel_skipped(channel), 6);
	close(near);
	close_channel();
}

static void the_owner_says_no(void **state)
{
	int near;

	open_channel(4);
	near = worker_opens();
	worker_binds(near, ANY, 0);
	owner_is_told("bind " ANY);
	owner_answers(EADDRINUSE);
	worker_hears(near, ACCEPT_ANSWER, EADDRINUSE);
	worker_says(near, ACCEPT_LISTEN, 0, 1);
	owner_is_told("");
	assert_int_equal(channel_skipped(channel), 1);
	/* Another address, and then not to listen. */
	worker_binds(near, "127.0.0.1:81", 0);
	owner_is_told("bind 127.0.0.1:81");
	owner_answers(0);
	worker_hears(near, ACCEPT_ANSWER, 0);
	worker_says(near, ACCEPT_LISTEN, 0, -3);
	owner_is_told("listen 127.0.0.1:81 backlog 0");
	owner_answers(EACCES);
	worker_hears(near, ACCEPT_ANSWER, EACCES);
	worker_says(near, ACCEPT_LISTENING, 0, 0);
	owner_is_told("");
	assert_int_equal(channel_skipped(channel), 2);
	assert_int_equal(channel_answer_listen(channel, request, 0, NULL, -1, NULL), -ENOENT);
	close(near);
	owner_is_told("closed 127.0.0.1:81");
	close_channel();
}

static void names_of_servers(void **state)
{
	static const struct {
		const char *address;
		unsigned flags;
		const char *told;
	} binds[] = {
	    {"[::]:80", 0, "bind [::]:80"},
	    {"[::]:80", ACCEPT_IPV6_ONLY, "bind [::]:80 only v6only"},
	    {"0.0.0.0:80", ACCEPT_IPV6_ONLY, "bind 0.0.0.0:80"},
	    {"127.0.0.1:33333", ACCEPT_BOUND, "bind 127.0.0.1:0 #0"},
	    {"127.0.0.1:33334", ACCEPT_BOUND, "bind 127.0.0.1:0 #1"},
	    {"[::1]:33334", ACCEPT_BOUND, "bind [::1]:0 #2"},
	};

	open_channel(4);
	for (size_t i = 0; i < sizeof(binds) / sizeof(binds[0]); i++) {
		int near = worker_opens();

		worker_binds(near, binds[i].address, binds[i].flags);
		owner_is_told(binds[i].told);
		close(near);
		owner_reads();
		told[0] = '\0';
	}
	close_channel();
}

/* Processes that share a socket ask at once, and each gets an answer; later ones, too. */
static void several_processes_listen(void **state)
{
	int near;

	open_channel(4);
	near = worker_opens();
	worker_binds(near, ANY, 0);
	owner_reads();
	owner_answers(0);
	worker_hears(near, ACCEPT_ANSWER, 0);
	worker_says(near, ACCEPT_LISTEN, 0, 1);
	worker_says(near, ACCEPT_LISTEN, 0, 1);
	told[0] = '\0';
	owner_is_told("listen " ANY " backlog 1");
	owner_answers(0);
	worker_hears(near, ACCEPT_ANSWER, 0);
	worker_hears(near, ACCEPT_ANSWER, 0);
	worker_hears_nothing(near);
	worker_says(near, ACCEPT_LISTENING, 0, 0);
	worker_says(near, ACCEPT_LISTENING, 0, 0);
	worker_says(near, ACCEPT_LISTEN, 0, 1);
	owner_is_told("kept " ANY "; listening " ANY "; ready");
	worker_hears(near, ACCEPT_ANSWER, 0);
	assert_int_equal(channel_skipped(channel), 0);
	close(near);
	close_channel();
}

/* Processes that have a socket each for one address are one server. */
static void two_sockets_of_one_address(void **state)
{
	int first, second;

	open_channel(8);
	first = listening(ANY);
	second = listening(ANY);
	for (uint32_t id = 1; id <= 4; id++)
		assert_int_equal(owner_sends(id, ANY), 0);
	for (int i = 0; i < 2; i++) {
		worker_hears(first, ACCEPT_CONNECTION, 0);
		worker_hears(second, ACCEPT_CONNECTION, 0);
	}
	close(first);
	owner_is_told("dropped; refused 1; refused 3");
	assert_int_equal(owner_sends(5, ANY), 0);
	close(second);
	owner_is_told("dropped; closed " ANY "; refused 2; refused 4; refused 5");
	close_channel();
}

/* A worker that is gone altogether has its hand-offs until its owner knows that it died. */
static void a_death_refuses_nothing(void **state)
{
	int near;

	open_channel(4);
	near = listening(ANY);
	assert_int_equal(owner_sends(1, ANY), 0);
	close_fd(&control);
	close(near);
	owner_is_told("dropped; closed " ANY "; failed 0 (end of file)");
	assert_int_equal(channel_unacknowledged(channel), 1);
	close_channel();
}

/* A program that closes what it does not know keeps what listens. */
static void life_without_a_control_socket(void **state)
{
	uint32_t number;
	int near;

	open_channel(4);
	near = listening(ANY);
	close_fd(&control);
	owner_is_told("");
	assert_int_equal(owner_sends(1, ANY), 0);
	number = worker_hears(near, ACCEPT_CONNECTION, 0);
	worker_says(near, ACCEPT_TAKEN, number, 0);
	owner_is_told("acknowledged 1");
	close(near);
	owner_is_told("dropped; closed " ANY "; failed 0 (end of file)");
	close_channel();
}

static void the_window_bounds(void **state)
{
	uint32_t number;
	int near;

	open_channel(2);
	near = listening(ANY);
	assert_int_equal(owner_sends(1, ANY), 0);
	assert_int_equal(owner_sends(2, ANY), 0);
	assert_false(channel_can_send(channel));
	assert_int_equal(owner_sends(3, ANY), -EAGAIN);
	number = worker_hears(near, ACCEPT_CONNECTION, 0);
	worker_says(near, ACCEPT_TAKEN, number, 0);
	owner_is_told("acknowledged 1");
	assert_int_equal(owner_sends(3, ANY), 0);
	assert_int_equal(channel_drain(channel), 0);
	assert_int_equal(owner_sends(4, ANY), -EPIPE);
	close(near);
	close_channel();
}

/* The socket's buffer is smaller than the window. */
static void a_full_socket_is_waited_for(void **state)
{
	uint32_t id = 0, number;
	int near;

	open_channel(60000);
	near = listening(ANY);
	while (owner_sends(id + 1, ANY) == 0)
		id++;
	assert_in_range(id, 10, 59999);
	assert_int_equal(owner_sends(id + 1, ANY), -EAGAIN);
	for (uint32_t i = 1; i <= id; i++) {
		number = worker_hears(near, ACCEPT_CONNECTION, 0);
		worker_says(near, ACCEPT_TAKEN, number, 0);
		owner_reads();
		told[0] = '\0';
	}
	assert_int_equal(channel_unacknowledged(channel), 0);
	assert_int_equal(owner_sends(id + 1, ANY), 0);
	close(near);
	close_channel();
}

/* A router crashed: another has the control socket, and the data sockets that were kept. */
static void what_was_kept_goes_on(void **state)
{
	uint32_t before, after;
	int near, kept;

	open_channel(4);
	near = listening("127.0.0.1:0");
	assert_int_equal(owner_sends(1, "127.0.0.1:0"), 0);
	kept = dup(kept_fd);
	channel_free(channel);
	channel = channel_new(PROTOCOL_ACCEPT, FLAVOUR_NONE, dup(front), window, &events, NULL);
	assert_int_equal(channel_keep(channel, "127.0.0.1:0", 7, kept), 0);
	assert_int_equal(channel_keep(channel, "127.0.0.1:0", 7, dup(kept)), 0);
	assert_int_equal(channel_keep(channel, "x", 8, open("/", O_RDONLY)), -EINVAL);
	owner_is_told("");
	assert_int_equal(owner_sends(2, "127.0.0.1:0"), 0);
	/* What the crashed one sent is in the socket still; nobody waits for its answer. */
	before = worker_hears(near, ACCEPT_CONNECTION, 0);
	after = worker_hears(near, ACCEPT_CONNECTION, 0);
	worker_says(near, ACCEPT_TAKEN, before, 0);
	worker_says(near, ACCEPT_TAKEN, after, 0);
	owner_is_told("acknowledged 2");
	assert_int_equal(channel_skipped(channel), 1);
	close(near);
	owner_is_told("dropped; closed 127.0.0.1:0");
	close_channel();
}

static void what_means_nothing_is_counted(void **state)
{
	struct accept_message message = {.type = ACCEPT_OPEN, .number = ACCEPT_VERSION + 1};
	int near, before, plain[2];

	open_channel(4);
	near = listening(ANY);
	before = dup(0);
	close(before);
	assert_int_equal(pipe(plain), 0);
	/* On the control socket: no fd, another version, no data socket, too short. */
	worker_says(control, ACCEPT_OPEN, ACCEPT_VERSION, 0);
	fd_send(control, &message, sizeof(message), near);
	message.number = ACCEPT_VERSION;
	fd_send(control, &message, sizeof(message), plain[0]);
	fd_send(control, &message, 7, near);
	worker_says(control, ACCEPT_TAKEN, 1, 0);
	owner_is_told("");
	assert_int_equal(channel_skipped(channel), 5);
	/* On a data socket: never sent, bound already, what only a front says, unknown, empty. */
	worker_says(near, ACCEPT_TAKEN, 12345, 0);
	worker_says(near, ACCEPT_REFUSED, 12345, 0);
	worker_binds(near, ANY, 0);
	worker_says(near, ACCEPT_CONNECTION, 1, 0);
	worker_says(near, ACCEPT_ANSWER, 1, 0);
	worker_says(near, 77, 1, 0);
	fd_send(near, &message, 1, 0);
	owner_is_told("");
	assert_int_equal(channel_skipped(channel), 12);
	close(plain[0]);
	close(plain[1]);
	close(near);
	close_channel();
}

static void a_bind_needs_a_tcp_socket(void **state)
{
	struct accept_message message = {.type = ACCEPT_BIND};
	struct address address;
	int udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0),
	    tcp6 = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const int bad[] = {-1, udp, tcp6, 0};
	int near;

	open_channel(4);
	near = worker_opens();
	address_parse(&address, ANY, NULL);
	message.address_length = address.length;
	memcpy(&message.address, &address.sa, address.length);
	for (size_t i = 0; i < 4; i++) {
		fd_send(near, &message, sizeof(message), bad[i]);
		owner_is_told("");
		worker_hears(near, ACCEPT_ANSWER, EINVAL);
	}
	message.address_length = 3;
	fd_send(near, &message, sizeof(message), tcp);
	owner_is_told("");
	worker_hears(near, ACCEPT_ANSWER, EINVAL);
	message.address_length = UINT32_MAX;
	fd_send(near, &message, sizeof(message), tcp);
	owner_is_told("bind " ANY);
	close(udp);
	close(tcp6);
	close(tcp);
	close(near);
	close_channel();
}

static void servers_are_bounded(void **state)
{
	int nears[300];

	open_channel(4);
	for (size_t i = 0; i < 300; i++) {
		nears[i] = worker_opens();
		owner_reads();
	}
	assert_int_equal(channel_skipped(channel), 300 - 256);
	for (size_t i = 0; i < 300; i++)
		close(nears[i]);
	owner_is_told("");
	close_channel();
}

/* A worker that asks on and on, and reads no answer. */
static void who_does_not_read_is_given_up(void **state)
{
	int near;

	open_channel(4);
	near = listening(ANY);
	for (int i = 0; i < 100000 && !strstr(told, "failed"); i++) {
		struct accept_message message = {.type = ACCEPT_LISTEN};

		fd_send(near, &message, sizeof(message), -1);
		owner_reads();
	}
	owner_is_told("failed -105 (the worker does not read its messages)");
	assert_int_equal(owner_sends(1, ANY), -EPIPE);
	close(near);
	close_channel();
}

static int count_fds(void)
{
	DIR *directory = opendir("/proc/self/fd");
	int count = 0;

	while (readdir(directory))
		count++;
	closedir(directory);
	return count;
}

static int setup(void **state)
{
	*state = (void *)(intptr_t)count_fds();
	return 0;
}

static int no_fd_is_left(void **state)
{
	return count_fds() == (int)(intptr_t)*state ? 0 : -1;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, no_fd_is_left)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(from_bind_to_the_end),
	    TEST(options_of_a_socket_that_is_the_front_s),
	    TEST(the_owner_says_no),
	    TEST(names_of_servers),
	    TEST(several_processes_listen),
	    TEST(two_sockets_of_one_address),
	    TEST(a_death_refuses_nothing),
	    TEST(life_without_a_control_socket),
	    TEST(the_window_bounds),
	    TEST(a_full_socket_is_waited_for),
	    TEST(what_was_kept_goes_on),
	    TEST(what_means_nothing_is_counted),
	    TEST(a_bind_needs_a_tcp_socket),
	    TEST(servers_are_bounded),
	    TEST(who_does_not_read_is_given_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
