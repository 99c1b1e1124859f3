/* Cuts a stream of bytes into lines that end with '\n', in bounded memory. Knows nothing of what a line says.
 *
 * A line longer than LINE_MAX is not kept: of it only the first LINE_HEAD bytes are given, when its end has
 * come.
 */
#ifndef LIMPET_CHANNEL_LINE_STREAM_H
#define LIMPET_CHANNEL_LINE_STREAM_H

#include <stdbool.h>
#include <stddef.h>

#include "channel/image.h"

#define LINE_MAX_BYTES 65536
#define LINE_HEAD_BYTES 64

struct line_stream {
	char *kept; /* the line so far */
	size_t length, capacity;
	bool cut; /* it is too long: kept holds its head only */
};

/* line: without its '\n', not NUL-terminated, valid only during the call; whole: false if it was cut.
 * Returns false to stop. */
typedef bool line_callback(void *context, const char *line, size_t length, bool whole);

void line_stream_init(struct line_stream *stream);
void line_stream_deinit(struct line_stream *stream);

/* The line so far to an image, and from it to a new stream; see image.h. Returns image->error. */
void line_stream_save(const struct line_stream *stream, struct image_writer *image);
int line_stream_restore(struct line_stream *stream, struct image_reader *image);

/* Calls back for every line that ends in these bytes. If the callback stops it, the rest of the bytes is
 * dropped. 0 or -ENOMEM. */
int line_stream_feed(
    struct line_stream *stream, const char *bytes, size_t length, line_callback *callback, void *context);

#endif
