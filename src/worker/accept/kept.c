/* What a process keeps of the sockets that it has swapped, by the inode of the near end. Its fds have high
 * numbers, out of the way of the program's. A forked child has a copy of the table and of the fds; what is
 * exec()ed has neither, and can do without.
 *
 * Entries are taken and left with one atomic word each: no lock that a fork() could leave locked. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

#include "worker/accept/shim.h"

#define ENTRIES 64

static const int lowest_numbers[] = {480, 200, 40, 0};

static struct {
	atomic_ullong inode; /* 0: free; 1: being filled */
	atomic_int own;
	int far;
} entries[ENTRIES];

static unsigned long long inode_of(int fd)
{
	struct stat status;

	return fstat(fd, &status) < 0 ? 0 : status.st_ino;
}

/* Moves it to a high number; the old one is closed. */
static int lift(int fd)
{
	int lifted = -1;

	for (size_t i = 0; lifted < 0 && i < sizeof(lowest_numbers) / sizeof(lowest_numbers[0]); i++)
		lifted = fcntl(fd, F_DUPFD_CLOEXEC, lowest_numbers[i]);
	if (lifted < 0)
		return fd;
	real()->close(fd);
	return lifted;
}

static void clear(size_t i)
{
	int own = atomic_exchange(&entries[i].own, -1);

	if (own >= 0)
		real()->close(own);
	real()->close(entries[i].far);
	atomic_store(&entries[i].inode, 0);
}

/* Closes what belongs to sockets that the program has closed: the far end sees it. */
static void sweep(void)
{
	for (size_t i = 0; i < ENTRIES; i++) {
		unsigned long long inode = atomic_load(&entries[i].inode);
		struct pollfd far = {.fd = entries[i].far};

		if (inode > 1 && poll(&far, 1, 0) == 1 && (far.revents & (POLLHUP | POLLNVAL)))
			clear(i);
	}
}

void kept_add(int near, int own, int far)
{
	sweep();
	for (size_t i = 0; i < ENTRIES; i++) {
		unsigned long long none = 0;

		if (!atomic_compare_exchange_strong(&entries[i].inode, &none, 1))
			continue;
		entries[i].far = lift(far);
		atomic_store(&entries[i].own, own < 0 ? -1 : lift(own));
		atomic_store(&entries[i].inode, inode_of(near));
		return;
	}
	real()->close(far);
	if (own >= 0)
		real()->close(own);
}

static int find(int near)
{
	unsigned long long inode = inode_of(near);

	for (int i = 0; inode > 1 && i < ENTRIES; i++)
		if (atomic_load(&entries[i].inode) == inode)
			return i;
	return -1;
}

int kept_own(int near)
{
	int before = errno, i = find(near);

	errno = before;
	return i < 0 ? -1 : atomic_load(&entries[i].own);
}

static void put_shadow(int i, int own)
{
	int shadow = shadow_of(own);

	if (shadow >= 0)
		shadow = lift(shadow);
	if (atomic_compare_exchange_strong(&entries[i].own, &own, shadow))
		real()->close(own);
	else if (shadow >= 0) /* another thread was here */
		real()->close(shadow);
}

void kept_give_own(int near)
{
	int i = find(near), own = i < 0 ? -1 : atomic_load(&entries[i].own);

	if (own >= 0)
		put_shadow(i, own);
}

bool kept_is_own(int own)
{
	union accept_address address = {.sa.sa_family = AF_UNSPEC};
	socklen_t length = sizeof(address);

	return real()->getsockname(own, &address.sa, &length) == 0 && address.in.sin_port != 0;
}

/* Whoever listens may be the child: a copy that the parent kept would hold the address open when the front has closed it. */
static void before_fork(void)
{
	for (int i = 0; i < ENTRIES; i++) {
		int own = atomic_load(&entries[i].own);

		if (atomic_load(&entries[i].inode) > 1 && own >= 0 && kept_is_own(own))
			put_shadow(i, own);
	}
}

__attribute__((constructor)) static void watch_forks(void)
{
	pthread_atfork(before_fork, NULL, NULL);
}

void kept_drop(int near)
{
	int i = find(near);

	if (i >= 0)
		clear((size_t)i);
}
