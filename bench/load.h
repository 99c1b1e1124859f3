/* The load client of the benchmarks: many connections from one thread, each with a user, a cookie and a
 * source address.
 *
 * load.c holds the options and prints, client.c is one connection, courses.c what is done with many of them.
 */
#ifndef LIMPET_BENCH_LOAD_H
#define LIMPET_BENCH_LOAD_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ANSWER_MAX 1024

/* Times in nanoseconds, within 1.6 %. */
struct histogram {
	uint64_t counts[64 * 64];
	uint64_t total;
	uint64_t most;
};

void histogram_add(struct histogram *histogram, uint64_t value);

/* part: 0.5 for the median. 0 if nothing was added. */
uint64_t histogram_at(const struct histogram *histogram, double part);

enum client_state {
	CLIENT_FREE,
	CLIENT_CONNECTING,
	CLIENT_ASKED,  /* the request is out */
	CLIENT_PINNED, /* answered, and kept */
};

enum failure {
	FAILED_CONNECT,
	FAILED_RESET,   /* a reset, or the end of the stream, before the answer */
	FAILED_STATUS,  /* an answer other than 200 or 101 */
	FAILED_TIMEOUT, /* not answered when the course was over */
	FAILURES,
};

struct client {
	int fd;
	enum client_state state;
	bool heard; /* the first byte of the answer has come */
	bool websocket;
	unsigned user;
	uint64_t begun;  /* of the request or message that is under way */
	size_t expected; /* bytes of an echo still to come */
	size_t unsent;   /* bytes of a message still to go */
	size_t got;
	char answer[ANSWER_MAX];
};

struct load {
	/* Options. */
	struct sockaddr_in address;
	unsigned connections, first, sources, users, rate, size,
	    every; /* first: the number of the first user */
	double seconds;
	uint64_t count;
	bool websocket;
	/* State. */
	int epoll;
	struct client *clients;
	char *message; /* one WebSocket frame, masked */
	size_t message_length, echo_length;
	/* What was found. */
	uint64_t opened, answered, echoes, moved, failed[FAILURES];
	struct histogram first_byte, echo;
	int *worker_of_user; /* 0: not known yet */
};

uint64_t now_ns(void);

/* Begins a connection of this user, whose source address and cookie follow from the number. */
void client_connect(struct load *load, struct client *client, unsigned user);

enum client_event {
	CLIENT_NOTHING,
	CLIENT_ANSWERED, /* the answer to its first request is complete; it is pinned now */
	CLIENT_ECHOED,   /* the echo of what client_say() sent is complete */
	CLIENT_FAILED,   /* and is closed; counted */
};

/* To be called when epoll says something of it. */
enum client_event client_advance(struct load *load, struct client *client, uint32_t events);

/* Sends the load's message to a pinned WebSocket, or another request to one of HTTP; its echo is to come. */
enum client_event client_say(struct load *load, struct client *client);

/* reset: with RST. */
void client_close(struct client *client, bool reset);

/* Prepares message and echo_length; ping: a ping frame. */
bool load_message(struct load *load, bool ping);

/* Prints one line of JSON: what was found since the last one. */
void load_print(struct load *load, const char *phase, double seconds);

/* One short connection after the other, `connections` at a time or at `rate` a second, for `seconds` or
 * `count`. */
int course_connections(struct load *load);

/* `connections` pinned ones, each with a message under way all the time. */
int course_echo(struct load *load);

/* `connections` pinned ones, each with a ping every `every` ms for `seconds`, again for each line on standard
 * input. */
int course_idle(struct load *load);

/* `connections` pinned ones, which at each line on standard input are all reset and come back at once. */
int course_storm(struct load *load);

#endif
