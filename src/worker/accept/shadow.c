/* The shadow of a listening socket: a TCP socket that is never bound, which stands in for the program's own, now the front's,
 * where options are asked for and set. Programs copy options from the listening to the accepted socket (Erlang does), so
 * the answers must be those that the program would get alone. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "worker/accept/shim.h"

#define TEXT_MAX 64

/* What a socket that was just made may have otherwise. Their values are numbers, a struct linger or a short text. */
static const struct {
	int level, name;
	bool doubled; /* the kernel doubles what is set */
} options[] = {
    {SOL_SOCKET, SO_REUSEADDR, false},
    {SOL_SOCKET, SO_REUSEPORT, false},
    {SOL_SOCKET, SO_KEEPALIVE, false},
    {SOL_SOCKET, SO_LINGER, false},
    {SOL_SOCKET, SO_OOBINLINE, false},
    {SOL_SOCKET, SO_RCVLOWAT, false},
    {SOL_SOCKET, SO_RCVBUF, true},
    {SOL_SOCKET, SO_SNDBUF, true},
    {IPPROTO_TCP, TCP_NODELAY, false},
    {IPPROTO_TCP, TCP_MAXSEG, false},
    {IPPROTO_TCP, TCP_CORK, false},
    {IPPROTO_TCP, TCP_KEEPIDLE, false},
    {IPPROTO_TCP, TCP_KEEPINTVL, false},
    {IPPROTO_TCP, TCP_KEEPCNT, false},
    {IPPROTO_TCP, TCP_SYNCNT, false},
    {IPPROTO_TCP, TCP_LINGER2, false},
    {IPPROTO_TCP, TCP_DEFER_ACCEPT, false},
    {IPPROTO_TCP, TCP_WINDOW_CLAMP, false},
    {IPPROTO_TCP, TCP_QUICKACK, false},
    {IPPROTO_TCP, TCP_CONGESTION, false},
    {IPPROTO_TCP, TCP_USER_TIMEOUT, false},
    {IPPROTO_TCP, TCP_FASTOPEN, false},
    {IPPROTO_TCP, TCP_NOTSENT_LOWAT, false},
    {IPPROTO_IP, IP_TOS, false},
    {IPPROTO_IP, IP_TTL, false},
    {IPPROTO_IP, IP_MTU_DISCOVER, false},
    {IPPROTO_IPV6, IPV6_V6ONLY, false},
    {IPPROTO_IPV6, IPV6_UNICAST_HOPS, false},
    {IPPROTO_IPV6, IPV6_TCLASS, false},
};

union value {
	int number;
	char bytes[TEXT_MAX];
};

static bool differ(const union value *one, const union value *other, socklen_t length)
{
	for (socklen_t i = 0; i < length; i++)
		if (one->bytes[i] != other->bytes[i])
			return true;
	return false;
}

/* Only what differs: to set a buffer's size, for one, stops the kernel from adapting it. */
static void copy_option(int from, int to, size_t i)
{
	union value theirs = {0}, ours = {0};
	socklen_t length = sizeof(theirs), ours_length = sizeof(ours);

	if (real()->getsockopt(from, options[i].level, options[i].name, &theirs, &length) < 0 ||
	    real()->getsockopt(to, options[i].level, options[i].name, &ours, &ours_length) < 0 ||
	    (length == ours_length && !differ(&theirs, &ours, length)))
		return;
	if (options[i].doubled)
		theirs.number /= 2;
	real()->setsockopt(to, options[i].level, options[i].name, &theirs, length);
}

int shadow_new(int family)
{
	return socket(family, SOCK_STREAM | SOCK_CLOEXEC, family == AF_UNIX ? 0 : IPPROTO_TCP);
}

int shadow_of(int own)
{
	int family = 0, before = errno, shadow;
	socklen_t length = sizeof(family);

	real()->getsockopt(own, SOL_SOCKET, SO_DOMAIN, &family, &length);
	shadow = shadow_new(family);
	for (size_t i = 0; shadow >= 0 && i < sizeof(options) / sizeof(options[0]); i++)
		copy_option(own, shadow, i);
	errno = before;
	return shadow;
}
