/* One listening socket: the one that the service manager passed for it, a program's own, or a new one; and what becomes of its path.
 * Which of them are open is listeners.h's.
 */
#ifndef LIMPET_SUPERVISOR_LISTENING_H
#define LIMPET_SUPERVISOR_LISTENING_H

#include "supervisor/supervisor.h"

/* What a socket is wanted for. All pointers are borrowed. */
struct listening_request {
	const char *listener; /* in the configuration; NULL: workers asked */
	const struct address *address;
	int socket_type; /* SOCK_STREAM or SOCK_DGRAM */
	bool ipv6_only;
	int backlog;
	bool defer_accept; /* a connection is of use only once something came */
	bool adopts;       /* own, a program's TCP socket, is to be used */
	int own;           /* borrowed */
	struct mode mode;  /* of a Unix path; not set: as the umask has it */
	const char *user;  /* with whose rights a Unix path is made; NULL: limpet's */
};

/* One without a socket, last in the supervisor's list. NULL: out of memory. */
struct listening *listening_new(struct supervisor *supervisor, struct supervised_pool *pool, uint32_t index);

/* Takes it out of the list and closes its socket; its path stays. */
void listening_free(struct supervisor *supervisor, struct listening *listening);

/* Gives it a socket, and an address: where that is bound. The names in it, by which the service manager may know the socket, must
 * be set. 0 or a negative errno, then without a socket, or with one that does not listen. */
int listening_obtain(
    struct supervisor *supervisor, struct listening *listening, const struct listening_request *request);

/* The address is where the socket is bound. */
void listening_read_address(struct listening *listening);

void listening_set_defer_accept(const struct listening *listening, bool on);

/* A program sets it on its socket, which is the listening's. What could concern anyone else is not done, nor are mistakes reported:
 * the program has had its answer. value: borrowed. */
void listening_set_option(
    const struct listening *listening, int level, int name, const void *value, socklen_t length);

/* Of a path that is limpet's or its workers'; where not set it stays as it is. */
void listening_set_mode(const struct listening *listening, const struct mode *mode);

/* Of a Unix socket, with the rights that it was made with; of others nothing. */
void listening_remove_path(const struct listening *listening);

/* To the log. */
void listening_say(const struct listening *listening);

#endif
