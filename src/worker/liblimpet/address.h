/* The client address, as a message has it, for those who want it as accept(2) gives it. */
#ifndef LIMPET_WORKER_LIBLIMPET_ADDRESS_H
#define LIMPET_WORKER_LIBLIMPET_ADDRESS_H

#include <stdbool.h>
#include <sys/socket.h>

/* Reads "203.0.113.9:51123", "[2001:db8::1]:51123", "unix:/path", "unix:@name" and "unix:" (a socket without
 * a name). false, with *length 0, if it is something else. */
bool limpet_address_read(const char *text, struct sockaddr_storage *address, socklen_t *length);

#endif
