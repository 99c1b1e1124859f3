/* What is written on a swapped socket. Its name, an abstract one: "limpet accept", a random number that makes
 * it the only one, flags, and the address. The mark "listening" is its SO_PRIORITY. */
#include <errno.h>
#include <stddef.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/random.h>
#include <sys/un.h>

#include "worker/accept/shim.h"

#define MAGIC "limpet accept"
/* Numbers above this are asked every time. */
#define KNOWN_MAX 65536

struct name {
	sa_family_t family;
	char zero;
	char magic[sizeof(MAGIC) - 1];
	unsigned char random[8];
	unsigned char flags;
	unsigned char length;
	unsigned char address[sizeof(union accept_address)];
};

enum { FLAG_IPV6_ONLY = 1, FLAG_GIVEN = 2 };

static atomic_uchar known[KNOWN_MAX];

bool swapped_is(int fd, struct swapped *info)
{
	union {
		struct sockaddr sa;
		struct sockaddr_un un;
		struct name name;
	} found;
	socklen_t length = sizeof(found.un);
	int before = errno;

	if (real()->getsockname(fd, &found.sa, &length) < 0) {
		errno = before;
		return false;
	}
	if (found.sa.sa_family != AF_UNIX || length != sizeof(found.name) || found.name.zero != '\0' ||
	    memcmp(found.name.magic, MAGIC, sizeof(found.name.magic)) != 0 ||
	    found.name.length > sizeof(found.name.address))
		return false;
	if (info) {
		memcpy(&info->address, found.name.address, sizeof(found.name.address));
		info->length = found.name.length;
		info->ipv6_only = found.name.flags & FLAG_IPV6_ONLY;
		info->given = found.name.flags & FLAG_GIVEN;
		memcpy(&info->identity, found.name.random, sizeof(info->identity));
	}
	return true;
}

bool swapped_known(int fd)
{
	if (fd >= 0 && fd < KNOWN_MAX && !atomic_load_explicit(&known[fd], memory_order_relaxed))
		return false;
	return swapped_is(fd, NULL);
}

static void set_known(int fd, unsigned char value)
{
	/* Only where it changes: a page that nobody has written to takes no memory. */
	if (fd >= 0 && fd < KNOWN_MAX && atomic_load_explicit(&known[fd], memory_order_relaxed) != value)
		atomic_store_explicit(&known[fd], value, memory_order_relaxed);
}

void swapped_forget(int fd)
{
	set_known(fd, 0);
}

void swapped_remember(int fd)
{
	set_known(fd, 1);
}

int swapped_name(int near, const struct swapped *info)
{
	struct name name = {.family = AF_UNIX,
	    .flags = (info->ipv6_only ? FLAG_IPV6_ONLY : 0) | (info->given ? FLAG_GIVEN : 0),
	    .length = (unsigned char)info->length};

	memcpy(name.magic, MAGIC, sizeof(name.magic));
	memcpy(name.address, &info->address, sizeof(info->address));
	if (getrandom(name.random, sizeof(name.random), GRND_NONBLOCK) < 0)
		memcpy(name.random, &(void *){&name}, sizeof(void *));
	return real()->bind(near, (struct sockaddr *)&name, sizeof(name)) < 0 ? -errno : 0;
}

int swapped_mark(int fd)
{
	int value = 0;
	socklen_t length = sizeof(value);

	return real()->getsockopt(fd, SOL_SOCKET, SO_PRIORITY, &value, &length) == 0 ? value : 0;
}

void swapped_set_mark(int fd, int mark)
{
	real()->setsockopt(fd, SOL_SOCKET, SO_PRIORITY, &mark, sizeof(mark));
}

bool swapped_listens(int fd)
{
	return swapped_mark(fd) == ACCEPT_MARK_SEEN;
}

void swapped_set_listens(int fd)
{
	swapped_set_mark(fd, ACCEPT_MARK_SEEN);
}
