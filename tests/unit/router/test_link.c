/* Tests of src/router/link.c, with the other end as a hostile peer as well. */
#include "testing.h"

#include <errno.h>
#include <sys/resource.h>

#include "base/fd_passing.h"
#include "router/link.h"

/* A link at each end. */
static void make_links(struct link *links[2])
{
	int ends[2];

	make_pair(SOCK_SEQPACKET, ends);
	links[0] = link_new(ends[0]);
	links[1] = link_new(ends[1]);
	assert_non_null(links[0]);
	assert_non_null(links[1]);
}

static void free_links(struct link *links[2])
{
	link_free(links[0]);
	link_free(links[1]);
}

static void fill(struct link_message *message)
{
	link_message_init(message, LINK_LISTEN);
	message->worker = 1;
	message->listener = 2;
	message->pool = 3;
	message->slot = 4;
	message->generation = 5;
	message->index = LINK_INDEX_WORKERS;
	message->error = -6;
	message->socket_type = SOCK_DGRAM;
	message->backlog = 511;
	message->request = UINT64_MAX;
	message->any_address = true;
	message->ipv6_only = true;
	assert_int_equal(address_parse(&message->address, "[2001:db8::1]:443", NULL), 0);
}

static void carries_every_field(void **state)
{
	struct link_message sent, received;
	struct link *links[2];
	int fd;

	make_links(links);
	for (int length = 0; length < 3; length++) {
		fill(&sent);
		/* None, some, and as long as can be. */
		memset(sent.key, 'k', length == 0 ? 0 : length == 1 ? 20 : CHANNEL_KEY_MAX);
		if (length > 0) {
			sent.has_data = true;
			memset(sent.data, 'd', length == 1 ? 0 : CHANNEL_DATA_MAX);
		}
		assert_int_equal(link_send(links[0], &sent, -1), 0);
		memset(&received, 0xaa, sizeof(received));
		assert_int_equal(link_receive(links[1], &received, &fd), 1);
		assert_int_equal(fd, -1);
		assert_memory_equal(&sent, &received, sizeof(sent));
	}
	assert_int_equal(link_receive(links[1], &received, &fd), 0);
	free_links(links);
	link_free(NULL);
}

static void carries_a_file(void **state)
{
	struct link_message message;
	struct link *links[2];
	int fd, file = open("/dev/null", O_RDONLY | O_CLOEXEC);
	unsigned before;

	make_links(links);
	before = open_fds();
	link_message_init(&message, LINK_WORKER_UP);
	assert_int_equal(link_send(links[0], &message, file), 0);
	assert_int_equal(link_receive(links[1], &message, &fd), 1);
	assert_true(fd >= 0);
	assert_int_equal(open_fds(), before + 1); /* the sender's was borrowed */
	close(fd);
	close(file);
	free_links(links);
}

static void queues_in_order_while_the_other_end_is_slow(void **state)
{
	enum { MANY = 5000 };
	struct link_message message;
	struct link *links[2];
	unsigned before = open_fds(), received = 0;
	int fd, file = open("/dev/null", O_RDONLY | O_CLOEXEC);

	make_links(links);
	link_message_init(&message, LINK_WORKER_UP);
	for (unsigned i = 0; i < MANY; i++) {
		message.worker = i;
		assert_int_equal(link_send(links[0], &message, i % 100 == 0 ? file : -1), 0);
	}
	close(file); /* what is queued has copies */
	assert_true(link_wants_write(links[0]));
	while (received < MANY) {
		assert_int_equal(link_flush(links[0]), 0);
		while (link_receive(links[1], &message, &fd) == 1) {
			assert_int_equal(message.worker, received);
			assert_int_equal(fd >= 0, received % 100 == 0);
			if (fd >= 0)
				close(fd);
			received++;
		}
	}
	assert_false(link_wants_write(links[0]));
	free_links(links);
	assert_int_equal(open_fds(), before);
}

static void a_queue_is_bounded_and_leaks_nothing(void **state)
{
	struct link_message message;
	struct link *links[2];
	unsigned before = open_fds(), sent = 0;
	int result, file = open("/dev/null", O_RDONLY | O_CLOEXEC);

	make_links(links);
	link_message_init(&message, LINK_WORKER_UP);
	while ((result = link_send(links[0], &message, sent < 100 ? file : -1)) == 0)
		assert_true(++sent < 1000000);
	assert_int_equal(result, -ENOBUFS);
	close(file);
	free_links(links);
	assert_int_equal(open_fds(), before);
}

static void tells_of_the_other_end_s_end(void **state)
{
	struct link_message message;
	struct link *links[2];
	int fd;

	make_links(links);
	link_message_init(&message, LINK_IDLE);
	assert_int_equal(link_send(links[0], &message, -1), 0);
	link_free(links[0]);
	/* Its last words first. */
	assert_int_equal(link_receive(links[1], &message, &fd), 1);
	assert_int_equal(message.type, LINK_IDLE);
	assert_int_equal(link_receive(links[1], &message, &fd), -ECONNRESET);
	assert_true(link_send(links[1], &message, -1) < 0);
	link_free(links[1]);
}

static void refuses_what_is_not_well_formed(void **state)
{
	static const size_t head = offsetof(struct link_message, key);
	static char bytes[sizeof(struct link_message) + 100];
	struct link_message message;
	unsigned before = open_fds();
	int file = open("/dev/null", O_RDONLY | O_CLOEXEC);

	for (int i = 0; i < 7; i++) {
		struct link *link;
		size_t length = sizeof(message);
		int ends[2], fd = -2;

		link_message_init(&message, LINK_LISTEN);
		switch (i) {
		case 0:
			length = head - 1;
			break;
		case 1:
			length = 1;
			break;
		case 2:
			length = sizeof(bytes); /* too long */
			break;
		case 3:
			memset(message.key, 'k', sizeof(message.key)); /* no NUL */
			break;
		case 4:
			memset(message.data, 'd', sizeof(message.data));
			break;
		case 5:
			message.address.length = sizeof(struct sockaddr_un) + 1;
			break;
		case 6:
			message.address.length = UINT32_MAX;
			break;
		}
		memcpy(bytes, &message, sizeof(message));
		make_pair(SOCK_SEQPACKET, ends);
		link = link_new(ends[1]);
		assert_int_equal(fd_send(ends[0], bytes, length, file), length);
		assert_int_equal(link_receive(link, &message, &fd), -EPROTO);
		assert_int_equal(fd, -1); /* and closed */
		link_free(link);
		close(ends[0]);
	}
	close(file);
	assert_int_equal(open_fds(), before);
}

static void a_lost_file_is_an_error(void **state)
{
	struct rlimit before, none;
	struct link_message message;
	struct link *links[2];
	int fd, file, result;

	needs_the_kernels_limit_of_files();
	file = open("/dev/null", O_RDONLY | O_CLOEXEC);
	make_links(links);
	link_message_init(&message, LINK_WORKER_UP);
	assert_int_equal(link_send(links[0], &message, file), 0);
	getrlimit(RLIMIT_NOFILE, &before);
	none = before;
	none.rlim_cur = 0;
	setrlimit(RLIMIT_NOFILE, &none);
	result = link_receive(links[1], &message, &fd);
	setrlimit(RLIMIT_NOFILE, &before);
	assert_int_equal(result, -EPROTO);
	close(file);
	free_links(links);
}

/* One that is out of files goes on: what was to be parked is not, and that is all. */
static void parks_without_room_for_the_fd(void **state)
{
	static const enum link_type types[] = {LINK_PARK, LINK_KEEP};
	static const int expected[] = {1, -EPROTO};

	needs_the_kernels_limit_of_files();
	for (size_t i = 0; i < COUNT(types); i++) {
		struct link_message message;
		struct rlimit files, few;
		struct link *links[2];
		int fd;

		make_links(links);
		link_message_init(&message, types[i]);
		message.request = 7;
		assert_int_equal(link_send_now(links[0], &message, STDIN_FILENO), 0);
		assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
		few = files;
		few.rlim_cur = 1;
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
		assert_int_equal(link_receive(links[1], &message, &fd), expected[i]);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
		assert_int_equal(fd, -1);
		assert_int_equal(message.request, 7);
		free_links(links);
	}
}

static void sends_now_or_not_at_all(void **state)
{
	struct link_message message;
	struct link *links[2];
	unsigned sent = 0;
	int fd;

	make_links(links);
	link_message_init(&message, LINK_UNPARK);
	while (link_send_now(links[0], &message, -1) == 0)
		sent++;
	assert_int_equal(link_send_now(links[0], &message, -1), -EAGAIN);
	assert_false(link_wants_write(links[0]));
	/* Never before what is queued. */
	assert_int_equal(link_send(links[0], &message, -1), 0);
	assert_int_equal(link_receive(links[1], &message, &fd), 1);
	assert_int_equal(link_send_now(links[0], &message, -1), -EAGAIN);
	assert_int_equal(link_flush(links[0]), 0);
	for (unsigned i = 0; i < sent; i++)
		assert_int_equal(link_receive(links[1], &message, &fd), 1);
	assert_int_equal(link_receive(links[1], &message, &fd), 0);
	free_links(links);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(carries_every_field),
	    cmocka_unit_test(parks_without_room_for_the_fd),
	    cmocka_unit_test(sends_now_or_not_at_all),
	    cmocka_unit_test(carries_a_file),
	    cmocka_unit_test(queues_in_order_while_the_other_end_is_slow),
	    cmocka_unit_test(a_queue_is_bounded_and_leaks_nothing),
	    cmocka_unit_test(tells_of_the_other_end_s_end),
	    cmocka_unit_test(refuses_what_is_not_well_formed),
	    cmocka_unit_test(a_lost_file_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
