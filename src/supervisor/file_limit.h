/* The limit of open files: raised for limpet itself, left as it was for workers, compared with what the configuration may need.
 */
#ifndef LIMPET_SUPERVISOR_FILE_LIMIT_H
#define LIMPET_SUPERVISOR_FILE_LIMIT_H

#include <sys/resource.h>

#include "config/config.h"

/* Raises RLIMIT_NOFILE to its hard limit; *original is what it was before. If it cannot be raised, it stays. */
void file_limit_raise(struct rlimit *original);

/* The files that the router has open when all bounds of the configuration are reached at the same time. */
uint64_t file_limit_needed(const struct config *config);

/* Warns if the limit of open files is lower than that. */
void file_limit_check(const struct config *config);

#endif
