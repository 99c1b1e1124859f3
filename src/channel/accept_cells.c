#include "channel/accept_cells.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "channel/accept_message.h"
#include "channel/channel_private.h"

struct cells {
	struct accept_memory *memory;
	uint32_t name;
	uint32_t count;
	uint32_t numbers[ACCEPT_CELLS]; /* as the worker is to note them; 0: not in use */
};

static int make_memory(void)
{
	static const struct accept_memory empty;
	int fd = memfd_create("limpet-taken", CELLS_MEMFD_FLAGS | CELLS_MEMFD_NOEXEC);

	if (fd < 0 && errno == EINVAL) /* before Linux 6.3 */
		fd = memfd_create("limpet-taken", CELLS_MEMFD_FLAGS);
	if (fd < 0)
		return -1;
	/* A worker that cut it off would end the front with SIGBUS. */
	if (write(fd, &empty, sizeof(empty)) != sizeof(empty) ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

struct cells *cells_new(int *fd)
{
	struct cells *cells = calloc(1, sizeof(*cells));

	if (!cells)
		return NULL;
	*fd = make_memory();
	if (*fd < 0) {
		free(cells);
		return NULL;
	}
	cells->memory = mmap(NULL, sizeof(*cells->memory), PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
	if (cells->memory == MAP_FAILED) {
		close(*fd);
		free(cells);
		return NULL;
	}
	do
		cells->name = channel_random();
	while (!cells->name);
	return cells;
}

void cells_free(struct cells *cells)
{
	if (!cells)
		return;
	munmap(cells->memory, sizeof(*cells->memory));
	free(cells);
}

uint32_t cells_name(const struct cells *cells)
{
	return cells->name;
}

bool cells_take(struct cells *cells, uint32_t number, int32_t *cell)
{
	uint32_t at = number % ACCEPT_CELLS;

	if (cells->numbers[at])
		return false;
	cells->numbers[at] = number | ACCEPT_CELL_TAKEN;
	cells->count++;
	/* The number may be the same again after 2^31 others. */
	atomic_store_explicit(&cells->memory->cells[at], 0, memory_order_relaxed);
	*cell = (int32_t)at;
	return true;
}

void cells_release(struct cells *cells, uint32_t number)
{
	uint32_t *own = &cells->numbers[number % ACCEPT_CELLS];

	if (*own != (number | ACCEPT_CELL_TAKEN))
		return;
	*own = 0;
	cells->count--;
}

bool cells_noted(const struct cells *cells, uint32_t number)
{
	uint32_t noted = atomic_load_explicit(&cells->memory->cells[number % ACCEPT_CELLS], memory_order_seq_cst);

	return noted == (number | ACCEPT_CELL_TAKEN);
}

bool cells_in_use(const struct cells *cells)
{
	return cells->count > 0;
}

void cells_set_quiet(struct cells *cells, bool quiet)
{
	atomic_store_explicit(&cells->memory->quiet, quiet, memory_order_seq_cst);
}
