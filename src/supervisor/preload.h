/* What a worker that takes connections through accept() is started with: the library that is preloaded into it, and where its
 * control socket is. */
#ifndef LIMPET_SUPERVISOR_PRELOAD_H
#define LIMPET_SUPERVISOR_PRELOAD_H

#include "supervisor/program.h"

/* Sets LD_PRELOAD (the library for such a program behind what is in it already) and the variable that names the
 * control socket: its number, and the name of the front's end. 0, -ENOENT: the library is not installed,
 * -ENOMEM, or an errno of getpeername(). */
int preload_set_environment(int control, enum program program);

/* The library alone, for Node.js, which needs no control socket. Errors as above. */
int preload_set_library(enum program program);

/* The front's end gets a name of the kernel's choice, by which the library knows it. 0 or a negative errno.
 */
int preload_name_front(int front);

#endif
