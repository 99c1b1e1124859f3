/* Two ends of a TCP connection over loopback. */
#ifndef LIMPET_TESTS_UNIT_KERNEL_TCP_PAIR_H
#define LIMPET_TESTS_UNIT_KERNEL_TCP_PAIR_H

#include "testing.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>

static inline int tcp_listen(struct sockaddr_in *address)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t length = sizeof(*address);

	*address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)address, sizeof(*address)), 0);
	assert_int_equal(listen(fd, 64), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)address, &length), 0);
	return fd;
}

static inline int tcp_connect(const struct sockaddr_in *address)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)address, sizeof(*address)), 0);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

/* ends[0] the client's, ends[1] the server's. */
static inline void tcp_pair(int ends[2])
{
	struct sockaddr_in address;
	int listener = tcp_listen(&address);

	ends[0] = tcp_connect(&address);
	ends[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	assert_true(ends[1] >= 0);
	close(listener);
}

/* Waits until so many bytes can be read, without reading any and without SO_RCVLOWAT. */
static inline void arrived(int fd, size_t bytes)
{
	static char buffer[65536];
	ssize_t length;

	do
		length = recv(fd, buffer, sizeof(buffer), MSG_PEEK | MSG_DONTWAIT);
	while (length < (ssize_t)bytes);
	assert_int_equal(length, bytes);
}

static inline void set_low_water(int fd, int bytes)
{
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof(bytes)), 0);
}

static inline int epoll_of(int fd, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.fd = fd};
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	assert_true(epoll >= 0);
	assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), 0);
	return epoll;
}

/* The events that are there now, or come within `milliseconds`; 0: none. */
static inline uint32_t events_of(int epoll, int milliseconds)
{
	struct epoll_event event;
	int count = epoll_wait(epoll, &event, 1, milliseconds);

	assert_true(count >= 0);
	return count ? event.events : 0;
}

#endif
