/* Protocol accept: what a program's preloaded library (src/worker/accept/) and the front (accept.c) tell each
 * other. Both include this file, and nothing else of one another.
 *
 * Every message is one struct accept_message, a datagram of exactly its size, at most one fd with it. Both
 * ends run on one machine: integers are in its own order, addresses are struct sockaddr_in and sockaddr_in6.
 *
 * A worker has one control socket (SEQPACKET), inherited and shared by all its processes: only OPEN goes over
 * it, and nobody answers there. Each listening socket of the program is the one end of a SEQPACKET pair of
 * its own, a data socket, whose other end came with OPEN. Whoever inherits the listening socket shares its
 * data socket: an answer may be read by another process than the one that asked, but what it says is true for
 * both.
 *
 *   worker                                        front
 *   OPEN + far end of the pair   (control)
 *   BIND address, flags + the program's socket
 *                                                 ANSWER error, address where it really is
 *   LISTEN backlog
 *                                                 ANSWER error
 *   LISTENING
 *                                                 CONNECTION number, client + its socket
 *   OPTION level, name, value    set on the socket that the front listens on; not answered
 *   TAKEN number                 the program has it
 *   REFUSED number               it has not, and no byte was read
 *
 * A worker of node:cluster has no control socket. The front makes the pair, and answers the worker's wish to
 * listen with the worker's end, over Node's own IPC channel; GIVEN is in it already, with the far end:
 *
 *   worker                                        front
 *                                                 GIVEN address, flags + far end of the pair
 *   LISTEN backlog, and so on as above
 *
 * That only the library can make use of. So the front first gives a common socket with the mark GIVEN, of
 * which it keeps a copy: the library, where it is loaded, sees the mark when Node.js looks what kind of socket
 * it has got, and changes it to SEEN.
 *
 * The end of the data socket: no process of the worker has the listening socket any more.
 *
 * A TAKEN for each connection costs the worker more than the rest of its accept(), and wakes the front. While it is busy, the front
 * lets that be said in shared memory:
 *
 *   worker                                        front
 *                                                 MEMORY its name + memfd, once, before the first of
 *                                                 CONNECTION number, client, the memory's name, a cell + its socket
 *   (number into the cell)
 *   TAKEN number                 unless quiet
 *
 * The worker writes the cell before it looks whether to be quiet, the front ends the quiet before it looks at the cells: so one of
 * both sees what the other did (Dekker). Whoever does not know the memory, as a process that has not read MEMORY, sends TAKEN.
 */
#ifndef LIMPET_CHANNEL_ACCEPT_MESSAGE_H
#define LIMPET_CHANNEL_ACCEPT_MESSAGE_H

#include <netinet/in.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define ACCEPT_VERSION 1

/* The environment variable that says where the control socket is: its number, a colon, and the abstract name
 * of the front's end, in hexadecimal digits without the leading zero byte. */
#define ACCEPT_ENVIRONMENT "LIMPET_ACCEPT"

enum accept_type {
	ACCEPT_OPEN = 1,
	ACCEPT_BIND,
	ACCEPT_LISTEN,
	ACCEPT_LISTENING,
	ACCEPT_TAKEN,
	ACCEPT_REFUSED,
	ACCEPT_ANSWER,
	ACCEPT_CONNECTION,
	ACCEPT_OPTION,
	ACCEPT_GIVEN,
	ACCEPT_MEMORY,
};

/* Marks: the SO_PRIORITY of a Unix socket, which means nothing else there. */
enum {
	ACCEPT_MARK_SEEN = 5,  /* also on data sockets: "listens" */
	ACCEPT_MARK_GIVEN = 6, /* by the front; the library looks at it once */
};

enum {
	ACCEPT_BOUND = 1,     /* BIND: the program has bound it itself, to a port of the kernel's choice */
	ACCEPT_IPV6_ONLY = 2, /* BIND */
	ACCEPT_CLIENT_IS_PEER = 4, /* CONNECTION: accept() and getpeername() name this client, not the proxy */
};

union accept_address {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

/* A client's address as programs expect it from a socket of this family. False: it has none there. */
static inline bool accept_address_fit(union accept_address *to, int family, const union accept_address *from)
{
	*to = *from;
	if (from->sa.sa_family == family)
		return true;
	if (from->sa.sa_family != AF_INET || family != AF_INET6)
		return false;
	memset(to, 0, sizeof(*to));
	to->in6.sin6_family = AF_INET6;
	to->in6.sin6_port = from->in.sin_port;
	to->in6.sin6_addr.s6_addr[10] = to->in6.sin6_addr.s6_addr[11] = 0xff;
	memcpy(&to->in6.sin6_addr.s6_addr[12], &from->in.sin_addr, sizeof(from->in.sin_addr));
	return true;
}

/* What both map. A cell holds ACCEPT_CELL_TAKEN and the number of the connection that was last taken. Each side trusts the other's
 * writes no further than its messages. */
#define ACCEPT_CELLS 1023
#define ACCEPT_CELL_TAKEN UINT32_C(0x80000000)

struct accept_memory {
	_Atomic uint32_t quiet;
	_Atomic uint32_t cells[ACCEPT_CELLS];
};

struct accept_message {
	uint32_t type;
	uint32_t number;         /* OPTION: its level; CONNECTION, TAKEN, REFUSED: which; OPEN, GIVEN: ACCEPT_VERSION */
	int32_t value;           /* ANSWER: 0 or a positive errno; LISTEN: the backlog; CONNECTION: the cell */
	uint32_t flags;          /* BIND, CONNECTION; OPTION: its name */
	uint32_t process;        /* TAKEN, REFUSED: the pid that had it, in the program's own namespace; MEMORY, CONNECTION: the
	                          * memory's name, 0: none */
	uint32_t address_length; /* OPTION: of the value, which lies in address; BIND, ANSWER, CONNECTION, GIVEN; 0: none, or a Unix path */
	union accept_address address;
};

#endif
