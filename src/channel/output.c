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
	*output->end = message;
	output->end = &message->next;
	output->weight += length + OUTPUT_OVERHEAD;
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
