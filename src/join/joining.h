/* A command, or a process that has passed a channel, in a pool of a limpet: joins, starts the command, forwards signals, joins again
 * when limpet was restarted, and ends with the command.
 */
#ifndef LIMPET_JOIN_JOINING_H
#define LIMPET_JOIN_JOINING_H

#include "config/config.h"

/* Exit status: limpet went, and the command cannot go on with another one (EX_TEMPFAIL). */
#define EXIT_FRONT_LOST 75

struct joining_options {
	const char *socket;
	const char *pool; /* NULL: the socket's */
	const char *slot; /* NULL: any */
	int channel;      /* a channel of the parent's; -1: a command is started */
	struct pool_config *command; /* its command, protocol and flavour */
};

/* Runs until the command has ended, or the parent's channel has. Returns the exit status, or ends with the signal that the command
 * died of. */
int joining_run(const struct joining_options *options);

#endif
