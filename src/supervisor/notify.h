/* Messages to the service manager: the datagrams that sd_notify(3) describes, "NAME=VALUE" lines to the Unix socket that
 * NOTIFY_SOCKET names, some with an fd. Knows the socket and how long to wait for it; what is said is its callers' matter
 * (readiness.h: states; activation.h: sockets).
 */
#ifndef LIMPET_SUPERVISOR_NOTIFY_H
#define LIMPET_SUPERVISOR_NOTIFY_H

#include <stdbool.h>

#include "base/address.h"

/* A message is at most this long, its NUL included. */
#define NOTIFY_MESSAGE_MAX 1024

struct notify {
	struct address address; /* empty: there is no service manager that wants messages */
	bool failing;           /* the last message could not be sent, and that was logged */
};

/* name: the value of NOTIFY_SOCKET, "/PATH" or "@ABSTRACT"; NULL or empty: there is none, and nothing will be sent.
 * 0, or -EINVAL after logging: the name is of a kind that is not understood; nothing will be sent then. */
int notify_init(struct notify *notify, const char *name);

bool notify_wanted(const struct notify *notify);

/* Sends one message, with the fd (borrowed) unless it is -1. A manager that has not read its former messages is waited for, up
 * to half a second; one that let us wait in vain is not waited for again until a message goes through. Does nothing without a
 * manager. Returns 0, or a negative errno; the first failure in a row is logged, and so is its end. */
int notify_send(struct notify *notify, int fd, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
