/* accept(): a connection comes as a datagram with its socket. It is acknowledged before the program sees it:
 * a program that was killed without an acknowledgement has never read a byte, and limpet gives the connection
 * to another. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "worker/accept/shim.h"

/* The front reads acknowledgements at once, unless it is being replaced. */
#define ACKNOWLEDGE_MILLISECONDS 1000

static void acknowledge(int fd, enum accept_type type, uint32_t number)
{
	struct accept_message message = {.type = type, .number = number, .process = (uint32_t)getpid()};
	struct pollfd writable = {.fd = fd, .events = POLLOUT};
	int tries = 2;

	while (send(fd, &message, sizeof(message), MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN || --tries == 0 || poll(&writable, 1, ACKNOWLEDGE_MILLISECONDS) <= 0)
			return;
	}
}

/* The peer's address as accept() gives it, also of a client that has gone already. */
static void tell_peer(
    int fd, const struct accept_message *message, struct sockaddr *address, socklen_t *length)
{
	union accept_address client;
	socklen_t client_length;

	if (message->flags & ACCEPT_CLIENT_IS_PEER)
		peer_note(fd, &message->address);
	if (!address || !length)
		return;
	if ((message->flags & ACCEPT_CLIENT_IS_PEER) && peer_find(fd, &client, &client_length))
		copy_address(&client, client_length, address, length);
	else if (real()->getpeername(fd, address, length) < 0)
		copy_address(&message->address, message->address_length, address, length);
}

/* libuv, when there is no free fd, closes a spare one and throws away all that it can accept then. The front has
 * a worker for them: so the next question after EMFILE is answered as if nobody else were waiting. Only Node.js'
 * sockets: others might count on being told of a connection once. */
static __thread int throws_away = -1;

static int no_free_fd(int fd)
{
	struct swapped info;

	if (swapped_is(fd, &info) && info.given)
		throws_away = fd;
	errno = EMFILE;
	return -1;
}

static bool is_thrown_away(int fd)
{
	bool result = throws_away == fd;

	throws_away = -1;
	return result;
}

/* As accept() waits. *waited_for is the socket where, if it has waited: the number may be another's afterwards. */
static ssize_t receive_waiting(
    int fd, struct accept_message *message, int flags, int *received, struct swapped *waited_for)
{
	int cloexec = flags & SOCK_CLOEXEC ? MSG_CMSG_CLOEXEC : 0, status;
	ssize_t length = message_receive(fd, message, cloexec | MSG_DONTWAIT, received);

	waited_for->identity = 0;
	if (length >= 0 || errno != EAGAIN)
		return length;
	status = real()->fcntl(fd, F_GETFL);
	if (status < 0 || status & O_NONBLOCK) {
		errno = EAGAIN;
		return -1;
	}
	if (!swapped_is(fd, waited_for))
		waited_for->identity = 0;
	return message_receive(fd, message, cloexec, received);
}

/* Another thread has closed the socket, or put another in its place, while this one waited there. An acknowledgement would go
 * astray, or come behind the end of the socket, upon which the front gives the connection to another worker. So it is refused. */
static bool is_gone(int fd, const struct swapped *waited_for, uint32_t number)
{
	struct swapped now;
	bool swapped;

	if (!waited_for->identity)
		return false;
	swapped = swapped_is(fd, &now);
	if (swapped && now.identity == waited_for->identity)
		return false;
	/* The front takes it from any. */
	if (swapped)
		acknowledge(fd, ACCEPT_REFUSED, number);
	return true;
}

int accepted_take(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
	if (throws_away >= 0 && is_thrown_away(fd)) {
		errno = EAGAIN;
		return -1;
	}
	for (;;) {
		struct accept_message message;
		int connection, before = errno;
		struct swapped waited_for;
		ssize_t received = receive_waiting(fd, &message, flags, &connection, &waited_for);

		if (received < 0)
			return -1;
		if (received == 0) {
			errno = EINVAL; /* as after shutdown() of a listening socket */
			return -1;
		}
		if (received != sizeof(message) || message.type != ACCEPT_CONNECTION) {
			if (received == sizeof(message) && message.type == ACCEPT_MEMORY && connection >= 0)
				taken_map(message.process, connection);
			else if (connection >= 0)
				real()->close(connection);
			continue;
		}
		if (is_gone(fd, &waited_for, message.number)) {
			if (connection >= 0)
				real()->close(connection);
			errno = ECONNABORTED;
			return -1;
		}
		/* The kernel had no free fd for it and has dropped its copy. The front has another. */
		if (connection < 0) {
			acknowledge(fd, ACCEPT_REFUSED, message.number);
			return no_free_fd(fd);
		}
		if (!taken_note(&message))
			acknowledge(fd, ACCEPT_TAKEN, message.number);
		/* The open file came blocking, as accept() makes them. */
		if (flags & SOCK_NONBLOCK)
			fcntl(connection, F_SETFL, O_RDWR | O_NONBLOCK);
		swapped_forget(connection);
		polled_accepted(connection);
		tell_peer(connection, &message, address, length);
		errno = before;
		return connection;
	}
}
