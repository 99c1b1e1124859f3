/* The inside of a connection: what connection.c, connection_table.c, connection_read.c and connection_answer.c share, and nobody
 * else. */
#ifndef LIMPET_ROUTER_CONNECTION_INSIDE_H
#define LIMPET_ROUTER_CONNECTION_INSIDE_H

#include "router/connection.h"

/* connection_table.c: places for connections, and the ids that name them. */

/* A place, zeroed but for id and router; NULL: out of memory. */
struct connection *connection_allocate(struct router *router);

/* The place that an id names; NULL if it is taken, or cannot be had. */
struct connection *connection_allocate_as(struct router *router, uint32_t id);

/* connection.c */

/* Takes it out of the list that its state says, and makes it CONNECTION_UNUSED; the socket stays. */
void connection_unlist(struct connection *connection);

/* It does not count as waiting any more. */
void connection_stop_waiting(struct connection *connection);

/* Closes the socket and gives the place back. */
void connection_destroy(struct connection *connection);

/* The socket is readable from so many bytes on. */
void connection_set_low_water(struct connection *connection, size_t bytes);

/* connection_read.c */

/* Is the address among the listener's trusted_proxies? */
bool connection_peer_is_trusted(const struct listener_config *config, const struct address *peer);

/* Reads what the key needs until the deadline (loop time), or routes at once if it needs nothing. */
void connection_start_reading(struct connection *connection, double deadline);

/* Looks at what the client sent so far. woken: the socket has become readable again. */
void connection_read_on(struct connection *connection, bool woken);

/* connection_answer.c */

/* Sends the error that connection->answer says, and lets the client read it. */
void connection_answer(struct connection *connection);

/* The same, but only to a client that is seen to speak HTTP; others are closed. */
void connection_answer_if_http(struct connection *connection);

/* Reads and drops what the client sent. True: the client has closed. */
bool connection_discard(struct connection *connection);

/* Counts it as waiting for its client: peer is who that is. False: there are too many, *reason says so. */
bool connection_count_client(struct connection *connection, const struct address *peer, enum close_reason *reason);

#endif
