/* One WebSocket of the demo worker: the handshake's answer, frames (by libwslay) and their bounds. Owns no fd
 * and no watcher: its owner polls and calls demo_websocket_advance(). */
#ifndef LIMPET_WORKER_DEMO_WEBSOCKET_H
#define LIMPET_WORKER_DEMO_WEBSOCKET_H

#include <stdbool.h>
#include <stddef.h>

#define DEMO_MESSAGE_MAX (64 * 1024)
#define DEMO_ACCEPT_SIZE 29

struct demo_websocket;

/* Writes Sec-WebSocket-Accept for the client's key (RFC 6455, 4.2.2). False: the key is not 16 bytes in
 * base64. */
bool demo_websocket_accept(const char *key, char accept[DEMO_ACCEPT_SIZE]);

/* A whole message came; called from within demo_websocket_advance(). A text message is valid UTF-8; it is not
 * NUL-terminated. The callback may call demo_websocket_send(), and must not free the websocket. */
typedef void demo_websocket_message(void *owner, const char *bytes, size_t length, bool text);

/* fd is borrowed, non-blocking. early: bytes that came behind the request, copied. NULL: out of memory or too
 * many. */
struct demo_websocket *demo_websocket_new(
    int fd, const char *early, size_t early_length, demo_websocket_message *message, void *owner);
void demo_websocket_free(struct demo_websocket *websocket);

/* Reads and writes what the socket has and takes, bounded in one call. 0; negative: over, close the
 * connection. */
int demo_websocket_advance(struct demo_websocket *websocket);

bool demo_websocket_wants_read(const struct demo_websocket *websocket);
bool demo_websocket_wants_write(const struct demo_websocket *websocket);

/* advance() stopped at its bound although bytes are left that the socket will not announce again. */
bool demo_websocket_wants_more(const struct demo_websocket *websocket);

/* Queue a text message, a ping. Negative: not queued (closing, or out of memory). */
int demo_websocket_send(struct demo_websocket *websocket, const char *text, size_t length);
int demo_websocket_ping(struct demo_websocket *websocket);

/* Has a whole frame of any kind come since the last time this was asked? */
bool demo_websocket_heard(struct demo_websocket *websocket);

#endif
