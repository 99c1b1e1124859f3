/* Finds workers of protocol accept that listen by themselves, past limpet: programs that make system calls
 * without the C library, or that the system starts without the preloaded library. */
#ifndef LIMPET_SUPERVISOR_BYPASS_H
#define LIMPET_SUPERVISOR_BYPASS_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/address.h"

/* Does a process of the group have a TCP socket that listens, other than those of limpet's own with these
 * inodes? *address is where. What cannot be read is passed over. Reads /proc: for now and then, not for every
 * connection. */
bool bypass_find(pid_t group, const ino_t *own, size_t own_count, struct address *address);

#endif
