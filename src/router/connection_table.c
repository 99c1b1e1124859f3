/* Where connections live, and how an id finds one. */
#include "router/connection_inside.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "router/clients.h"

/* An id is the place in the table of all connections and, above it, how often the place was used: an answer to a hand-off
 * that is long over finds nothing. */
#define INDEX_BITS 20
#define CHUNKS_MAX ((1u << INDEX_BITS) / CONNECTION_CHUNK)

void connections_init(struct router *router)
{
	TAILQ_INIT(&router->unused);
	TAILQ_INIT(&router->restored);
	TAILQ_INIT(&router->lingering);
}

static int add_chunk(struct router *router)
{
	struct connection **chunks, *chunk;

	if (router->chunks_count == CHUNKS_MAX)
		return -ENOMEM;
	chunks = realloc(router->chunks, (router->chunks_count + 1) * sizeof(*chunks));
	if (!chunks)
		return -ENOMEM;
	router->chunks = chunks;
	chunk = calloc(CONNECTION_CHUNK, sizeof(*chunk));
	if (!chunk)
		return -ENOMEM;
	for (uint32_t i = 0; i < CONNECTION_CHUNK; i++) {
		chunk[i].id = router->first_generation << INDEX_BITS | (router->chunks_count * CONNECTION_CHUNK + i);
		chunk[i].fd = -1;
		TAILQ_INSERT_TAIL(&router->unused, &chunk[i], entry);
	}
	chunks[router->chunks_count++] = chunk;
	return 0;
}

/* Its ids stay used up. False: it is in use. */
static bool remove_last_chunk(struct router *router)
{
	struct connection *chunk = router->chunks[router->chunks_count - 1];

	for (uint32_t i = 0; i < CONNECTION_CHUNK; i++)
		if (chunk[i].state != CONNECTION_UNUSED)
			return false;
	router->chunks_count--;
	for (uint32_t i = 0; i < CONNECTION_CHUNK; i++) {
		TAILQ_REMOVE(&router->unused, &chunk[i], entry);
		if (chunk[i].id >> INDEX_BITS > router->first_generation)
			router->first_generation = chunk[i].id >> INDEX_BITS;
	}
	free(chunk);
	return true;
}

void connections_shrink(struct router *router)
{
	if (router->chunks_count <= 1 || router->connections || router->handed_off || router->lingering_count)
		return;
	while (router->chunks_count > 1 && remove_last_chunk(router))
		;
#ifdef __GLIBC__
	malloc_trim(0); /* what is free in between, too */
#endif
}

uint32_t connections_last_id(const struct router *router)
{
	uint32_t last = router->first_generation << INDEX_BITS;

	for (uint32_t i = 0; i < router->chunks_count; i++)
		for (uint32_t j = 0; j < CONNECTION_CHUNK; j++)
			if (router->chunks[i][j].id >> INDEX_BITS > last >> INDEX_BITS)
				last = router->chunks[i][j].id;
	return last;
}

void connections_begin_behind(struct router *router, uint32_t id)
{
	router->first_generation = id >> INDEX_BITS;
}

static struct connection *take_unused(struct router *router, struct connection *connection, uint32_t id)
{
	TAILQ_REMOVE(&router->unused, connection, entry);
	memset(connection, 0, sizeof(*connection));
	connection->id = id;
	connection->fd = -1;
	connection->router = router;
	return connection;
}

struct connection *connection_allocate(struct router *router)
{
	struct connection *connection;

	if (TAILQ_EMPTY(&router->unused) && add_chunk(router) < 0)
		return NULL;
	connection = TAILQ_FIRST(&router->unused);
	return take_unused(router, connection, connection->id + (1u << INDEX_BITS));
}

struct connection *connection_allocate_as(struct router *router, uint32_t id)
{
	uint32_t index = id & ((1u << INDEX_BITS) - 1);
	struct connection *connection;

	while (index / CONNECTION_CHUNK >= router->chunks_count)
		if (add_chunk(router) < 0)
			return NULL;
	connection = &router->chunks[index / CONNECTION_CHUNK][index % CONNECTION_CHUNK];
	return connection->fd < 0 ? take_unused(router, connection, id) : NULL;
}

struct connection *connection_find(struct router *router, uint32_t id)
{
	uint32_t index = id & ((1u << INDEX_BITS) - 1);
	struct connection *connection;

	if (index / CONNECTION_CHUNK >= router->chunks_count)
		return NULL;
	connection = &router->chunks[index / CONNECTION_CHUNK][index % CONNECTION_CHUNK];
	return connection->id == id && connection->state == CONNECTION_HANDED_OFF ? connection : NULL;
}

void connections_free(struct router *router)
{
	for (uint32_t i = 0; i < router->chunks_count; i++) {
		for (uint32_t j = 0; j < CONNECTION_CHUNK; j++) {
			struct connection *connection = &router->chunks[i][j];

			if (connection->fd < 0)
				continue;
			clients_leave(&router->clients, connection->count);
			close(connection->fd);
		}
		free(router->chunks[i]);
	}
	free(router->chunks);
}

void connections_forget_listener(struct router *router, const struct listener *listener)
{
	for (uint32_t i = 0; i < router->chunks_count; i++)
		for (uint32_t j = 0; j < CONNECTION_CHUNK; j++)
			if (router->chunks[i][j].listener == listener)
				router->chunks[i][j].listener = NULL;
}
