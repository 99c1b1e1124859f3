/* A worker's servers as it names them, and the data sockets of protocol accept that a former router knew. */
#ifndef LIMPET_ROUTER_SERVER_H
#define LIMPET_ROUTER_SERVER_H

#include "router/worker.h"

/* NULL if there is none. */
struct server *server_find(const struct worker *worker, const char *key);

/* As an answer to a listen request, or a replay, says it; what is there already is set anew. NULL: out of
 * memory. */
struct server *server_add(struct worker *worker, const struct link_message *message);
void server_remove(struct worker *worker, struct server *server);

/* Do the workers say where they listen? */
bool worker_names_servers(const struct worker *worker);

/* Which of the worker's servers takes the connection; NULL: none. */
const struct server *server_for(const struct worker *worker, const struct connection *connection);

/* Hands the kept data sockets to the channel, or, without one, closes them. */
void worker_use_kept(struct worker *worker);

#endif
