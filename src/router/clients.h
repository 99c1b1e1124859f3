/* How many connections wait for each client prefix (IPv4 /32, IPv6 /64): the bound max_waiting_per_client. */
#ifndef LIMPET_ROUTER_CLIENTS_H
#define LIMPET_ROUTER_CLIENTS_H

#include "base/address.h"

struct client_count;
struct pick_secret;

/* Keys the table's hash, so that clients cannot choose addresses that collide. Borrowed. */
void clients_init(const struct pick_secret *secret);

/* Counts one more; *count names the prefix for clients_leave(). Returns how many there are now, 0 if out of memory. */
unsigned clients_enter(struct client_count **clients, const struct address *peer, struct client_count **count);

/* Counts one less. count may be NULL. */
void clients_leave(struct client_count **clients, struct client_count *count);

#endif
