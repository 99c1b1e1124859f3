/* The hand-offs of one channel that were sent and not answered: which number on the wire stands for which id
 * of the owner, and in which order they were sent. Knows neither sockets nor messages.
 *
 * The number (seq) names a hand-off to the worker. Numbers start at a random place, rise, and stay within 31
 * bits, so that an answer meant for an earlier channel over the same socket is not taken for one of ours.
 * Adding, finding and removing take constant time in whatever order a worker answers.
 */
#ifndef LIMPET_CHANNEL_PENDING_H
#define LIMPET_CHANNEL_PENDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "channel/image.h"

struct pending_entry;

struct pending {
	struct pending_entry *entries;
	uint32_t window;   /* the most entries in use */
	uint32_t mask;     /* entries - 1; the low bits of a seq are its place in the table */
	uint32_t next_seq; /* the next one is this or a little more */
	uint32_t count;
	uint32_t oldest, newest;        /* in use, in the order sent */
	uint32_t free_first, free_last; /* not in use, taken from the front and put back at the end */
};

/* window: 1 to 65535. 0 or -ENOMEM. */
int pending_init(struct pending *pending, unsigned window, uint32_t first_seq);
void pending_deinit(struct pending *pending);

/* To an image, and from it in place of pending_init(); see image.h. The seqs stay, also with another window.
 * Returns image->error. */
void pending_save(const struct pending *pending, struct image_writer *image);
int pending_restore(struct pending *pending, unsigned window, struct image_reader *image);

bool pending_full(const struct pending *pending);

/* The seq that pending_add() will give; the table must not be full. */
uint32_t pending_next_seq(const struct pending *pending);
uint32_t pending_add(struct pending *pending, uint32_t id);

/* False if no such hand-off is under way (never sent, or answered before). id may be NULL. */
bool pending_find(const struct pending *pending, uint64_t seq, uint32_t *id);
bool pending_remove(struct pending *pending, uint64_t seq, uint32_t *id);

/* The one that was sent first. False if there is none. */
bool pending_oldest(const struct pending *pending, uint32_t *seq);

/* Lists ids in the order sent; *cursor starts at 0. False at the end. */
bool pending_next(const struct pending *pending, size_t *cursor, uint32_t *id);

#endif
