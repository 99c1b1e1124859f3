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

bool faked_getsockopt(int fd, int level, int name, void *value, socklen_t *length, int *result)
{
	bool ours =
	    is_of_tcp(level) || (level == SOL_SOCKET && (name == SO_TYPE || name == SO_DOMAIN ||
	                                                    name == SO_PROTOCOL || name == SO_ACCEPTCONN));
	struct swapped info;
	int own;

	if (!ours || !value || !length)
		return false;
	if (!swapped_is(fd, &info) && (level != SOL_SOCKET || !given_take_on(fd) || !swapped_is(fd, &info)))
		return false;
	own = kept_own(fd);
	*result = 0;
	if (own >= 0 && name != SO_ACCEPTCONN)
		*result = real()->getsockopt(own, level, name, value, length);
	else if (level == SOL_SOCKET)
		put(name == SO_TYPE       ? SOCK_STREAM
		    : name == SO_DOMAIN   ? info.address.sa.sa_family
		    : name == SO_PROTOCOL ? (info.address.sa.sa_family == AF_UNIX ? 0 : IPPROTO_TCP)
		                          : swapped_listens(fd),
		    value, length);
	else if (level == IPPROTO_IPV6 && name == IPV6_V6ONLY)
		put(info.ipv6_only, value, length);
	else
		memset(value, 0, *length);
	return true;
}

/* Until it listens the program's own socket is there. Afterwards it is the front's: what is set then is lost.
 */
bool faked_setsockopt(int fd, int level, int name, const void *value, socklen_t length, int *result)
{
	int own;

	if (level != SOL_SOCKET && !is_of_tcp(level))
		return false;
	if (!swapped_known(fd))
		return false;
	own = kept_own(fd);
	*result = own >= 0 ? real()->setsockopt(own, level, name, value, length) : 0;
	return own >= 0 || level != SOL_SOCKET;
}
