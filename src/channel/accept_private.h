/* What accept.c and accept_servers.c share: the servers of one worker of protocol accept. And what node_cluster.c needs of
 * them for workers of node:cluster that take their connections through accept(). */
#ifndef LIMPET_CHANNEL_ACCEPT_PRIVATE_H
#define LIMPET_CHANNEL_ACCEPT_PRIVATE_H

#include <sys/queue.h>

#include "channel/accept_cells.h"
#include "channel/accept_message.h"
#include "channel/channel_private.h"

/* A server is one listening socket of the program: the front's end of its data socket. */
enum server_state {
	SERVER_OPEN,    /* nothing asked yet */
	SERVER_BINDING, /* the owner was asked */
	SERVER_BOUND,
	SERVER_ASKING,  /* the owner was asked whether it may listen */
	SERVER_GRANTED, /* it may; the program does not know yet */
	SERVER_LISTENING,
	SERVER_STATES,
};

struct accept_server {
	TAILQ_ENTRY(accept_server) entry;
	uint64_t id;
	int fd;
	enum server_state state;
	uint32_t asking; /* answers owed while SERVER_ASKING: processes that share the socket ask together */
	bool full;       /* took no more when last tried */
	bool ended;      /* node-cluster: closed, but not by the application's word: the worker may be dying */
	struct address address;
	bool ipv6_only;
	uint32_t *sent; /* hand-offs not answered, oldest first */
	uint32_t sent_count, sent_room;
	struct cells *cells; /* where some of them are noted when they are taken; NULL: none so far */
	bool no_cells;       /* there are none to be had */
	char key[CHANNEL_KEY_MAX + 1]; /* empty: the program has closed it, its end is about to be read */
};

struct acceptor {
	int epoll;
	TAILQ_HEAD(, accept_server) servers;
	unsigned servers_count;
	uint64_t last_id;
	uint32_t any_ports; /* binds to port 0 so far: the n-th of every worker is the same server */
	bool control_ended;
	bool only; /* protocol accept: a data socket's end tells that a server is closed, the control socket no more */
	bool quiet; /* what is taken is to be noted in memory, where it can be */
	bool output_watched; /* whether there is room in the worker's other socket */
};

/* Makes channel->acceptor, and channel_fd() the set of all its sockets. Does nothing if there is one. 0 or a negative errno. */
int accept_attach(struct channel *channel);

/* The parts of an image. accept_restore_servers() attaches. */
void accept_restore_servers(struct channel *channel, struct image_reader *image);

/* A data socket for the server `key`, which the worker has asked for by other means: it may listen. Returns the worker's end,
 * which is the caller's, or a negative errno. */
int accept_give(struct channel *channel, const char *key, const struct address *address);

/* The program says that it has closed this server. */
void accept_closed(struct channel *channel, const char *key);

/* Reads what is in the data sockets, bounded. Returns the events of the channel's own socket. */
uint32_t accept_read_servers(struct channel *channel);

/* The channel's own socket is over: with the last data socket the channel is. */
void accept_control_ended(struct channel *channel);

void accept_watch_output(const struct channel *channel, bool wanted);
int accept_send(struct channel *channel, const struct channel_connection *connection);
void accept_write_address(struct accept_message *message, const struct address *address);

/* The protocol's. */
int accept_start(struct channel *channel, unsigned window);
void accept_stop(struct channel *channel);
int accept_keep(struct channel *channel, const char *key, uint64_t number, int fd);
void accept_save(const struct channel *channel, struct image_writer *image);
void accept_restore(struct channel *channel, unsigned window, struct image_reader *image);

/* NULL if there is none. */
struct accept_server *accept_find(const struct acceptor *acceptor, uint64_t id);

/* One that takes connections; the one with the fewest under way, as processes may have a socket each for one
 * address. */
struct accept_server *accept_find_listening(const struct acceptor *acceptor, const char *key);
bool accept_has_key(const struct acceptor *acceptor, const char *key);

/* As channel_settle(). */
size_t accept_settle(struct channel *channel);

/* As channel_set_quiet() and channel_look(). */
void accept_set_quiet(struct acceptor *acceptor, bool quiet);
size_t accept_look(struct channel *channel);

/* Finds a cell for the connection, and tells the worker of the memory, if it is to be quiet. */
void accept_use_cells(const struct acceptor *acceptor, struct accept_server *server, struct accept_message *connection);

/* Are hand-offs in a data socket that is not over? */
bool accept_has_sent(const struct acceptor *acceptor);

/* fd: consumed, also on failure. 0, -ENOMEM, -EINVAL (there are too many), or an errno of epoll_ctl(). result
 * may be NULL. */
int accept_server_new(struct acceptor *acceptor, uint64_t id, int fd, struct accept_server **result);
void accept_server_free(struct acceptor *acceptor, struct accept_server *server);

/* epoll_ctl(). 0 or a negative errno. */
int accept_watch(const struct acceptor *acceptor, int operation, int fd, uint32_t events, uint64_t id);

/* Hand-offs that a server has got and not answered. What is forgotten has no cell any more. */
int accept_note_sent(struct accept_server *server, uint32_t number);
bool accept_forget_sent(struct accept_server *server, uint32_t number);

/* An option of SOL_SOCKET; -1: none. */
int accept_socket_option(int fd, int name);
bool accept_is_data_socket(int fd);

#endif
