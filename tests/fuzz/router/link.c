/* Datagrams of the link between supervisor and router, as a router that was taken over could send them: what is accepted is
 * well-formed. An input is a row of datagrams: length in two bytes, then so many bytes; those of the length's top bit carry an fd. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd_passing.h"
#include "fuzz.h"
#include "router/link.h"

static void check(const struct link_message *message)
{
	char text[ADDRESS_TEXT_MAX];

	REQUIRE(strnlen(message->key, sizeof(message->key)) <= CHANNEL_KEY_MAX);
	REQUIRE(strnlen(message->data, sizeof(message->data)) <= CHANNEL_DATA_MAX);
	REQUIRE(message->address.length <= sizeof(message->address.un));
	REQUIRE(strlen(address_format(&message->address, text, sizeof(text))) < sizeof(text));
}

static size_t send_one(int fd, const uint8_t *data, size_t size)
{
	size_t length;

	if (size < 2)
		return 0;
	length = (size_t)(data[0] & 0x7f) << 8 | data[1];
	if (length > size - 2)
		length = size - 2;
	if (length > 0 && fd_send(fd, data + 2, length, data[0] & 0x80 ? fd : -1) < 0)
		return 0;
	return 2 + length;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int ends[2], fd, result;
	struct link_message message;
	struct link *link;
	size_t taken;

	REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
	link = link_new(ends[1]);
	REQUIRE(link);
	while ((taken = send_one(ends[0], data, size)) > 0) {
		data += taken;
		size -= taken;
	}
	close(ends[0]);
	do {
		result = link_receive(link, &message, &fd);
		if (result > 0)
			check(&message);
		else
			REQUIRE(result == -EPROTO || result == -ECONNRESET);
		if (fd >= 0) {
			REQUIRE(result > 0);
			close(fd);
		}
	} while (result > 0 || result == -EPROTO);
	link_free(link);
	return 0;
}
