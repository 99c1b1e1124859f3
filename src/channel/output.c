#include "channel/output.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void output_init(struct output *output)
{
	*output = (struct output){.end = &output->first};
}

void output_deinit(struct output *output)
{
	while (output->first)
		output_drop_first(output);
}

static struct output_message *message_new(const char *bytes, size_t length, int fd, int kind, uint64_t number)
{
	struct output_message *message = malloc(sizeof(*message) + length);

	if (!message) {
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	*message = (struct output_message){.fd = fd, .kind = kind, .number = number, .length = length};
	memcpy(message->bytes, bytes, length);
	return message;
}

static void append(struct output *output, struct output_message *message)
{
	*output->end = message;
	output->end = &message->next;
	output->weight += message->length + OUTPUT_OVERHEAD;
}

int output_append(struct output *output, const char *bytes, size_t length, int fd, int kind, uint64_t number)
{
	struct output_message *message;

	if (output->weight + length + OUTPUT_OVERHEAD > OUTPUT_MAX) {
		if (fd >= 0)
			close(fd);
		return -ENOBUFS;
	}
	message = message_new(bytes, length, fd, kind, number);
	if (!message)
		return -ENOMEM;
	append(output, message);
	return 0;
}

int output_prepend(struct output *output, const char *bytes, size_t length, int fd, int kind, uint64_t number)
{
	struct output_message *message = message_new(bytes, length, fd, kind, number);

	if (!message)
		return -ENOMEM;
	message->next = output->first;
	output->first = message;
	if (!message->next)
		output->end = &message->next;
	output->weight += length + OUTPUT_OVERHEAD;
	return 0;
}

void output_drop_first(struct output *output)
{
	struct output_message *message = output->first;

	output->first = message->next;
	if (!output->first)
		output->end = &output->first;
	output->weight -= message->length + OUTPUT_OVERHEAD;
	if (message->fd >= 0)
		close(message->fd);
	free(message);
}

/* Bytes of a message in an image, less its text. */
#define IMAGE_MESSAGE 18

void output_save(const struct output *output, struct image_writer *image)
{
	uint32_t count = 0;

	for (const struct output_message *message = output->first; message; message = message->next)
		count++;
	image_put(image, 4, count);
	for (const struct output_message *message = output->first; message; message = message->next) {
		/* Half sent: its fd went with the first half. */
		bool with_fd = message->fd >= 0 && !message->sent;

		image_put(image, 1, (uint64_t)message->kind);
		image_put(image, 1, with_fd);
		image_put(image, 8, message->number);
		image_put(image, 4, message->length);
		image_put(image, 4, message->sent);
		image_put_bytes(image, message->bytes, message->length);
		if (with_fd)
			image_put_fd(image, message->fd);
	}
}

static int restore_message(struct output *output, struct image_reader *image)
{
	int kind = (int)image_get(image, 1, UINT8_MAX);
	bool with_fd = image_get(image, 1, 1);
	uint64_t number = image_get(image, 8, UINT64_MAX);
	size_t length = image_get(image, 4, UINT32_MAX);
	size_t sent = image_get(image, 4, UINT32_MAX);
	const char *bytes = image_get_bytes(image, length);
	struct output_message *message;

	/* Only the first can be half sent, and then its fd is gone. */
	if (!bytes || sent >= length || (sent && (with_fd || output->first)))
		return image_reject(image);
	message = message_new(bytes, length, with_fd ? image_get_fd(image) : -1, kind, number);
	if (!message) {
		image->error = -ENOMEM;
		return image->error;
	}
	message->sent = sent;
	append(output, message);
	return image->error;
}

int output_restore(struct output *output, struct image_reader *image)
{
	for (uint32_t count = image_get_count(image, IMAGE_MESSAGE); count && !image->error; count--)
		restore_message(output, image);
	return image->error;
}
