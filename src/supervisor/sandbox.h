/* What the router gives up before it reads the first byte of a client: its user, its capabilities, the file system, and every
 * system call that it has no use for. What a kernel or a container does not offer is left out, and said; it is no failure.
 */
#ifndef LIMPET_SUPERVISOR_SANDBOX_H
#define LIMPET_SUPERVISOR_SANDBOX_H

#include "stats/stats.h"

/* Becomes the user (NULL: nobody, if started as root and it is possible), without groups, capabilities, core dumps and
 * children; as root also moves to an empty root directory. The log must be open, and the time zone is read here.
 * 0, or a negative errno: the user that was asked for cannot be had. */
int sandbox_drop_privileges(const char *user, struct sandbox_state *state);

/* Nothing can be opened, connected or executed from here on: Landlock with no rule, and a filter of system calls that kills
 * the process for any other. Nothing may be needed any more that sandbox.c does not list. */
void sandbox_close(struct sandbox_state *state);

/* Warns about each part that is not in force. */
void sandbox_warn(const struct sandbox_state *state);

/* Why a part is not in force, from its negative value in the state. */
const char *sandbox_why(int error);

/* Landlock alone: the kernel's ABI version, or a negative errno, and then it is not in force. Needs no_new_privs. */
int sandbox_restrict_files(void);

/* The filter alone: 0, or a negative errno, and then there is none. In system_calls.c. */
int sandbox_filter_system_calls(void);

#endif
