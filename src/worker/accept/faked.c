/* What a swapped socket answers: it is to look like the TCP socket that the program made. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "worker/accept/shim.h"

void copy_address(const void *from, socklen_t from_length, struct sockaddr *address, socklen_t *length)
{
	memcpy(address, from, from_length < *length ? from_length : *length);
	*length = from_length;
}

int faked_sockname(const struct swapped *info, struct sockaddr *address, socklen_t *length)
{
	copy_address(&info->address, info->length, address, length);
	return 0;
}

static void put(int answer, void *value, socklen_t *length)
{
	if (*length > sizeof(answer))
		*length = sizeof(answer);
	memcpy(value, &answer, *length);
}

static bool is_of_tcp(int level)
{
	return level == IPPROTO_TCP || level == IPPROTO_IP || level == IPPROTO_IPV6;
}

/* Answered in its place, also where a Unix socket has such an option. */
static bool is_faked(int level, int name)
{
	if (level != SOL_SOCKET)
		return is_of_tcp(level);
	switch (name) {
	case SO_TYPE:
	case SO_DOMAIN:
	case SO_PROTOCOL:
	case SO_ACCEPTCONN:
	case SO_REUSEADDR:
	case SO_REUSEPORT:
	case SO_KEEPALIVE:
	case SO_LINGER:
	case SO_RCVBUF:
	case SO_SNDBUF:
		return true;
	default:
		return false;
	}
}

bool faked_getsockopt(int fd, int level, int name, void *value, socklen_t *length, int *result)
{
	struct swapped info;
	int own, made = -1;

	if (!is_faked(level, name) || !value || !length)
		return false;
	if (!swapped_is(fd, &info) && (level != SOL_SOCKET || !given_take_on(fd) || !swapped_is(fd, &info)))
		return false;
	*result = 0;
	if (level == SOL_SOCKET && name == SO_ACCEPTCONN) {
		put(swapped_listens(fd), value, length);
		return true;
	}
	own = kept_own(fd);
	if (own < 0) {
		if (level == IPPROTO_IPV6 && name == IPV6_V6ONLY) {
			put(info.ipv6_only, value, length);
			return true;
		}
		own = made = shadow_new(info.address.sa.sa_family);
	}
	*result = real()->getsockopt(own, level, name, value, length);
	if (made >= 0)
		real()->close(made);
	return true;
}

bool faked_setsockopt(int fd, int level, int name, const void *value, socklen_t length, int *result)
{
	int own;

	if ((level != SOL_SOCKET && !is_of_tcp(level)) || !swapped_known(fd))
		return false;
	own = kept_own(fd);
	*result = own >= 0 ? real()->setsockopt(own, level, name, value, length) : 0;
	if (*result == 0 && (own < 0 || !kept_is_own(own)))
		listening_option(fd, level, name, value, length);
	/* accept() itself is to end in this time. */
	if (level == SOL_SOCKET && name == SO_RCVTIMEO)
		*result = real()->setsockopt(fd, level, name, value, length);
	return true;
}
