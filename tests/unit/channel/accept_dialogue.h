/* Tests of protocol accept: a channel, its owner, and a worker that is a control socket and the near ends of data sockets. */
#ifndef LIMPET_TESTS_UNIT_CHANNEL_ACCEPT_DIALOGUE_H
#define LIMPET_TESTS_UNIT_CHANNEL_ACCEPT_DIALOGUE_H

#include <stdbool.h>

#include "testing.h"

#include "channel/accept_message.h"
#include "channel/channel.h"

#define ANY "0.0.0.0:80"
#define TOLD_MAX 4096

extern struct channel *channel;
extern int control; /* the worker's end; -1: closed */
extern char told[TOLD_MAX];
extern uint64_t request; /* the last one */
extern int front; /* a copy of the front's end, for handing over */
extern unsigned window;
extern const struct channel_events events; /* what tells */
extern int kept_fd; /* of the last kept event */

/* To another channel, as to that of another router. */
void hand_over(void);

/* Protocol accept. With $HAND_OVER it is handed over after each reading. */
void open_channel(unsigned new_window);
void close_fd(int *fd);
void close_channel(void);

/* What the owner does. told is what it was told since owner_is_told(). */
void owner_reads(void);
void owner_is_told(const char *expected);
int owner_sends(uint32_t id, const char *key);

/* What the worker does. Returns the near end of a data socket. */
int worker_opens(void);
void worker_says(int near, enum accept_type type, uint32_t number, int value);
void worker_binds(int near, const char *text, unsigned flags);
void worker_sets(int near, uint32_t level, uint32_t name, int value, uint32_t length);

/* Returns the number in the message. */
uint32_t worker_hears(int near, enum accept_type type, int value);
void worker_hears_nothing(int near);
void owner_answers(int error);

/* A server that takes connections; what the owner is told on the way is not looked at. */
int listening(const char *address);

#endif
