/* Whom getpeername() names for connections that came through a proxy: the client, as its PROXY header said. By the number of the
 * fd, and checked by the socket's cookie: an fd that was closed unseen and is something else now has another one. What is
 * executed, or gets the socket passed, sees the proxy, and so does who asks for a copy of the fd. */
#include <errno.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "worker/accept/shim.h"

#define PEERS_MAX 65536

struct peer {
	atomic_ullong cookie; /* 0: none. Written last, so that who sees it sees the address */
	union accept_address address;
};

/* Made when it is first needed. A page that nobody has written to takes no memory. */
static _Atomic(struct peer *) peers;

static struct peer *table(void)
{
	struct peer *found = atomic_load(&peers), *made;

	if (found)
		return found;
	made = mmap(NULL, PEERS_MAX * sizeof(*made), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (made == MAP_FAILED)
		return NULL;
	if (atomic_compare_exchange_strong(&peers, &found, made))
		return made;
	munmap(made, PEERS_MAX * sizeof(*made)); /* another thread was here */
	return found;
}

static unsigned long long cookie_of(int fd)
{
	unsigned long long cookie = 0;
	socklen_t length = sizeof(cookie);
	int before = errno;

	if (real()->getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &length) < 0)
		errno = before;
	return cookie;
}

void peer_note(int fd, const union accept_address *address)
{
	int domain = 0, before = errno;
	socklen_t length = sizeof(domain);
	struct peer *all = fd < PEERS_MAX ? table() : NULL;

	if (!all)
		return;
	atomic_store(&all[fd].cookie, 0);
	if (real()->getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0 && accept_address_fit(&all[fd].address, domain, address))
		atomic_store(&all[fd].cookie, cookie_of(fd));
	errno = before;
}

bool peer_find(int fd, union accept_address *address, socklen_t *length)
{
	struct peer *all = atomic_load(&peers);
	unsigned long long cookie;

	if (!all || fd < 0 || fd >= PEERS_MAX || !(cookie = atomic_load(&all[fd].cookie)) || cookie_of(fd) != cookie)
		return false;
	*address = all[fd].address;
	*length = address->sa.sa_family == AF_INET ? sizeof(address->in) : sizeof(address->in6);
	return true;
}

void peer_forget(int fd)
{
	struct peer *all = atomic_load(&peers);

	if (all && fd >= 0 && fd < PEERS_MAX && atomic_load(&all[fd].cookie))
		atomic_store(&all[fd].cookie, 0);
}
