/* One worker's channel: a Unix socket over which the front passes client sockets and the worker answers.
 *
 * One interface, four protocols behind it: node-cluster (node_cluster.c), node-ipc (node_ipc.c), limpet (native.c), accept
 * (accept.c).
 * A channel has no clock, no timers and no event loop: its owner polls channel_fd() and calls channel_readable() and
 * channel_writable(). What a worker sends is untrusted: messages are bounded and checked, fds that it sends are closed,
 * messages of the application itself are skipped.
 *
 * A hand-off is at any moment in one of these states, seen from the owner:
 *   not sent       channel_send_connection() returned a negative errno: the worker never got it
 *   sent           until exactly one of acknowledged() or refused() comes for its id
 * When the channel ends (failed()), what was sent and not answered is still listed by channel_next_unacknowledged(): if the
 * worker is dead, it never accepted them, and the owner still has their sockets.
 */
#ifndef LIMPET_CHANNEL_CHANNEL_H
#define LIMPET_CHANNEL_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "config/config.h"

struct channel;

/* Longest key of a server and longest `data` of a listen request, in bytes without the NUL. Longer ones are refused. */
#define CHANNEL_KEY_MAX 512
#define CHANNEL_DATA_MAX 4096

/* Longest value of a socket's option: a number, or struct linger. */
#define CHANNEL_OPTION_MAX 8

/* Protocol limpet: what its hello and its welcome say. */
#define CHANNEL_VERSION 1

/* The most numbers of its own that a worker tells at a time, and how long their names ([a-z0-9_]) are, without the NUL. */
#define CHANNEL_STATS_MAX 16
#define CHANNEL_STAT_NAME_MAX 32

struct channel_stat {
	char name[CHANNEL_STAT_NAME_MAX + 1];
	double value; /* finite */
};

/* A worker asks to listen. Valid only during the call; answered with channel_answer_listen(), at once or later. */
struct channel_listen {
	uint64_t request;   /* names it in the answer */
	int socket_type;    /* SOCK_STREAM or SOCK_DGRAM */
	struct address address; /* port 0: any. Family AF_UNIX for a path */
	bool any_address;   /* the worker named no address: both families where the kernel has IPv6 */
	bool ipv6_only;
	unsigned index;     /* tells several listens on the same address and port 0 apart */
	int backlog;        /* 0: not said */
	const char *key;    /* the worker's name for this server; unique within the worker */
	const char *data;   /* JSON text that belongs to the server (TLS ticket keys), or NULL */
	int fd;             /* accept: the program's own TCP socket, borrowed, which is to be used; -1: none */
	bool bind_only;     /* accept: only to be bound; the same key comes again when it is to listen */
};

/* What a channel tells its owner, always from within channel_readable(), channel_writable(), channel_look() or channel_settle().
 * The owner must not free the channel inside a callback. */
struct channel_events {
	void (*listen)(void *owner, const struct channel_listen *listen);
	/* The server `key`, answered before without an error, accepts connections now. A channel over a socket that a
	 * predecessor used may name a server that the predecessor answered for: ignore keys that you do not know. */
	void (*listening)(void *owner, const char *key);
	/* accept: the application sets an option of the server `key`, as setsockopt() does. value: 1 to CHANNEL_OPTION_MAX bytes.
	 * Whether it may is the owner's. Optional for owners of other protocols. */
	void (*option)(void *owner, const char *key, int level, int name, const void *value, size_t length);
	/* The server `key` was closed by the application. */
	void (*closed_server)(void *owner, const char *key);
	/* accept, node-cluster: the front's end of a data socket of the server `key`, borrowed: to be kept, as `number`, for a channel that
	 * begins after a crash (channel_keep()). What was kept is over. Both optional for owners of other protocols. */
	void (*kept)(void *owner, const char *key, uint64_t number, int fd);
	void (*dropped)(void *owner, uint64_t number);
	/* The worker takes connections. For node-cluster this comes with the first listening() of a stream server, for
	 * workers of node-ipc that never listen as soon as their event loop runs. At most once. */
	void (*ready)(void *owner);
	void (*acknowledged)(void *owner, uint32_t id);
	void (*refused)(void *owner, uint32_t id);
	/* The worker says that so many of the connections it was given have ended (protocols that do). */
	void (*connections_closed)(void *owner, unsigned count);
	/* Numbers of the worker's own, in place of those that it told before. Optional. */
	void (*stats)(void *owner, const struct channel_stat *stats, size_t count);
	/* The worker will take no more connections and ends by itself when its last one ended: no new hand-offs. */
	void (*leaving)(void *owner);
	/* An answer to channel_probe(): the worker's event loop runs. */
	void (*alive)(void *owner);
	/* The worker has closed what it listens to its primary by, but may still take what is in its data sockets: answers go
	 * on, no new hand-offs. Not told of one that is finishing. Optional for owners of protocols without both. */
	void (*unreachable)(void *owner);
	/* The channel is over: reason is a short static text ("end of file", "message too long"). Last callback ever;
	 * error is a negative errno, 0 at the end of the stream, -EPROTO if the worker broke the protocol. */
	void (*failed)(void *owner, int error, const char *reason);
};

struct channel_connection {
	uint32_t id;            /* the owner's; must not be in use on this channel */
	int fd;                 /* borrowed: the owner keeps its copy until acknowledged() */
	const char *server_key; /* node-cluster, accept: which of the worker's servers, not checked; others: NULL */
	const char *listener;   /* name of the listener */
	const struct address *client; /* the client address */
	bool client_is_peer;    /* accept: the program is told that the connection is from there, instead of from a proxy */
	const char *key_source; /* "ip", "cookie", ... */
};

/* Makes a channel over fd, which is consumed (closed by channel_free), also on failure. A predecessor may have used the same
 * socket: answers to its hand-offs are ignored. The Node protocols send a first probe at once (a socket(AF_UNIX) is made for
 * each), and no connection before it was answered, which a worker does when its event loop runs. window: the most hand-offs
 * that may be unacknowledged, 1 to 65535. events and owner are borrowed and must outlive the channel.
 * fd: SOCK_STREAM for the Node protocols, SOCK_SEQPACKET for limpet. NULL: out of memory. */
struct channel *channel_new(enum protocol protocol, enum flavour flavour, int fd, unsigned window,
    const struct channel_events *events, void *owner);

/* Closes the fd. Hand-offs not acknowledged are forgotten: their sockets are the owner's. NULL is allowed. */
void channel_free(struct channel *channel);

int channel_fd(const struct channel *channel);

/* accept, node-cluster: a data socket that kept() told a former owner, which has crashed. fd: consumed, also on failure. Before the first
 * channel_readable(). What is known already is only closed. 0, -ENOMEM, -EINVAL (another protocol, or too many), or an errno of
 * epoll_ctl(). */
int channel_keep(struct channel *channel, const char *key, uint64_t number, int fd);

/* node-cluster: connections are to come through accept() where the worker has the library for it (accept_message.h); its listen
 * requests are then answered with data sockets, and answers wait until that is known. Others: nothing. Right after
 * channel_new() or channel_restore(), which it does not go on from: channel_fd() may be another afterwards. */
void channel_offer_accept(struct channel *channel);

/* Is something queued that channel_writable() would send? The owner then polls for writing. */
bool channel_wants_write(const struct channel *channel);

/* Reads what is there, bounded in one call (64 KiB), so that a flood from one worker does not stall others. */
void channel_readable(struct channel *channel);

/* Sends what is queued, as far as the socket takes it. */
void channel_writable(struct channel *channel);

/* Could channel_send_connection() be tried now: window not full, byte rule kept, nothing queued before it, not draining or
 * leaving, not failed? It becomes so again with acknowledged(), refused(), alive(), or in channel_writable(). */
bool channel_can_send(const struct channel *channel);

/* Sends a connection. Never queues: it is sent whole, or not at all.
 * Returns 0; -EAGAIN (window, byte rule, or socket full: try again when channel_can_send());
 * -ETOOMANYREFS (the kernel's limit of fds under way, told by no event: try again later); -EINVAL (no server_key, or it is
 * too long); -EPIPE or another negative errno if the channel drains, the worker leaves, or the channel is over.
 * A server_key that the worker has closed, or never had, is answered with refused(). */
int channel_send_connection(struct channel *channel, const struct channel_connection *connection);

/* Answers a listen request: error 0, or a positive errno for the worker. sockname: where the listener really is. fd: a UDP
 * socket that the worker shares, borrowed; -1 for stream sockets. data: JSON text given back to the worker (NULL: its own).
 * Queues if the socket is full. 0, -ENOENT (no such request), -ENOMEM, -ENOBUFS (queue bound reached: the worker does not
 * read; the channel fails). */
int channel_answer_listen(struct channel *channel, uint64_t request, int error, const struct address *sockname, int fd,
    const char *data);

/* Tells the worker to finish: it closes its servers, keeps its open connections and exits when they are gone. Idempotent. */
int channel_drain(struct channel *channel);

/* The front goes, and the worker may stay: no new hand-offs; what is under way is still answered. reason: a short text that is told
 * (protocol limpet only); NULL: nothing is said. Idempotent; nothing after channel_drain(). */
int channel_leave(struct channel *channel, const char *reason);

/* Asks for an alive() as soon as the worker's event loop runs. At most one is under way: further calls do nothing, except
 * that the Node protocols send again a first probe that did not arrive (the worker had no free fd): so probe a worker that
 * stays silent. 0, -EPIPE, -ENOMEM, or the errno of socket(). */
int channel_probe(struct channel *channel);

/* Hand-offs sent and not answered. */
size_t channel_unacknowledged(const struct channel *channel);

/* The worker has ended, but for other processes that have its sockets: may one of them still take a hand-off that is not
 * answered? No longer when the end of what it was sent over has been read. */
bool channel_has_heirs(const struct channel *channel);

/* accept, node-cluster: hand-offs that somebody has taken from a data socket, which is empty now, and has not answered for so long
 * that he will not: he has ended in between, and other processes of the worker live on. acknowledged() is told of them. How many
 * they were. */
size_t channel_settle(struct channel *channel);

/* accept, node-cluster: as long as it is quiet, the worker only notes, in shared memory, which connections it has taken, where it can;
 * the owner has to look there time and again, and once more after the quiet. It ends before channel_save(). Others: nothing. */
void channel_set_quiet(struct channel *channel, bool quiet);

/* acknowledged() is told of what the worker has noted. How many they were. */
size_t channel_look(struct channel *channel);

/* Lists their ids in the order sent: *cursor starts at 0. False at the end. */
bool channel_next_unacknowledged(const struct channel *channel, size_t *cursor, uint32_t *id);

/* What a channel knows, as bytes and fds that can be passed to another process that has a copy of its socket. Valid for a
 * short time only, and only for a limpet that writes the same version of it. */
struct channel_image {
	unsigned char *bytes;
	size_t length;
	int *fds;
	size_t fds_count;
};

/* The most that an image has. Usual are some hundred bytes and no fd. */
#define CHANNEL_IMAGE_BYTES_MAX (2 * 1024 * 1024)
#define CHANNEL_IMAGE_FDS_MAX 2048

/* Writes down what a channel knows, not from within a callback. The channel must not be used afterwards but for
 * channel_free(), or the worker gets answers twice. The image's arrays are the caller's; the fds in it are borrowed from the
 * channel, and with it they go. On failure the image is empty and the channel can still be used.
 * 0, -ENOMEM, -EPIPE (it has failed), or -ENOBUFS (more than the most above). */
int channel_save(struct channel *channel, struct channel_image *image);

/* Frees the arrays, not the fds. An empty image ({0}) is allowed. */
void channel_image_free(struct channel_image *image);

/* As channel_new(), going on where the image ends: a socket that another channel was saved from is this one's. Hand-offs
 * under way keep their ids, listen requests their numbers. No callback comes before channel_readable(), and none comes again
 * that the owner of the saved channel was told (ready, leaving). fd is consumed, and so are the image's fds, also on
 * failure; its arrays are borrowed. window may be another than the saved one's: with more hand-offs under way than that, none
 * is sent until enough were answered.
 * The image is checked, as it comes from another process; that the fds are what they should be is not.
 * NULL with *error -ENOMEM, or -EPROTO: malformed, of another version, or of another protocol. */
struct channel *channel_restore(enum protocol protocol, enum flavour flavour, int fd, unsigned window,
    const struct channel_events *events, void *owner, const struct channel_image *image, int *error);

/* Messages skipped because they were the application's own or not understood; for the log and counters. */
uint64_t channel_skipped(const struct channel *channel);

#endif
