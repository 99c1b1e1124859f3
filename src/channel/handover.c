/* Hands a channel over to another process: its state as a struct channel_image, and a channel made of one.
 * Owns the header and the part of the channel itself; the rest is its modules' (image.h has the layout). */
#include <errno.h>
#include <stdlib.h>

#include "channel/channel_private.h"

#define MAGIC 0x43504d4cu /* "LMPC" */

enum {
	FLAG_BROKEN = 1,
	FLAG_FULL = 2,
	FLAG_ENDING = 4,
	FLAG_DRAINED = 8,
	FLAG_READY_TOLD = 16,
	FLAGS = 31,
};

/* Longest errno that the kernel returns. */
#define ERRNO_MAX 4095

int channel_save(struct channel *channel, struct channel_image *image)
{
	struct image_writer writer;

	image_writer_init(&writer, image);
	if (channel->over)
		return -EPIPE;
	image_put(&writer, 4, MAGIC);
	image_put(&writer, 2, IMAGE_VERSION);
	image_put(&writer, 1, channel->protocol->image_code);
	image_put(&writer, 1,
	    (channel->broken ? FLAG_BROKEN : 0) | (channel->full ? FLAG_FULL : 0) |
	        (channel->ending ? FLAG_ENDING : 0) | (channel->drained ? FLAG_DRAINED : 0) |
	        (channel->ready_told ? FLAG_READY_TOLD : 0));
	image_put(&writer, 2, (uint64_t)-channel->error);
	image_put(&writer, 8, channel->skipped);
	pending_save(&channel->pending, &writer);
	output_save(&channel->output, &writer);
	channel->protocol->save(channel, &writer);
	if (image->length > CHANNEL_IMAGE_BYTES_MAX || image->fds_count > CHANNEL_IMAGE_FDS_MAX)
		writer.error = -ENOBUFS;
	if (writer.error)
		channel_image_free(image);
	return writer.error;
}

static void restore_channel(struct channel *channel, struct image_reader *image)
{
	unsigned flags;
	int error;

	if (image_get(image, 4, UINT32_MAX) != MAGIC || image_get(image, 2, UINT16_MAX) != IMAGE_VERSION ||
	    image_get(image, 1, UINT8_MAX) != channel->protocol->image_code) {
		image_reject(image);
		return;
	}
	flags = (unsigned)image_get(image, 1, FLAGS);
	error = -(int)image_get(image, 2, ERRNO_MAX);
	channel->skipped = image_get(image, 8, UINT64_MAX);
	if ((flags & FLAG_DRAINED && !(flags & FLAG_ENDING)) || (error && !(flags & FLAG_BROKEN)))
		image_reject(image);
	channel->full = flags & FLAG_FULL;
	channel->ending = flags & FLAG_ENDING;
	channel->drained = flags & FLAG_DRAINED;
	channel->ready_told = flags & FLAG_READY_TOLD;
	/* Its socket is shut down already. */
	channel->broken = flags & FLAG_BROKEN;
	if (channel->broken) {
		channel->error = error;
		channel->reason = channel_break_reason(error);
	}
}

struct channel *channel_restore(enum protocol protocol, enum flavour flavour, int fd, unsigned window,
    const struct channel_events *events, void *owner, const struct channel_image *image, int *error)
{
	struct channel *channel = channel_make(protocol, flavour, fd, events, owner);
	struct image_reader reader;

	image_reader_init(&reader, image);
	if (!channel)
		reader.error = -ENOMEM;
	if (!reader.error)
		restore_channel(channel, &reader);
	if (!reader.error)
		pending_restore(&channel->pending, window, &reader);
	if (!reader.error)
		output_restore(&channel->output, &reader);
	if (!reader.error)
		channel->protocol->restore(channel, window, &reader);
	*error = image_reader_finish(&reader);
	if (*error) {
		channel_free(channel);
		return NULL;
	}
	return channel;
}
