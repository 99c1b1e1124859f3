#include "front.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/un.h>

#define FILLING "{\"type\":\"filling\"}"

int front_pair(struct front *front)
{
	int ends[2];

	make_pair(SOCK_SEQPACKET, ends);
	*front = (struct front){.listening = -1, .channel = ends[0]};
	return ends[1];
}

void front_listen(struct front *front)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	static unsigned number;
	int length;

	*front = (struct front){.channel = -1};
	length = snprintf(front->name, sizeof(front->name), "@limpet-test-%d-%u", (int)getpid(), number++);
	memcpy(address.sun_path + 1, front->name + 1, (size_t)length - 1);
	front->listening = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_true(front->listening >= 0);
	assert_int_equal(bind(front->listening, (struct sockaddr *)&address,
	                     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)length)),
	    0);
	assert_int_equal(listen(front->listening, 8), 0);
}

void front_accept(struct front *front)
{
	assert_int_equal(front->channel, -1);
	front->channel = accept4(front->listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	assert_true(front->channel >= 0);
}

void front_close_channel(struct front *front)
{
	if (front->channel >= 0)
		close(front->channel);
	front->channel = -1;
}

void front_close(struct front *front)
{
	front_close_channel(front);
	if (front->listening >= 0)
		close(front->listening);
	front->listening = -1;
}

void front_sends(struct front *front, const void *bytes, size_t length)
{
	assert_int_equal(send(front->channel, bytes, length, MSG_NOSIGNAL), length);
}

void front_says(struct front *front, const char *text)
{
	front_sends(front, text, strlen(text));
}

void front_passes(struct front *front, const char *text, int fd, unsigned copies)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(8 * sizeof(int))];
	} control = {0};
	struct iovec iov = {.iov_base = (void *)text, .iov_len = strlen(text)};
	struct msghdr message = {.msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = control.space,
	    .msg_controllen = CMSG_SPACE(copies * sizeof(int))};

	control.header.cmsg_level = SOL_SOCKET;
	control.header.cmsg_type = SCM_RIGHTS;
	control.header.cmsg_len = CMSG_LEN(copies * sizeof(int));
	for (unsigned i = 0; i < copies; i++)
		memcpy(CMSG_DATA(&control.header) + i * sizeof(int), &fd, sizeof(int));
	assert_int_equal(sendmsg(front->channel, &message, MSG_NOSIGNAL), iov.iov_len);
}

int front_connects(struct front *front, unsigned id)
{
	char text[256];
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	snprintf(text, sizeof(text),
	    "{\"type\":\"connection\",\"id\":%u,\"listener\":\"web\",\"client\":\"203.0.113.9:51123\","
	    "\"key\":\"cookie\"}",
	    id);
	front_passes(front, text, ends[1], 1);
	close(ends[1]);
	return ends[0];
}

static bool is_filling(const char *bytes, ssize_t length)
{
	return length == sizeof(FILLING) - 1 && memcmp(bytes, FILLING, sizeof(FILLING) - 1) == 0;
}

static ssize_t hear(struct front *front, char *bytes, size_t size)
{
	ssize_t length;

	do
		length = recv(front->channel, bytes, size - 1, 0);
	while (is_filling(bytes, length));
	if (length >= 0)
		bytes[length] = '\0';
	return length;
}

void front_hears(struct front *front, const char *text)
{
	char bytes[8192];

	if (hear(front, bytes, sizeof(bytes)) < 0)
		fail_msg("the front hears nothing, but should hear %s", text);
	assert_string_equal(bytes, text);
}

void front_hears_nothing(struct front *front)
{
	char bytes[8192];

	if (hear(front, bytes, sizeof(bytes)) >= 0)
		fail_msg("the front should hear nothing, but hears %s", bytes);
	assert_int_equal(errno, EAGAIN);
}

void front_hears_end(struct front *front)
{
	front_hears(front, "");
}

void front_stops_reading(struct front *front, int worker)
{
	while (send(worker, FILLING, sizeof(FILLING) - 1, MSG_DONTWAIT) > 0)
		;
	assert_int_equal(errno, EAGAIN);
}

/* Leaves what is no filling, which comes behind it. */
void front_reads(struct front *front)
{
	char bytes[64];
	ssize_t length;

	while (
	    (length = recv(front->channel, bytes, sizeof(bytes), MSG_PEEK)) > 0 && is_filling(bytes, length))
		recv(front->channel, bytes, sizeof(bytes), 0);
}

void peer_hears(int peer, const char *text)
{
	char bytes[256] = "";

	assert_int_equal(recv(peer, bytes, sizeof(bytes) - 1, MSG_DONTWAIT), strlen(text));
	assert_string_equal(bytes, text);
}

void peer_is_closed(int peer)
{
	char byte;

	assert_int_equal(recv(peer, &byte, 1, MSG_DONTWAIT), 0);
	close(peer);
}

bool polls(int fd)
{
	struct pollfd polled = {.fd = fd, .events = POLLIN};

	return poll(&polled, 1, 0) > 0;
}
