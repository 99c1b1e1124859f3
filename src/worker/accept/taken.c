/* Memory of the front's, where it wants to read what was taken while it is busy, in place of messages. Each router has memory of its
 * own for each data socket; which of them a connection is to be noted in, its message says. */
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "worker/accept/shim.h"

/* So many are known; the next takes the place of the oldest. Its router is long gone, or the program has more listening sockets than
 * that: then messages have to do. */
#define MEMORIES_MAX 16

static struct {
	_Atomic uint32_t names[MEMORIES_MAX]; /* 0: none */
	char *_Atomic base;
	unsigned next;
	atomic_flag busy;
} memories = {.busy = ATOMIC_FLAG_INIT};

/* For each: whole pages. */
static size_t room(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (sizeof(struct accept_memory) + page - 1) / page * page;
}

/* The place stays mapped for ever: a thread that is late writes into memory that is there, if it is another's. */
static char *reserve(void)
{
	char *base = atomic_load(&memories.base);

	if (base)
		return base;
	base = mmap(NULL, MEMORIES_MAX * room(), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (base == MAP_FAILED)
		return NULL;
	atomic_store(&memories.base, base);
	return base;
}

static void map(uint32_t name, int fd)
{
	char *base = reserve(), *at;
	unsigned place = memories.next % MEMORIES_MAX;
	struct stat status;

	if (!base || fstat(fd, &status) < 0 || status.st_size < (off_t)sizeof(struct accept_memory))
		return;
	at = base + place * room();
	atomic_store(&memories.names[place], 0);
	if (mmap(at, sizeof(struct accept_memory), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
		return;
	atomic_store(&memories.names[place], name);
	memories.next++;
}

void taken_map(uint32_t name, int fd)
{
	/* Another thread does the same, or a signal's handler interrupts it: then messages have to do. */
	if (name && !atomic_flag_test_and_set(&memories.busy)) {
		map(name, fd);
		atomic_flag_clear(&memories.busy);
	}
	real()->close(fd);
}

/* Its place; MEMORIES_MAX: it is not known. */
static unsigned find(uint32_t name)
{
	unsigned place = 0;

	while (place < MEMORIES_MAX && (!name || atomic_load(&memories.names[place]) != name))
		place++;
	return place;
}

bool taken_note(const struct accept_message *message)
{
	unsigned place = find(message->process);
	struct accept_memory *memory;
	bool quiet;

	if (place == MEMORIES_MAX || message->value < 0 || message->value >= ACCEPT_CELLS)
		return false;
	memory = (struct accept_memory *)(atomic_load(&memories.base) + place * room());
	atomic_store(&memory->cells[message->value], message->number | ACCEPT_CELL_TAKEN);
	quiet = atomic_load(&memory->quiet);
	/* Another thread may have put another memory there since: then it is that one which was written to, and read. */
	return quiet && atomic_load(&memories.names[place]) == message->process;
}
