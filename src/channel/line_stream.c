#include "channel/line_stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void line_stream_init(struct line_stream *stream)
{
	*stream = (struct line_stream){0};
}

void line_stream_deinit(struct line_stream *stream)
{
	free(stream->kept);
	*stream = (struct line_stream){0};
}

/* Keeps bytes of a line whose end has not come, or only its head once it is too long. */
static int keep(struct line_stream *stream, const char *bytes, size_t length)
{
	if (stream->cut)
		return 0;
	if (length > LINE_MAX_BYTES - stream->length) {
		size_t room = stream->length < LINE_HEAD_BYTES ? LINE_HEAD_BYTES - stream->length : 0;

		stream->cut = true;
		length = length < room ? length : room;
	}
	if (stream->length + length > stream->capacity) {
		size_t capacity = stream->capacity ? stream->capacity : 1024;
		char *kept;

		while (capacity < stream->length + length)
			capacity *= 2;
		kept = realloc(stream->kept, capacity);
		if (!kept)
			return -ENOMEM;
		stream->kept = kept;
		stream->capacity = capacity;
	}
	if (length)
		memcpy(stream->kept + stream->length, bytes, length);
	stream->length += length;
	if (stream->cut && stream->length > LINE_HEAD_BYTES)
		stream->length = LINE_HEAD_BYTES;
	return 0;
}

static void forget(struct line_stream *stream)
{
	stream->length = 0;
	stream->cut = false;
	/* A long line is rare: its memory is not kept for the life of the worker. */
	if (stream->capacity > 4096) {
		free(stream->kept);
		stream->kept = NULL;
		stream->capacity = 0;
	}
}

int line_stream_feed(
    struct line_stream *stream, const char *bytes, size_t length, line_callback *callback, void *context)
{
	const char *end = bytes + length;

	while (bytes < end) {
		const char *newline = memchr(bytes, '\n', (size_t)(end - bytes));
		bool go_on;

		if (!newline)
			return keep(stream, bytes, (size_t)(end - bytes));
		if (stream->length || stream->cut || newline - bytes > LINE_MAX_BYTES) {
			int error = keep(stream, bytes, (size_t)(newline - bytes));

			if (error)
				return error;
			go_on = callback(context, stream->kept, stream->length, !stream->cut);
			forget(stream);
		} else {
			go_on = callback(context, bytes, (size_t)(newline - bytes), true);
		}
		if (!go_on)
			return 0;
		bytes = newline + 1;
	}
	return 0;
}

void line_stream_save(const struct line_stream *stream, struct image_writer *image)
{
	image_put(image, 1, stream->cut);
	image_put_block(image, stream->kept, stream->length);
}

int line_stream_restore(struct line_stream *stream, struct image_reader *image)
{
	bool cut = image_get(image, 1, 1);
	size_t length;
	const char *bytes = image_get_block(image, cut ? LINE_HEAD_BYTES : LINE_MAX_BYTES, &length);

	if (!bytes || (cut && length != LINE_HEAD_BYTES) || memchr(bytes, '\n', length))
		return image_reject(image);
	if (keep(stream, bytes, length) < 0)
		image->error = -ENOMEM;
	stream->cut = cut;
	return image->error;
}
