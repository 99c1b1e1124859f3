#include "front.h"

#include <errno.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "channel.h"

static char bytes[64];
static struct limpet_received received;

static void test_connect(void **state)
{
	struct front front;
	int fd;

	front_listen(&front);
	fd = limpet_channel_connect(front.name);
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	front_accept(&front);
	assert_int_equal(limpet_channel_send(fd, "hello", 5), 0);
	front_hears(&front, "hello");
	close(fd);
	front_close(&front);
	assert_int_equal(limpet_channel_connect(front.name), -ECONNREFUSED);
	assert_int_equal(limpet_channel_connect("/nowhere/limpet"), -ENOENT);
	assert_int_equal(limpet_channel_connect(""), -ENAMETOOLONG);
}

static void test_a_full_queue_is_not_waited_for(void **state)
{
	int fds[64], count = 0, error;
	struct front front;

	front_listen(&front);
	while (count < 64 && (fds[count] = limpet_channel_connect(front.name)) >= 0)
		count++;
	assert_in_range(count, 1, 63);
	error = fds[count];
	while (count--)
		close(fds[count]);
	front_close(&front);
	assert_int_equal(error, -EAGAIN);
}

static void test_adopt(void **state)
{
	int ends[2], file = open("/dev/null", O_RDONLY);

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
	assert_int_equal(limpet_channel_adopt(ends[0]), 0);
	assert_int_equal(fcntl(ends[0], F_GETFD), FD_CLOEXEC);
	close_pair(ends);
	assert_int_equal(limpet_channel_adopt(ends[0]), -EBADF);
	assert_int_equal(limpet_channel_adopt(-1), -EBADF);
	assert_int_equal(limpet_channel_adopt(file), -ENOTSOCK);
	close(file);
	make_pair(SOCK_STREAM, ends);
	assert_int_equal(limpet_channel_adopt(ends[0]), -EPROTOTYPE);
	close_pair(ends);
}

static void test_receive(void **state)
{
	struct front front;
	int fd = front_pair(&front), passed = open("/dev/null", O_RDONLY);

	assert_int_equal(limpet_channel_receive(fd, bytes, sizeof(bytes), &received), -EAGAIN);
	front_says(&front, "plain");
	assert_int_equal(limpet_channel_receive(fd, bytes, sizeof(bytes), &received), 5);
	assert_int_equal(received.fd, -1);
	front_passes(&front, "one", passed, 1);
	assert_int_equal(limpet_channel_receive(fd, bytes, sizeof(bytes), &received), 3);
	assert_true(received.fd >= 0 && !received.no_room && !received.cut);
	assert_int_equal(fcntl(received.fd, F_GETFD), FD_CLOEXEC);
	close(received.fd);
	front_close_channel(&front);
	assert_int_equal(limpet_channel_receive(fd, bytes, sizeof(bytes), &received), 0);
	assert_int_equal(limpet_channel_send(fd, "x", 1), -EPIPE);
	close(fd);
	close(passed);
}

static void test_no_fd_is_left_open(void **state)
{
	struct front front;
	int fd = front_pair(&front), passed = open("/dev/null", O_RDONLY);
	unsigned before = open_fds();

	front_passes(&front, "three", passed, 3);
	assert_int_equal(limpet_channel_receive(fd, bytes, sizeof(bytes), &received), 5);
	assert_int_equal(received.fd, -1);
	assert_int_equal(open_fds(), before);
	front_passes(&front, "", passed, 1);
	assert_int_equal(limpet_channel_receive(fd, bytes, sizeof(bytes), &received), 0);
	assert_int_equal(received.fd, -1);
	assert_int_equal(open_fds(), before);
	close(fd);
	close(passed);
	front_close(&front);
}

static void test_longer_than_the_buffer(void **state)
{
	struct front front;
	int fd = front_pair(&front);

	front_says(&front, "12345678");
	assert_int_equal(limpet_channel_receive(fd, bytes, 7, &received), 7);
	assert_true(received.cut);
	front_says(&front, "12345678");
	assert_int_equal(limpet_channel_receive(fd, bytes, 8, &received), 8);
	assert_false(received.cut);
	close(fd);
	front_close(&front);
}

static void test_no_room(void **state)
{
	struct front front;
	struct rlimit limit, none;
	int fd;

	needs_the_kernels_limit_of_files();
	fd = front_pair(&front);
	front_passes(&front, "one", 0, 1);
	getrlimit(RLIMIT_NOFILE, &limit);
	none = limit;
	none.rlim_cur = 0;
	setrlimit(RLIMIT_NOFILE, &none);
	assert_int_equal(limpet_channel_receive(fd, bytes, sizeof(bytes), &received), 3);
	setrlimit(RLIMIT_NOFILE, &limit);
	assert_int_equal(received.fd, -1);
	assert_true(received.no_room);
	close(fd);
	front_close(&front);
}

static void test_a_front_that_does_not_read(void **state)
{
	struct front front;
	int fd = front_pair(&front);

	front_stops_reading(&front, fd);
	assert_int_equal(limpet_channel_send(fd, "x", 1), -EAGAIN);
	front_reads(&front);
	assert_int_equal(limpet_channel_send(fd, "x", 1), 0);
	front_hears(&front, "x");
	close(fd);
	front_close(&front);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_connect),
	    cmocka_unit_test(test_a_full_queue_is_not_waited_for),
	    cmocka_unit_test(test_adopt),
	    cmocka_unit_test(test_receive),
	    cmocka_unit_test(test_no_fd_is_left_open),
	    cmocka_unit_test(test_longer_than_the_buffer),
	    cmocka_unit_test(test_no_room),
	    cmocka_unit_test(test_a_front_that_does_not_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
