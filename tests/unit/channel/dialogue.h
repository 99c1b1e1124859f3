/* A channel and its worker's end of the socket in one process, for tests that read as a dialogue.
 *
 * Patterns: '#' stands for a number; the last one is kept in `number`.
 */
#ifndef LIMPET_TESTS_CHANNEL_DIALOGUE_H
#define LIMPET_TESTS_CHANNEL_DIALOGUE_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "channel/channel.h"

struct dialogue {
	struct channel *channel;
	enum protocol protocol;
	enum flavour flavour;
	unsigned window;
	int worker; /* -1: closed */
	bool datagrams;
	char events[65536]; /* what the channel told its owner since last asked: "ready; acknowledged 3" */
	char heard[131072]; /* what the worker read and has not looked at */
	size_t heard_length;
	int heard_fd; /* came with what was looked at last; closed with the next */
	int next_fd;  /* came with the last line of heard */
	uint64_t number;
	uint64_t request; /* of the last listen event */
	int front;        /* a copy of the front's end, once accept() is offered; -1: not */
	int kept_fd;      /* a copy of the last one that the owner is to keep; -1: none */
	uint64_t kept_number;
	bool in_event;    /* where the channel cannot change hands */
	/* What the owner does in an event; NULL: nothing. */
	void (*on_listen)(struct dialogue *dialogue, const struct channel_listen *listen);
	void (*on_acknowledged)(struct dialogue *dialogue, uint32_t id);
};

#define PROBE                                                                                                \
	"{\"cmd\":\"NODE_HANDLE\",\"type\":\"net.Native\",\"msg\":"                                          \
	"{\"cmd\":\"NODE_CLUSTER\",\"act\":\"newconn\",\"key\":\"\",\"seq\":#}}"
#define PING "{\"cmd\":\"NODE_HANDLE\",\"type\":\"net.Native\",\"msg\":{\"type\":\"limpet:ping\",\"id\":#}}"
#define ACK "{\"cmd\":\"NODE_HANDLE_ACK\"}"
#define NACK "{\"cmd\":\"NODE_HANDLE_NACK\"}"

/* Where the channel changes hands: it is saved, freed, and restored. A point is each byte that the worker
 * sends (each datagram), each message that it reads, and each connection sent. With the environment variable
 * HAND_OVER set, each point of every dialogue is one. */
extern struct dialogue_points {
	unsigned passed;
	unsigned hand_over_at; /* the n-th one of the dialogue; 0: none */
	bool always;
} dialogue_points;

/* Saves, frees and restores the channel. Whatever it knows has to be the same again. */
void dialogue_hand_over(struct dialogue *dialogue, unsigned window);

/* channel_new() for the dialogue. */
struct channel *dialogue_new(struct dialogue *dialogue, int fd);

/* channel_restore() for the dialogue's protocol. */
struct channel *dialogue_restore(
    struct dialogue *dialogue, int fd, unsigned window, const struct channel_image *image, int *error);

/* Copies the fds, which are borrowed from a channel. The bytes stay where they are. */
struct channel_image image_with_fds(const struct channel_image *image, int *fds);

void dialogue_open(struct dialogue *dialogue, enum protocol protocol, enum flavour flavour, unsigned window);
void dialogue_close(struct dialogue *dialogue);

/* Opens a Node dialogue, and has the worker answer the first probe. */
void dialogue_open_in_step(
    struct dialogue *dialogue, enum protocol protocol, enum flavour flavour, unsigned window);

/* The worker is offered to take its connections through accept(). Right after dialogue_open(). */
void dialogue_offer_accept(struct dialogue *dialogue);

/* How many fds this process has. */
int open_fds(void);

/* The worker sends a line (its '\n' is added) or datagram, and the channel reads it. */
void worker_says(struct dialogue *dialogue, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same with exactly these bytes, and maybe an fd. */
void worker_sends(struct dialogue *dialogue, const void *bytes, size_t length, int fd);

/* The next line or datagram that the worker reads is this, with an fd or without. */
void worker_hears(struct dialogue *dialogue, const char *pattern);
void worker_hears_with_fd(struct dialogue *dialogue, const char *pattern);
void worker_hears_nothing(struct dialogue *dialogue);

/* The worker's end is closed, and the channel reads that. */
void worker_ends(struct dialogue *dialogue);

/* What the owner was told since last asked, separated by "; ". */
void owner_is_told(struct dialogue *dialogue, const char *pattern);

/* Sends a connection, one end of a socket pair; returns what channel_send_connection() does. */
int owner_sends(struct dialogue *dialogue, uint32_t id, const char *server_key);

#endif
