/* The front, played by a test: says and hears datagrams, for tests that read as a dialogue. */
#ifndef LIMPET_TESTS_LIBLIMPET_FRONT_H
#define LIMPET_TESTS_LIBLIMPET_FRONT_H

#include "testing.h"

#include "limpet.h"
#include "session.h"

struct front {
	int listening; /* front_listen()'s socket, or -1 */
	int channel;   /* the front's end, or -1 */
	char name[64]; /* where it listens: "@..." */
};

/* One end of a pair; the other one is returned. */
int front_pair(struct front *front);

/* Listens at an abstract name of its own. */
void front_listen(struct front *front);
/* Takes in what has connected. */
void front_accept(struct front *front);

void front_close_channel(struct front *front);
void front_close(struct front *front);

void front_says(struct front *front, const char *text);
/* With so many copies of this fd, which is borrowed. */
void front_passes(struct front *front, const char *text, int fd, unsigned copies);
void front_sends(struct front *front, const void *bytes, size_t length);

/* {"type":"connection",...} with a socket, whose other end is returned. */
int front_connects(struct front *front, unsigned id);

/* The next datagram is this; none is there. */
void front_hears(struct front *front, const char *text);
void front_hears_nothing(struct front *front);
void front_hears_end(struct front *front);

/* Fills the channel towards the front, so that its worker can send nothing; front_reads() undoes that. */
void front_stops_reading(struct front *front, int worker);
void front_reads(struct front *front);

/* The other end of a connection is open, and its worker's has said this; is closed by everybody. */
void peer_hears(int peer, const char *text);
void peer_is_closed(int peer);

/* Is it readable? */
bool polls(int fd);

#endif
