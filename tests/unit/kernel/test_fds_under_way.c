/* Files in messages of Unix sockets: what comes together, what is lost, and how many may be under way. */
#include "testing.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

static int some_file(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static ssize_t send_fd(int channel, const char *bytes, int fd)
{
	char space[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec iov = {(void *)bytes, strlen(bytes)};
	struct msghdr message = {
	    .msg_iov = &iov, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof(space)};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &fd, sizeof(fd));
	return sendmsg(channel, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Returns the bytes; *count: how many fds came, which are closed. */
static ssize_t receive_fds(int channel, char *bytes, size_t size, unsigned *count, int *flags)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(16 * sizeof(int))];
	} control;
	struct iovec iov = {bytes, size};
	struct msghdr message = {
	    .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	ssize_t length = recvmsg(channel, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	*count = 0;
	*flags = message.msg_flags;
	for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); length >= 0 && header;
	     header = CMSG_NXTHDR(&message, header)) {
		for (size_t at = CMSG_LEN(0); at + sizeof(int) <= header->cmsg_len; at += sizeof(int)) {
			int fd;

			memcpy(&fd, (char *)header + at, sizeof(fd));
			close(fd);
			++*count;
		}
	}
	return length;
}

/* A recvmsg() ends behind the message that carried an fd, so no fd is attributed to the wrong bytes. */
static void a_stream_gives_one_file_a_recvmsg(void **state)
{
	int ends[2], fd = some_file(), flags;
	unsigned count;
	char bytes[64];

	make_pair(SOCK_STREAM, ends);
	send(ends[0], "plain ", 6, 0);
	send_fd(ends[0], "one ", fd);
	send_fd(ends[0], "two ", fd);
	send(ends[0], "plain", 5, 0);
	assert_int_equal(receive_fds(ends[1], bytes, sizeof(bytes), &count, &flags), 6 + 4);
	assert_memory_equal(bytes, "plain one ", 10);
	assert_int_equal(count, 1);
	assert_int_equal(receive_fds(ends[1], bytes, sizeof(bytes), &count, &flags), 4);
	assert_memory_equal(bytes, "two ", 4);
	assert_int_equal(count, 1);
	assert_int_equal(receive_fds(ends[1], bytes, sizeof(bytes), &count, &flags), 5);
	assert_int_equal(count, 0);
	close(fd);
	close_pair(ends);
}

static void a_datagram_at_the_limit_of_files_loses_its_file(void **state)
{
	struct rlimit before, none;
	int ends[2], fd = some_file(), flags;
	unsigned count;
	ssize_t length;
	char bytes[8];

	make_pair(SOCK_SEQPACKET, ends);
	send_fd(ends[0], "one", fd);
	send_fd(ends[0], "two", fd);
	getrlimit(RLIMIT_NOFILE, &before);
	none = before;
	none.rlim_cur = 0;
	setrlimit(RLIMIT_NOFILE, &none);
	length = receive_fds(ends[1], bytes, sizeof(bytes), &count, &flags);
	setrlimit(RLIMIT_NOFILE, &before);
	assert_int_equal(length, 3);
	assert_int_equal(count, 0);
	assert_true(flags & MSG_CTRUNC);
	/* It is lost for good; the next is whole again. */
	assert_int_equal(receive_fds(ends[1], bytes, sizeof(bytes), &count, &flags), 3);
	assert_memory_equal(bytes, "two", 3);
	assert_int_equal(count, 1);
	assert_false(flags & MSG_CTRUNC);
	close(fd);
	close_pair(ends);
}

/* A worker that dies with files in its channel never read them: the socket of a client stays the front's. */
static void files_that_were_not_received_go_with_the_channel(void **state)
{
	int ends[2], client[2];
	char byte;

	make_pair(SOCK_SEQPACKET, ends);
	make_pair(SOCK_STREAM, client);
	assert_int_equal(send_fd(ends[0], "x", client[1]), 1);
	close(ends[1]);
	assert_int_equal(recv(client[0], &byte, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN); /* not the end: our copy of the other end lives */
	close(client[1]);
	assert_int_equal(recv(client[0], &byte, 1, MSG_DONTWAIT), 0);
	close(client[0]);
	close(ends[0]);
}

/* Gives up what would free the process of the limit. True: done, or it had none. */
static int drop_capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2] = {{0}};

	return syscall(SYS_capset, &header, none) == 0;
}

/* Sends copies of a file until it is refused; returns 0 if that happened as the design expects. */
static int fill(void)
{
	struct rlimit limit = {64, 64};
	int sent = 0, fd, first[2] = {-1, -1};

	if (!drop_capabilities() || setrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 1;
	fd = open("/dev/null", O_RDONLY);
	for (int i = 0; i < 20; i++) {
		int ends[2], in_this = 0;

		if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) < 0)
			return 2;
		if (first[0] < 0)
			memcpy(first, ends, sizeof(first));
		while (in_this < 8 && send_fd(ends[0], "x", fd) == 1)
			in_this++;
		sent += in_this;
		if (in_this < 8)
			break;
	}
	if (errno != ETOOMANYREFS || sent < 32 || sent > 66)
		return 3;
	/* No event tells when it is over: but a message that is received makes room. */
	for (int i = 0; i < 8; i++) {
		unsigned count;
		char byte;
		int flags;

		if (receive_fds(first[1], &byte, 1, &count, &flags) != 1)
			return 4;
	}
	return send_fd(first[0], "x", fd) == 1 ? 0 : 5;
}

static void an_unprivileged_user_has_a_limit_of_files_under_way(void **state)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		/* The limit counts all of a user's: a user of its own, where that can be had. */
		if (geteuid() == 0 && syscall(SYS_setresuid, 61234, 61234, 61234) < 0)
			_exit(6);
		_exit(fill());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_stream_gives_one_file_a_recvmsg),
	    cmocka_unit_test(a_datagram_at_the_limit_of_files_loses_its_file),
	    cmocka_unit_test(files_that_were_not_received_go_with_the_channel),
	    cmocka_unit_test(an_unprivileged_user_has_a_limit_of_files_under_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
