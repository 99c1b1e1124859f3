#include "channel/pending.h"

#include <errno.h>
#include <stdlib.h>

#define NONE UINT32_MAX
#define SEQ_MASK 0x7fffffffu
/* For the largest window. */
#define PLACES_MAX 65536

struct pending_entry {
	uint32_t seq;
	uint32_t id;
	uint32_t next, previous; /* free entries use next only */
	bool used;
};

static int make_table(struct pending *pending, unsigned window, uint32_t size, uint32_t next_seq)
{
	*pending = (struct pending){.window = window,
	    .mask = size - 1,
	    .next_seq = next_seq & SEQ_MASK,
	    .oldest = NONE,
	    .newest = NONE};
	pending->entries = calloc(size, sizeof(*pending->entries));
	return pending->entries ? 0 : -ENOMEM;
}

static void add_free(struct pending *pending, uint32_t place)
{
	pending->entries[place] = (struct pending_entry){.next = NONE};
	if (pending->free_last == NONE)
		pending->free_first = place;
	else
		pending->entries[pending->free_last].next = place;
	pending->free_last = place;
}

/* Free places are taken in the order of their numbers from the next seq's on, so that seqs rise by one as
 * long as the worker answers in order. */
static void link_free(struct pending *pending)
{
	pending->free_first = pending->free_last = NONE;
	for (uint32_t i = 0; i <= pending->mask; i++) {
		uint32_t place = (pending->next_seq + i) & pending->mask;

		if (!pending->entries[place].used)
			add_free(pending, place);
	}
}

static void add_used(struct pending *pending, uint32_t seq, uint32_t id)
{
	uint32_t place = seq & pending->mask;

	pending->entries[place] = (struct pending_entry){
	    .seq = seq, .id = id, .next = NONE, .previous = pending->newest, .used = true};
	if (pending->newest == NONE)
		pending->oldest = place;
	else
		pending->entries[pending->newest].next = place;
	pending->newest = place;
	pending->count++;
}

static uint32_t size_for(unsigned window)
{
	uint32_t size = 1;

	while (size < window)
		size *= 2;
	return size;
}

int pending_init(struct pending *pending, unsigned window, uint32_t first_seq)
{
	int error = make_table(pending, window, size_for(window), first_seq);

	if (!error)
		link_free(pending);
	return error;
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

	pending->free_first = pending->entries[pending->free_first].next;
	if (pending->free_first == NONE)
		pending->free_last = NONE;
	add_used(pending, seq, id);
	pending->next_seq = (seq + 1) & SEQ_MASK;
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
	add_free(pending, place);
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

void pending_save(const struct pending *pending, struct image_writer *image)
{
	image_put(image, 4, pending->next_seq);
	image_put(image, 4, pending->count);
	for (uint32_t place = pending->oldest; place != NONE; place = pending->entries[place].next) {
		image_put(image, 4, pending->entries[place].seq);
		image_put(image, 4, pending->entries[place].id);
	}
}

static int compare_ids(const void *a, const void *b)
{
	const uint32_t *left = a, *right = b;

	return *left < *right ? -1 : *left > *right;
}

/* Two hand-offs with one id would be answered once. */
static int check_ids(const struct pending *pending, struct image_reader *image)
{
	uint32_t *ids, count = 0;
	size_t cursor = 0;

	if (!pending->count)
		return 0;
	ids = calloc(pending->count, sizeof(*ids));
	if (!ids) {
		image->error = -ENOMEM;
		return image->error;
	}
	while (pending_next(pending, &cursor, &ids[count]))
		if (++count == pending->count)
			break;
	qsort(ids, count, sizeof(*ids), compare_ids);
	for (uint32_t i = 1; i < count; i++)
		if (ids[i] == ids[i - 1])
			image_reject(image);
	free(ids);
	return image->error;
}

/* False if two of them have one place in the table. */
static bool restore_entries(struct pending *pending, struct image_reader *image, uint32_t count)
{
	while (count--) {
		uint32_t seq = (uint32_t)image_get(image, 4, SEQ_MASK);
		uint32_t id = (uint32_t)image_get(image, 4, UINT32_MAX);

		if (image->error)
			break;
		if (pending->entries[seq & pending->mask].used)
			return false;
		add_used(pending, seq, id);
	}
	return true;
}

int pending_restore(struct pending *pending, unsigned window, struct image_reader *image)
{
	uint32_t next_seq = (uint32_t)image_get(image, 4, SEQ_MASK);
	uint32_t count = image_get_count(image, 8);
	struct image_reader entries = *image;

	/* A table that suits this window has to be larger if the seqs were given out by a larger one. */
	for (uint32_t size = size_for(window); size <= PLACES_MAX; size *= 2) {
		*image = entries;
		if (make_table(pending, window, size, next_seq) < 0) {
			image->error = -ENOMEM;
			return image->error;
		}
		if (restore_entries(pending, image, count)) {
			link_free(pending);
			return image->error ? image->error : check_ids(pending, image);
		}
		pending_deinit(pending);
	}
	return image_reject(image);
}
