#include "channel/image.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- writing ---- */

void image_writer_init(struct image_writer *writer, struct channel_image *image)
{
	*image = (struct channel_image){0};
	*writer = (struct image_writer){.image = image};
}

void channel_image_free(struct channel_image *image)
{
	free(image->bytes);
	free(image->fds);
	*image = (struct channel_image){0};
}

void image_put_bytes(struct image_writer *writer, const void *bytes, size_t length)
{
	struct channel_image *image = writer->image;

	if (writer->error || !length)
		return;
	if (length > writer->bytes_room - image->length) {
		size_t room = writer->bytes_room ? writer->bytes_room : 256;
		unsigned char *more;

		while (room - image->length < length)
			room *= 2;
		more = realloc(image->bytes, room);
		if (!more) {
			writer->error = -ENOMEM;
			return;
		}
		image->bytes = more;
		writer->bytes_room = room;
	}
	memcpy(image->bytes + image->length, bytes, length);
	image->length += length;
}

void image_put(struct image_writer *writer, unsigned width, uint64_t number)
{
	unsigned char bytes[8];

	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)(number >> (8 * i));
	image_put_bytes(writer, bytes, width);
}

void image_put_block(struct image_writer *writer, const void *bytes, size_t length)
{
	image_put(writer, 4, length);
	image_put_bytes(writer, bytes, length);
}

void image_put_fd(struct image_writer *writer, int fd)
{
	struct channel_image *image = writer->image;

	if (writer->error)
		return;
	if (image->fds_count == writer->fds_room) {
		size_t room = writer->fds_room ? 2 * writer->fds_room : 4;
		int *more = realloc(image->fds, room * sizeof(*more));

		if (!more) {
			writer->error = -ENOMEM;
			return;
		}
		image->fds = more;
		writer->fds_room = room;
	}
	image->fds[image->fds_count++] = fd;
}

/* ---- reading ---- */

void image_reader_init(struct image_reader *reader, const struct channel_image *image)
{
	*reader = (struct image_reader){.at = image->bytes, .fds = image->fds, .fds_left = image->fds_count};
	reader->end = image->length ? image->bytes + image->length : image->bytes;
	if (image->length > CHANNEL_IMAGE_BYTES_MAX || image->fds_count > CHANNEL_IMAGE_FDS_MAX)
		image_reject(reader);
}

int image_reader_finish(struct image_reader *reader)
{
	if (reader->at != reader->end || reader->fds_left)
		image_reject(reader);
	for (; reader->fds_left; reader->fds_left--)
		if (*reader->fds++ >= 0)
			close(reader->fds[-1]);
	return reader->error;
}

int image_reject(struct image_reader *reader)
{
	if (!reader->error)
		reader->error = -EPROTO;
	return reader->error;
}

const void *image_get_bytes(struct image_reader *reader, size_t length)
{
	const unsigned char *bytes = reader->at;

	if (!reader->error && length > (size_t)(reader->end - reader->at))
		image_reject(reader);
	if (reader->error)
		return NULL;
	reader->at += length;
	return bytes;
}

uint64_t image_get(struct image_reader *reader, unsigned width, uint64_t maximum)
{
	const unsigned char *bytes = image_get_bytes(reader, width);
	uint64_t number = 0;

	if (!bytes)
		return 0;
	for (unsigned i = 0; i < width; i++)
		number |= (uint64_t)bytes[i] << (8 * i);
	if (number > maximum) {
		image_reject(reader);
		return 0;
	}
	return number;
}

uint32_t image_get_count(struct image_reader *reader, size_t each)
{
	uint64_t count = image_get(reader, 4, UINT32_MAX);

	if (count > (size_t)(reader->end - reader->at) / each)
		image_reject(reader);
	return reader->error ? 0 : (uint32_t)count;
}

const void *image_get_block(struct image_reader *reader, size_t maximum, size_t *length)
{
	const void *bytes;

	*length = image_get(reader, 4, maximum);
	bytes = image_get_bytes(reader, *length);
	if (!bytes)
		*length = 0;
	return bytes;
}

int image_get_fd(struct image_reader *reader)
{
	if (!reader->error && (!reader->fds_left || *reader->fds < 0))
		image_reject(reader);
	if (reader->error)
		return -1;
	reader->fds_left--;
	return *reader->fds++;
}
