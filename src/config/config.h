/* The configuration, checked and complete: what the rest of limpet reads.
 *
 * A struct config is made once by config_load_*() (src/config/load.h), never changed afterwards, and freed as a whole.
 * All strings in it are owned by it. Times are in milliseconds, sizes in bytes.
 */
#ifndef LIMPET_CONFIG_CONFIG_H
#define LIMPET_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/address.h"
#include "base/log.h"
#include "config/sticky.h"

enum protocol { PROTOCOL_AUTO, PROTOCOL_NODE_CLUSTER, PROTOCOL_NODE_IPC, PROTOCOL_LIMPET, PROTOCOL_ACCEPT };

/* The message that the workers of protocol node-ipc wait for. */
enum flavour {
	FLAVOUR_NONE,
	FLAVOUR_STICKY_SESSION,            /* "sticky-session" */
	FLAVOUR_STICKY_CLUSTER,            /* "sticky-cluster" */
	FLAVOUR_STICKY_SESSION_CONNECTION, /* "sticky-session:connection" */
	FLAVOUR_SOCKET_IO,                 /* "socket.io" */
	FLAVOUR_STICKY_LISTEN,             /* "sticky-listen" */
	FLAVOUR_LIMPET_CONNECTION,         /* "limpet:connection" */
};

/* Protocol accept: how a program's calls are reached. */
enum accept_way {
	ACCEPT_AUTO,       /* as its file suggests */
	ACCEPT_BY_PRELOAD, /* a library in it */
	ACCEPT_BY_SECCOMP, /* from outside */
};

/* What becomes of a worker that acknowledges nothing for stuck_timeout, besides that its clients go elsewhere. */
enum stuck_action { STUCK_WAIT, STUCK_RESTART };

/* How workers of node-cluster get connections: through accept() where they can, or in Node.js' own messages. */
enum connections { CONNECTIONS_ACCEPT, CONNECTIONS_MESSAGE };

enum on_down { ON_DOWN_HOLD, ON_DOWN_NEXT, ON_DOWN_REJECT };

/* Permission bits, or those that are masked out. */
struct mode {
	bool is_set;
	unsigned bits;
};

/* A resource limit: soft and hard alike. */
struct limit {
	bool is_set;
	uint64_t value; /* LIMIT_UNLIMITED */
};

#define LIMIT_UNLIMITED UINT64_MAX

struct pool_config;

/* What a program of protocol accept gets as the peer of a connection that came with a PROXY header. */
enum client_address { CLIENT_ADDRESS_PEER, CLIENT_ADDRESS_IGNORE };

struct listener_config {
	char *name;
	bool has_address;       /* false: this is how the addresses that the pool's workers ask for are served */
	struct address address;
	struct mode mode;       /* of a Unix path; where not set: as the umask has it */
	struct pool_config *pool;
	struct sticky_source sticky[STICKY_SOURCES_MAX]; /* the last one is always STICKY_IP */
	size_t sticky_count;
	bool proxy_protocol;
	enum client_address client_address;
	struct address_prefix *trusted_proxies;
	size_t trusted_proxies_count;
	uint64_t head_timeout;
	size_t head_size;
	unsigned max_waiting;
	unsigned max_waiting_per_client;
	unsigned backlog;
};

struct slot_config {
	char *name; /* "0", "1", ..., or as given */
	unsigned weight;
};

struct pool_config {
	char *name;
	char **command; /* NULL-terminated; NULL: limpet starts no worker */
	enum protocol protocol; /* never PROTOCOL_AUTO once loaded */
	enum flavour flavour;
	enum connections connections; /* protocol node-cluster */
	struct slot_config *slots;
	size_t slots_count;
	size_t workers; /* the first slots are for so many workers that limpet starts, the others for external ones */
	char *socket;   /* where external workers join: a path or "@name"; NULL: there are none */
	struct mode socket_mode; /* of that socket; always set */
	char *socket_owner;      /* NULL: the pool's user */
	char *socket_group;      /* NULL: the owner's */
	char *directory;     /* NULL: as limpet's */
	char **environment;  /* NULL-terminated "NAME=value" that are added to limpet's own; may be NULL */
	char *user;          /* NULL: as limpet's */
	char *group;         /* NULL: the user's */
	struct mode umask;   /* where not set: as limpet's, like the limits */
	struct limit limit_nofile;    /* RLIMIT_NOFILE */
	struct limit limit_processes; /* RLIMIT_NPROC */
	struct limit limit_memory;    /* RLIMIT_AS, bytes */
	struct limit limit_core;      /* RLIMIT_CORE, bytes */
	uint64_t start_timeout;
	uint64_t drain_timeout;
	uint64_t kill_timeout;
	uint64_t stuck_timeout;
	enum accept_way accept;
	int drain_signal; /* protocol accept: what tells a worker to finish */
	enum stuck_action stuck_action;
	enum on_down on_down;
	unsigned surge;       /* workers of a new generation that may start at a time */
	unsigned max_retired; /* workers that may finish old connections at a time */
	uint64_t hold;
	unsigned window;
	unsigned queue;
	uint64_t queue_timeout;
	/* The settings of listeners that workers open: a listener without an address, or the defaults. Never NULL once loaded. */
	struct listener_config *worker_listener;
	bool has_listeners; /* some listener with an address belongs to this pool */
};

struct config {
	char *file;    /* NULL: from the command line only */
	char *user;    /* of the router; NULL: nobody if started as root, else unchanged */
	char *control; /* path of the control socket; NULL: none */
	struct mode control_mode; /* of that socket; always set */
	char *control_group;      /* of that socket; NULL: as the system makes it */
	char *hash_secret; /* path; NULL: random at start */
	enum log_level log_level;
	enum log_format log_format;
	char *log_file; /* NULL: stderr */
	struct listener_config *listeners; /* those with an address come first */
	size_t listeners_count;
	struct pool_config *pools;
	size_t pools_count;
};

#endif
