/* Writes and reads the bytes and fds of a struct channel_image. Knows nothing of what they mean: each module
 * of a channel writes and reads its own part. Owns the layout of the whole:
 *
 *   header    "LMPC", u16 version, u8 protocol (1 node-cluster, 2 node-ipc, 3 limpet, 4 accept)
 *   channel   u8 flags (1 broken, 2 full, 4 ending, 8 drained, 16 ready told), u16 errno of broken,
 *             u64 skipped
 *   pending   u32 next seq, u32 count, count times {u32 seq, u32 id} in the order sent
 *   output    u32 count, count times {u8 kind, u8 has an fd, u64 number, u32 length, u32 sent, bytes}
 *   Node      u8 flags (1 in step, 2 probing, 4 probe lost, 8 alive wanted, 16 has the library, 32 a copy of the
 *             probe's socket, which is an fd), u32 probe, u32 unread bytes,
 *             u32 count, count times {u32 its end in the unread bytes, u8 kind, u64 number},
 *             u8 line is cut, u32 length, the line so far
 *   cluster   u64 last request, u32 count, count times {u64 request, u64 seq, u8 flags (1 UDP, 2 answer waits),
 *             u16 port, u32 length, key, u32 length, data, u32 length, address (a sockaddr) of the answer},
 *             u8 has data sockets: then those of accept follow
 *   limpet    u32 ping, u8 pinging
 *   accept    u64 last server, u32 binds to port 0, u32 count, count times {u64 server, u8 state, u8 IPv6 only,
 *             u32 answers owed, u32 length, key, u32 length, address (a sockaddr), u32 count, count times u32 seq},
 *             and an fd each
 *
 * Of the last four node-cluster has Node and cluster, node-ipc has Node, limpet has limpet, and accept has accept.
 * Integers are little-endian. An fd has no bytes: the messages that have one take the image's fds in turn.
 * Whoever changes the layout, or the meaning of a number in it, raises IMAGE_VERSION.
 */
#ifndef LIMPET_CHANNEL_IMAGE_H
#define LIMPET_CHANNEL_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "channel/channel.h"

#define IMAGE_VERSION 2

/* Errors stay: after the first one nothing more is written, and `error` says what it was (-ENOMEM). */
struct image_writer {
	struct channel_image *image;
	size_t bytes_room, fds_room;
	int error;
};

void image_writer_init(struct image_writer *writer, struct channel_image *image);

/* The lowest `width` bytes of a number. */
void image_put(struct image_writer *writer, unsigned width, uint64_t number);
void image_put_bytes(struct image_writer *writer, const void *bytes, size_t length);

/* Their length in four bytes before them. */
void image_put_block(struct image_writer *writer, const void *bytes, size_t length);

/* The fd is borrowed. */
void image_put_fd(struct image_writer *writer, int fd);

/* Errors stay: after the first one every number is 0, every block is empty, and `error` says what it was
 * (-EPROTO; who reads may set -ENOMEM). */
struct image_reader {
	const unsigned char *at, *end;
	const int *fds;
	size_t fds_left;
	int error;
};

/* The image is borrowed, its fds are consumed. */
void image_reader_init(struct image_reader *reader, const struct channel_image *image);

/* Closes the fds that nobody took. Bytes or fds left over are an error. Returns reader->error. */
int image_reader_finish(struct image_reader *reader);

/* What was read makes no sense. Returns reader->error. */
int image_reject(struct image_reader *reader);

/* A number of that width, at most `maximum`. */
uint64_t image_get(struct image_reader *reader, unsigned width, uint64_t maximum);

/* A u32 that counts things of at least `each` bytes that follow: never more than can be there. */
uint32_t image_get_count(struct image_reader *reader, size_t each);

/* Bytes of the image itself; NULL only after an error. */
const void *image_get_bytes(struct image_reader *reader, size_t length);

/* Bytes with their length before them, at most `maximum`. */
const void *image_get_block(struct image_reader *reader, size_t maximum, size_t *length);

/* The caller owns it. -1 after an error. */
int image_get_fd(struct image_reader *reader);

#endif
