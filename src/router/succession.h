/* Succession: a router passes its successor every connection that is not handed off and acknowledged, and every worker channel as
 * it stands. What succession loses (a router that crashes in the middle) is treated as after a crash.
 *
 * Messages go over a SEQPACKET socketpair between two processes of the same user; both may be of different builds, so each message
 * carries SUCCESSION_VERSION, and a receiver checks what it gets.
 */
#ifndef LIMPET_ROUTER_SUCCESSION_H
#define LIMPET_ROUTER_SUCCESSION_H

#include "router/router.h"

/* To be raised when struct succession_message or its meaning changes. */
#define SUCCESSION_VERSION 2

/* Sends everything through fd (consumed). Blocks, at most for seconds. Afterwards the router accepts and sends nothing any more.
 * 0, or a negative errno: the successor has got only a part. */
int succession_export(struct router *router, int fd);

/* Receives everything from fd (consumed): workers get their channels, connections their places. Blocks, at most for seconds.
 * 0, or a negative errno: the predecessor ended early; what came is in place. */
int succession_import(struct router *router, int fd);

#endif
