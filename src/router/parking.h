/* Parked connections: what waits for a worker longer than a moment has a second copy of its socket with the supervisor, so that
 * it waits on if this router crashes. One that goes to a worker, or gets an error, is not parked any more before that happens:
 * the next router must not serve it again.
 */
#ifndef LIMPET_ROUTER_PARKING_H
#define LIMPET_ROUTER_PARKING_H

#include "router/router.h"

/* files: how many this process may open; as many, or more, may the supervisor. */
void parking_init(struct router *router, uint64_t files);

/* It begins to wait, again perhaps; it waits no more, for now perhaps. */
void parking_waits(struct connection *connection);
void parking_waits_no_more(struct connection *connection);

/* Before it is handed off. 0: it is not parked; -EAGAIN: the supervisor cannot be told now, so it must not be handed off;
 * or another negative errno: the supervisor is gone. */
int parking_release(struct connection *connection);

/* It ends. */
void parking_forget(struct connection *connection);

/* As LINK_PARKED told; consumes fd. */
void parking_restore(struct router *router, const struct link_message *message, int fd);

#endif
