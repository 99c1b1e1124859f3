/* Tests of src/base/fd_passing.c. */
#include "testing.h"

#include <errno.h>
#include <sys/resource.h>
#include <sys/uio.h>

#include "base/fd_passing.h"

static const int types[] = {SOCK_STREAM, SOCK_SEQPACKET};

static int some_file(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

/* A message with many fds, as only a worker that means harm sends it. */
static void send_many(int channel, const char *bytes, int count)
{
	char space[CMSG_SPACE(253 * sizeof(int))] = {0};
	struct iovec iov = {(void *)bytes, strlen(bytes)};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = space};
	struct cmsghdr *header = (struct cmsghdr *)space;
	int fd = some_file();

	message.msg_controllen = CMSG_SPACE((size_t)count * sizeof(int));
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN((size_t)count * sizeof(int));
	for (int i = 0; i < count; i++)
		memcpy(CMSG_DATA(header) + (size_t)i * sizeof(int), &fd, sizeof(fd));
	assert_int_equal(sendmsg(channel, &message, 0), iov.iov_len);
	close(fd);
}

static void passes_bytes_and_a_file(void **state)
{
	for (size_t i = 0; i < COUNT(types); i++) {
		unsigned before = open_fds();
		int ends[2], pipe_ends[2], fd = -2, truncated = -1;
		char bytes[16];

		make_pair(types[i], ends);
		assert_int_equal(pipe2(pipe_ends, O_CLOEXEC), 0);
		assert_int_equal(fd_send(ends[0], "hello", 5, pipe_ends[1]), 5);
		assert_int_equal(fcntl(pipe_ends[1], F_GETFD), FD_CLOEXEC); /* borrowed: still open */
		close(pipe_ends[1]);
		assert_int_equal(fd_receive(ends[1], bytes, sizeof(bytes), &fd, &truncated), 5);
		assert_memory_equal(bytes, "hello", 5);
		assert_false(truncated);
		assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
		assert_int_equal(write(fd, "x", 1), 1);
		assert_int_equal(read(pipe_ends[0], bytes, 1), 1);
		assert_int_equal(fd_send(ends[0], "no file", 7, -1), 7);
		close(fd);
		assert_int_equal(fd_receive(ends[1], bytes, sizeof(bytes), &fd, NULL), 7);
		assert_int_equal(fd, -1);
		close(pipe_ends[0]);
		close_pair(ends);
		assert_int_equal(open_fds(), before);
	}
}

static void closes_files_beyond_the_first(void **state)
{
	for (size_t i = 0; i < COUNT(types); i++) {
		unsigned before = open_fds();
		int ends[2], fd, truncated;
		char bytes[16];

		make_pair(types[i], ends);
		send_many(ends[0], "many", 253);
		assert_int_equal(fd_receive(ends[1], bytes, sizeof(bytes), &fd, &truncated), 4);
		assert_true(fd >= 0);
		assert_false(truncated);
		close(fd);
		assert_int_equal(open_fds(), before + 2);
		close_pair(ends);
	}
}

static void drops_files_that_nobody_wants(void **state)
{
	for (size_t i = 0; i < COUNT(types); i++) {
		unsigned before;
		int ends[2], truncated;
		char bytes[16];

		make_pair(types[i], ends);
		before = open_fds();
		send_many(ends[0], "one", 1);
		assert_int_equal(fd_receive(ends[1], bytes, sizeof(bytes), NULL, &truncated), 3);
		assert_false(truncated); /* the bytes are whole */
		send_many(ends[0], "many", 253);
		assert_int_equal(fd_receive(ends[1], bytes, sizeof(bytes), NULL, NULL), 4);
		assert_int_equal(open_fds(), before);
		close_pair(ends);
	}
}

static void tells_of_a_datagram_that_does_not_fit(void **state)
{
	int ends[2], fd, file = some_file(), truncated = 0;
	char bytes[4];

	make_pair(SOCK_SEQPACKET, ends);
	fd_send(ends[0], "too long", 8, file);
	assert_int_equal(fd_receive(ends[1], bytes, sizeof(bytes), &fd, &truncated), 4);
	assert_true(truncated);
	assert_true(fd >= 0); /* the caller's to close */
	close(fd);
	fd_send(ends[0], "fits", 4, -1);
	assert_int_equal(fd_receive(ends[1], bytes, sizeof(bytes), &fd, &truncated), 4);
	assert_false(truncated);
	close(file);
	close_pair(ends);
}

static void tells_of_a_file_that_was_lost(void **state)
{
	struct rlimit before, none;
	int ends[2], fd = -2, file, truncated = 0;
	char bytes[8];
	ssize_t received;

	needs_the_kernels_limit_of_files();
	file = some_file();
	make_pair(SOCK_SEQPACKET, ends);
	fd_send(ends[0], "a", 1, file);
	getrlimit(RLIMIT_NOFILE, &before);
	none = before;
	none.rlim_cur = 0;
	setrlimit(RLIMIT_NOFILE, &none);
	received = fd_receive(ends[1], bytes, sizeof(bytes), &fd, &truncated);
	setrlimit(RLIMIT_NOFILE, &before);
	assert_int_equal(received, 1);
	assert_int_equal(fd, -1);
	assert_true(truncated);
	close(file);
	close_pair(ends);
}

static void never_blocks_and_raises_no_signal(void **state)
{
	for (size_t i = 0; i < COUNT(types); i++) {
		char bytes[4096] = {0};
		int ends[2], fd = -2;
		ssize_t sent;

		assert_int_equal(socketpair(AF_UNIX, types[i] | SOCK_CLOEXEC, 0, ends), 0); /* blocking */
		assert_int_equal(fd_receive(ends[1], bytes, sizeof(bytes), &fd, NULL), -EAGAIN);
		assert_int_equal(fd, -1);
		while ((sent = fd_send(ends[0], bytes, sizeof(bytes), -1)) > 0)
			;
		assert_int_equal(sent, -EAGAIN);
		while (fd_receive(ends[1], bytes, sizeof(bytes), NULL, NULL) > 0)
			;
		close(ends[1]);
		sent = fd_send(ends[0], "x", 1, -1);
		assert_true(sent == -EPIPE || sent == -ECONNRESET);
		assert_int_equal(fd_receive(ends[0], bytes, sizeof(bytes), &fd, NULL), 0);
		assert_int_equal(fd_receive(-1, bytes, sizeof(bytes), &fd, NULL), -EBADF);
		assert_int_equal(fd_send(ends[0], "x", 1, 1 << 20), -EBADF);
		close(ends[0]);
	}
}

static void a_cut_message_on_a_stream_carries_the_file_first(void **state)
{
	static char bytes[1 << 20];
	int ends[2], fd, file = some_file();
	ssize_t sent, received;

	make_pair(SOCK_STREAM, ends);
	sent = fd_send(ends[0], bytes, sizeof(bytes), file);
	assert_in_range(sent, 1, sizeof(bytes) - 1);
	received = fd_receive(ends[1], bytes, 1, &fd, NULL);
	assert_int_equal(received, 1);
	assert_true(fd >= 0);
	close(fd);
	while ((received = fd_receive(ends[1], bytes, sizeof(bytes), &fd, NULL)) > 0)
		assert_int_equal(fd, -1);
	close(file);
	close_pair(ends);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(passes_bytes_and_a_file),
	    cmocka_unit_test(closes_files_beyond_the_first),
	    cmocka_unit_test(drops_files_that_nobody_wants),
	    cmocka_unit_test(tells_of_a_datagram_that_does_not_fit),
	    cmocka_unit_test(tells_of_a_file_that_was_lost),
	    cmocka_unit_test(never_blocks_and_raises_no_signal),
	    cmocka_unit_test(a_cut_message_on_a_stream_carries_the_file_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
