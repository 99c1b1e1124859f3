/* The front's side of an ACCEPT_MEMORY (accept_message.h): memory where the worker notes what it has taken, and which hand-offs have
 * a cell there. Knows nothing of sockets.
 */
#ifndef LIMPET_CHANNEL_ACCEPT_CELLS_H
#define LIMPET_CHANNEL_ACCEPT_CELLS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>

/* Those of memfd_create(), which the router's sandbox lets pass; the second where the kernel has it (Linux 6.3). */
#define CELLS_MEMFD_FLAGS (MFD_CLOEXEC | MFD_ALLOW_SEALING)
#define CELLS_MEMFD_NOEXEC 8u /* MFD_NOEXEC_SEAL, which glibc has since 2.38 */

struct cells;

/* *fd: the memory, for the worker; the caller's. Its size is fixed, whatever the worker does. NULL: the kernel gives none. */
struct cells *cells_new(int *fd);

/* The worker may go on writing. NULL is allowed. */
void cells_free(struct cells *cells);

/* Never 0, and unlike that of others. */
uint32_t cells_name(const struct cells *cells);

/* Takes a cell for the hand-off `number` (below 2^31). False: there is none for it. */
bool cells_take(struct cells *cells, uint32_t number, int32_t *cell);

/* Gives it back, if there is one. */
void cells_release(struct cells *cells, uint32_t number);

/* Has the worker noted that it has taken it? Also after cells_release(), until another hand-off has the cell. */
bool cells_noted(const struct cells *cells, uint32_t number);

/* Does a hand-off have a cell? */
bool cells_in_use(const struct cells *cells);

/* Whether the worker only notes what it takes, and sends no message. After `false` what it has noted before is to be looked at
 * once more: cells_noted() then says true of all for which no message comes. */
void cells_set_quiet(struct cells *cells, bool quiet);

#endif
