#include "channel/pending.h"

#include <errno.h>
#include <stdlib.h>

#define NONE UINT32_MAX
#define SEQ_MASK 0x7fffffffu

struct pending_entry {
	uint32_t seq;
	uint32_t id;
	uint32_t next, previous; /* free entries use next only */
	bool used;
};

int pending_init(struct pending *pending, unsigned window, uint32_t first_seq)
{
	uint32_t size = 1, first;

	while (size < window)
		size *= 2;
	*pending = (struct pending){.window = window, .mask = size - 1, .oldest = NONE, .newest = NONE};
	pending->entries = calloc(size, sizeof(*pending->entries));
	if (!pending->entries)
		return -ENOMEM;
	/* Free places are taken in the order of their numbers from the first seq's on, so that seqs rise by
	 * one as long as the worker answers in order. */
	pending->next_seq = first_seq & SEQ_MASK;
	first = pending->next_seq & pending->mask;
	for (uint32_t i = 0; i < size; i++)
		pending->entries[(first + i) & pending->mask].next = (first + i + 1) & pending->mask;
	pending->free_first = first;
	pending->free_last = (first + size - 1) & pending->mask;
	pending->entries[pending->free_last].next = NONE;
	return 0;
}

void pending_deinit(struct pending *pending)
{
	free(pending->entries);
	pending->entries = NULL;
	pending->count = 0;
	pending->oldest = pending->newest = NONE;
}

bool pending_full(const struct pending *pending)
{
	return pending->count >= pending->window;
}

uint32_t pending_next_seq(const struct pending *pending)
{
	uint32_t ahead = (pending->free_first - pending->next_seq) & pending->mask;

	return (pending->next_seq + ahead) & SEQ_MASK;
}

uint32_t pending_add(struct pending *pending, uint32_t id)
{
	uint32_t seq = pending_next_seq(pending);
	uint32_t place = pending->free_first;
	struct pending_entry *entry = &pending->entries[place];

	pending->free_first = entry->next;
	if (pending->free_first == NONE)
		pending->free_last = NONE;
	*entry = (struct pending_entry){
	    .seq = seq, .id = id, .next = NONE, .previous = pending->newest, .used = true};
	if (pending->newest == NONE)
		pending->oldest = place;
	else
		pending->entries[pending->newest].next = place;
	pending->newest = place;
	pending->next_seq = (seq + 1) & SEQ_MASK;
	pending->count++;
	return seq;
}

bool pending_find(const struct pending *pending, uint64_t seq, uint32_t *id)
{
	const struct pending_entry *entry = &pending->entries[seq & pending->mask];

	if (!entry->used || entry->seq != seq)
		return false;
	if (id)
		*id = entry->id;
	return true;
}

bool pending_remove(struct pending *pending, uint64_t seq, uint32_t *id)
{
	uint32_t place = seq & pending->mask;
	struct pending_entry *entry = &pending->entries[place];

	if (!pending_find(pending, seq, id))
		return false;
	if (entry->previous == NONE)
		pending->oldest = entry->next;
	else
		pending->entries[entry->previous].next = entry->next;
	if (entry->next == NONE)
		pending->newest = entry->previous;
	else
		pending->entries[entry->next].previous = entry->previous;
	*entry = (struct pending_entry){.next = NONE};
	if (pending->free_last == NONE)
		pending->free_first = place;
	else
		pending->entries[pending->free_last].next = place;
	pending->free_last = place;
	pending->count--;
	return true;
}

bool pending_oldest(const struct pending *pending, uint32_t *seq)
{
	if (pending->oldest == NONE)
		return false;
	*seq = pending->entries[pending->oldest].seq;
	return true;
}

bool pending_next(const struct pending *pending, size_t *cursor, uint32_t *id)
{
	/* 0 is the start, NONE + 1 the end, else one more than the place. */
	uint32_t place = *cursor ? (uint32_t)(*cursor - 1) : pending->oldest;

	if (place == NONE)
		return false;
	*id = pending->entries[place].id;
	*cursor = (size_t)pending->entries[place].next + 1;
	return true;
}
