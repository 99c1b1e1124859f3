/* What waits in a router for a worker, kept here as well: a set of sockets, each with what the router knows of it, for the next
 * router if this one crashes. Nothing of it is looked at.
 */
#ifndef LIMPET_SUPERVISOR_PARKED_H
#define LIMPET_SUPERVISOR_PARKED_H

#include <stdint.h>

#include "router/link.h"

/* NULL is the empty set. */
struct parked;

/* Adds a LINK_PARK message with a copy of its fd (borrowed). One with the same number is replaced. 0; -EINVAL (no fd), -EMFILE,
 * -ENOBUFS (too many) or -ENOMEM: it is not kept. */
int parked_add(struct parked **set, const struct link_message *message, int fd);

/* LINK_UNPARK. Nothing happens if there is none of this number. */
void parked_remove(struct parked **set, uint64_t number);

/* All of from go to another set; from becomes empty. */
void parked_move(struct parked **from, struct parked **to);

void parked_free(struct parked **set);

/* Calls tell with each as a LINK_PARKED message and its fd (borrowed). */
void parked_each(const struct parked *set, void (*tell)(void *owner, const struct link_message *message, int fd), void *owner);

#endif
