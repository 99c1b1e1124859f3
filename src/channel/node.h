/* What both Node protocols share: lines of JSON over a Unix stream, sockets in NODE_HANDLE messages, and
 * their acknowledgements. The format is that of Node's lib/internal/child_process.js with serialization
 * "json"; Node 18 to 26 behave the same.
 *
 * Three rules keep a socket with its own message:
 *
 * - Node reads the channel in blocks of 64 KiB, and gives a socket to the first NODE_HANDLE message that ends
 * in the block. A message with a socket that straddles two blocks would get the next message's. So the bytes
 * that Node may not have read, the ones about to be written included, stay within NODE_BYTES_MAX. Node has
 * read all before a handle that it acknowledged; if much is written without any handle, a probe is put in
 * between.
 * - For the same reason a NODE_HANDLE message never goes without an fd.
 * - NODE_HANDLE_ACK names no message: they come in the order sent, and are told apart by counting. A channel
 * may begin on a socket over which a predecessor has spoken, so it does not count before its first probe was
 * answered by number. Until then no socket is sent.
 *
 * A probe is a node:cluster connection for a server that does not exist: key "" and an unconnected socket.
 * The worker's event loop acknowledges it, declines it with its number, and closes it. The application sees
 * nothing.
 *
 * What the worker sends with an fd (process.send(message, socket)) is acknowledged, since its later messages
 * wait for that, and dropped. To acknowledge what carries no NODE_HANDLE would crash the worker.
 */
#ifndef LIMPET_CHANNEL_NODE_H
#define LIMPET_CHANNEL_NODE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "channel/channel_private.h"
#include "channel/json_text.h"
#include "channel/line_stream.h"

#define NODE_BYTES_MAX (48 * 1024)
/* Unread bytes without a handle among them after which a probe goes out, so that there is always an answer to
 * wait for. */
#define NODE_BYTES_PROBE (16 * 1024)
#define NODE_MESSAGE_MAX (16 * 1024)
/* Room for probes above NODE_BYTES_MAX: they are what the others wait for. */
#define NODE_BYTES_RESERVE (4 * 1024)
/* Longest line with a connection. */
#define NODE_HANDLE_MAX (4 * 1024)

enum node_kind {
	NODE_PLAIN, /* no handle */
	NODE_CONNECTION,
	NODE_SHARED, /* a UDP socket or a data socket, in answer to a listen; its number is the request's seq */
	NODE_PROBE,
};

struct node_dialect {
	/* A NODE_CLUSTER message that is no answer to a hand-off or probe. */
	void (*message)(struct channel *channel, const json_t *message);
	/* An application's message, short enough to look at. NULL: not of interest. */
	void (*application)(struct channel *channel, const char *line, size_t length);
	/* The worker's event loop runs, and the channel is in step with it. NULL: not of interest. */
	void (*in_step)(struct channel *channel);
	/* A probe did not arrive, and the channel is not in step. NULL: not of interest. */
	void (*probe_lost)(struct channel *channel);
	/* A NODE_SHARED handle did not arrive. NULL: its request is answered with an error. */
	void (*shared_lost)(struct channel *channel, uint64_t number);
	/* Reading ended, as channel_read_ended(), which is called if this is NULL. */
	void (*ended)(struct channel *channel, int error);
	/* Are the first probes to find out whether the worker has the library of accept_message.h? */
	bool looks_for_library;
	/* Does NODE_HANDLE_ACK acknowledge a hand-off, or a later answer with its number? */
	bool ack_is_enough;
	/* Is a probe answered by the application, as limpet:connection has it, and not by node:cluster, which is not there in every
	 * process? */
	bool asks_application;
};

struct node_handle {
	uint64_t end; /* bytes written when its message was */
	uint64_t number;
	enum node_kind kind;
};

struct node {
	const struct node_dialect *dialect;
	struct line_stream lines;
	struct node_handle *handles; /* sent, not acknowledged: a ring */
	uint32_t handles_mask, first, count, handles_max;
	uint64_t written, read; /* bytes; read: known to be read by the worker */
	uint32_t probe;         /* the number of the latest probe, from 2^31 on, where no hand-off's is */
	bool in_step;
	bool probing;    /* a probe is queued or under way */
	bool probe_lost; /* the probe may not have arrived (before the channel is in step) */
	bool alive_wanted;
	bool library;  /* once in step: the worker has it */
	int probe_copy; /* until then: of the latest probe's socket; -1: none */
};

/* The protocol's own state goes behind: size bytes, at least a struct node, zeroed. */
int node_start(struct channel *channel, unsigned window, const struct node_dialect *dialect, size_t size);
void node_stop(struct channel *channel);
void node_save(const struct channel *channel, struct image_writer *image);
/* In place of node_start(). Returns image->error; without one channel->state is as node_start() leaves it. */
int node_restore(struct channel *channel, unsigned window, const struct node_dialect *dialect, size_t size,
    struct image_reader *image);
void node_readable(struct channel *channel);
bool node_can_send(const struct channel *channel);
/* The worker's answer to the message with this number: a probe, or a hand-off. */
void node_numbered_answer(struct channel *channel, uint64_t seq, bool accepted);

int node_drain(struct channel *channel);
int node_probe(struct channel *channel);
bool node_may_write(struct channel *channel);
void node_written(struct channel *channel, const struct output_message *message);

/* Sends a NODE_HANDLE line with the fd (borrowed) as hand-off pending_next_seq(). Errors as
 * channel_send_connection(). */
int node_send_handle(struct channel *channel, const struct json_text *line, uint32_t id, int fd);

/* Queues a line (its '\n' included). fd: consumed, and then kind and number say what it is. */
int node_post(
    struct channel *channel, const struct json_text *line, int fd, enum node_kind kind, uint64_t number);

/* Queues {cmd: NODE_CLUSTER, ack}: the plain answer to a message of the worker. */
int node_post_ack(struct channel *channel, uint64_t seq);

/* Queues the answer to a listen request that fails: error is a positive errno. */
int node_post_listen_error(struct channel *channel, uint64_t seq, int error);

/* The integer member of a message, within minimum..maximum. False if it is missing or something else. */
bool node_integer(const json_t *message, const char *name, int64_t minimum, int64_t maximum, int64_t *value);

/* The largest integer that both sides hold exactly. */
#define NODE_INTEGER_MAX 9007199254740991

/* The member `seq` of a worker's message, which an answer repeats. */
bool node_seq(const json_t *message, uint64_t *seq);

#endif
