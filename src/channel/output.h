/* The messages of one channel that wait for their turn to be written: answers, probes, never connections.
 * Bounded. Owns the bytes and fds of what waits in it. Writes nothing itself.
 */
#ifndef LIMPET_CHANNEL_OUTPUT_H
#define LIMPET_CHANNEL_OUTPUT_H

#include <stddef.h>
#include <stdint.h>

#include "channel/image.h"

/* Bytes that may wait, each message counted with OUTPUT_OVERHEAD: a worker that lets more wait does not read.
 */
#define OUTPUT_MAX (256 * 1024)
#define OUTPUT_OVERHEAD 64

struct output_message {
	struct output_message *next;
	int fd;          /* goes with the first byte; -1: none */
	int kind;        /* the protocol's own */
	uint64_t number; /* the protocol's own */
	size_t length, sent;
	char bytes[];
};

struct output {
	struct output_message *first, **end;
	size_t weight;
};

void output_init(struct output *output);
void output_deinit(struct output *output);

/* Copies the bytes. fd: consumed, also on failure; -1: none. 0, -ENOMEM or -ENOBUFS (bound reached). */
int output_append(struct output *output, const char *bytes, size_t length, int fd, int kind, uint64_t number);

/* The same, but written next. Not bounded: for the protocol's own few. Nothing may be half sent. */
int output_prepend(
    struct output *output, const char *bytes, size_t length, int fd, int kind, uint64_t number);

void output_drop_first(struct output *output);

/* To an image, and from it to an empty queue; see image.h. Of the kinds and numbers nothing is checked.
 * Returns image->error. */
void output_save(const struct output *output, struct image_writer *image);
int output_restore(struct output *output, struct image_reader *image);

#endif
