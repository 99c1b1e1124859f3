/* Takes connections out of the program's epoll sets when it closes them. The kernel does so by itself when
 * the last copy of an open file is closed; but for a moment after accept() the front has a copy, too, until
 * it has read the acknowledgement. An entry that outlives its fd for as long would report what the client
 * does next with a pointer that the program has freed since.
 *
 * By the number of the fd, as the kernel's entries are. Only a guess of which numbers are connections is
 * inherited by fork(): what is in an epoll set belongs to the process that put it there, for parent and child
 * may share the set, and have the same numbers for the same files. A child of vfork() shares even this
 * memory, hence the look at the process.
 *
 * Called from close(), thus from signal handlers: atomic words, no locks, no allocation but one mmap(). What
 * is written here too late or too long costs an EPOLL_CTL_DEL that fails, so the order is: noted before it is
 * in a set, forgotten after. */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#include "worker/accept/shim.h"

/* Higher numbers are left to the program, as are sets with such. Linux has none unless fs.nr_open was raised.
 */
#define FDS (1 << 20)
#define IN_SEVERAL UINT32_MAX

/* Wiped by the kernel in a forked child. A page that nobody has written to takes no memory. */
struct sets {
	atomic_int process; /* whose it is; 0: nobody's yet */
	atomic_int highest_fd, highest_set;
	atomic_uint of[FDS];           /* the set that holds the fd, plus 1; 0: none */
	atomic_ullong known[FDS / 64]; /* a bit for each number that has been a set's */
};

static _Atomic(struct sets *) sets;
static atomic_uchar connection[FDS];

static bool is_connection(int fd)
{
	return fd >= 0 && fd < FDS && atomic_load_explicit(&connection[fd], memory_order_relaxed);
}

static void set_connection(int fd, unsigned char value)
{
	if (fd >= 0 && fd < FDS && atomic_load_explicit(&connection[fd], memory_order_relaxed) != value)
		atomic_store_explicit(&connection[fd], value, memory_order_relaxed);
}

static void raise_to(atomic_int *highest, int fd)
{
	int before = atomic_load(highest);

	while (before < fd && !atomic_compare_exchange_weak(highest, &before, fd))
		;
}

/* Made when it is first needed. NULL: no memory. */
static struct sets *table(void)
{
	struct sets *found = atomic_load(&sets), *made;
	int before;

	if (found)
		return found;
	before = errno;
	made = mmap(
	    NULL, sizeof(*made), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (made != MAP_FAILED && madvise(made, sizeof(*made), MADV_WIPEONFORK) == 0 &&
	    atomic_compare_exchange_strong(&sets, &found, made))
		return made;
	if (made != MAP_FAILED) /* or another thread was here */
		munmap(made, sizeof(*made));
	errno = before;
	return found;
}

void polled_accepted(int fd)
{
	struct sets *all = atomic_load(&sets);

	set_connection(fd, 1);
	if (all && fd < FDS && atomic_load(&all->of[fd])) /* it was closed unseen */
		atomic_store(&all->of[fd], 0);
}

void polled_copied(int from, int to)
{
	if (is_connection(from))
		set_connection(to, 1);
}

void polled_add(int set, int fd)
{
	struct sets *all;
	unsigned none = 0;
	unsigned long long bit = 1ULL << (set & 63);

	if (!is_connection(fd) || set < 0 || set >= FDS || !(all = table()))
		return;
	if (!atomic_load(&all->process))
		atomic_store(&all->process, getpid());
	if (!(atomic_load(&all->known[set / 64]) & bit))
		atomic_fetch_or(&all->known[set / 64], bit);
	raise_to(&all->highest_set, set);
	raise_to(&all->highest_fd, fd);
	if (!atomic_compare_exchange_strong(&all->of[fd], &none, (unsigned)set + 1) &&
	    none != (unsigned)set + 1)
		atomic_store(&all->of[fd], IN_SEVERAL);
}

void polled_taken_out(int set, int fd)
{
	struct sets *all = atomic_load(&sets);
	unsigned only = (unsigned)set + 1;

	if (all && is_connection(fd))
		atomic_compare_exchange_strong(&all->of[fd], &only, 0);
}

static void take_out_of_all(struct sets *all, int fd)
{
	int highest = atomic_load(&all->highest_set);

	for (int word = 0; word <= highest / 64; word++)
		for (unsigned long long bits = atomic_load(&all->known[word]); bits; bits &= bits - 1)
			real()->epoll_ctl(word * 64 + __builtin_ctzll(bits), EPOLL_CTL_DEL, fd, NULL);
}

static bool is_in_a_set(const struct sets *all, int fd)
{
	return all && is_connection(fd) && atomic_load(&all->of[fd]);
}

static bool is_of_this_process(const struct sets *all)
{
	return getpid() == atomic_load(&all->process);
}

void polled_close(int fd)
{
	struct sets *all = atomic_load(&sets);
	unsigned set;
	int before;

	if (!is_in_a_set(all, fd) || !is_of_this_process(all))
		return;
	before = errno;
	set = atomic_exchange(&all->of[fd], 0);
	set_connection(fd, 0);
	if (set == IN_SEVERAL || real()->epoll_ctl((int)set - 1, EPOLL_CTL_DEL, fd, NULL) < 0)
		take_out_of_all(all, fd);
	errno = before;
}

void polled_close_range(unsigned first, unsigned last)
{
	struct sets *all = atomic_load(&sets);
	unsigned highest;

	if (!all || !is_of_this_process(all))
		return;
	highest = (unsigned)atomic_load(&all->highest_fd);
	for (unsigned fd = first; fd <= last && fd <= highest; fd++)
		polled_close((int)fd);
}

void polled_replace(int from, int to)
{
	int before;

	if (from == to || !is_in_a_set(atomic_load(&sets), to))
		return;
	before = errno;
	if (fcntl(from, F_GETFD) >= 0) /* else it fails, and to stays what it is */
		polled_close(to);
	errno = before;
}
