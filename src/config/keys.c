/* The rows, and the little that looks them up. */
#include "config/keys.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "config/units.h"

#define SECOND UINT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

/* PATH_MAX, and what a command line or a sun_path can hold. */
#define PATH_BYTES 4095
#define SOCKET_PATH_BYTES 107

static const struct choice log_level_choices[] = {{"error", LOG_LEVEL_ERROR}, {"warning", LOG_LEVEL_WARNING},
    {"info", LOG_LEVEL_INFO}, {"debug", LOG_LEVEL_DEBUG}, {NULL, 0}};

static const struct choice client_address_choices[] = {
    {"peer", CLIENT_ADDRESS_PEER}, {"ignore", CLIENT_ADDRESS_IGNORE}, {NULL, 0}};

static const struct choice log_format_choices[] = {
    {"text", LOG_FORMAT_TEXT}, {"json", LOG_FORMAT_JSON}, {NULL, 0}};

const struct choice protocol_choices[] = {{"node-cluster", PROTOCOL_NODE_CLUSTER},
    {"node-ipc", PROTOCOL_NODE_IPC}, {"limpet", PROTOCOL_LIMPET}, {"accept", PROTOCOL_ACCEPT}, {NULL, 0}};

const struct choice flavour_choices[] = {{"sticky-session", FLAVOUR_STICKY_SESSION},
    {"sticky-cluster", FLAVOUR_STICKY_CLUSTER},
    {"sticky-session:connection", FLAVOUR_STICKY_SESSION_CONNECTION}, {"socket.io", FLAVOUR_SOCKET_IO},
    {"sticky-listen", FLAVOUR_STICKY_LISTEN}, {"limpet:connection", FLAVOUR_LIMPET_CONNECTION}, {NULL, 0}};

static const struct choice stuck_action_choices[] = {{"wait", STUCK_WAIT}, {"restart", STUCK_RESTART}, {NULL, 0}};
const struct choice on_down_choices[] = {
    {"hold", ON_DOWN_HOLD}, {"next", ON_DOWN_NEXT}, {"reject", ON_DOWN_REJECT}, {NULL, 0}};

static const struct choice connections_choices[] = {
    {"accept", CONNECTIONS_ACCEPT}, {"message", CONNECTIONS_MESSAGE}, {NULL, 0}};
static const struct choice accept_choices[] = {
    {"auto", ACCEPT_AUTO}, {"preload", ACCEPT_BY_PRELOAD}, {"seccomp", ACCEPT_BY_SECCOMP}, {NULL, 0}};

static const struct choice drain_signal_choices[] = {{"TERM", SIGTERM}, {"QUIT", SIGQUIT}, {"INT", SIGINT},
    {"HUP", SIGHUP}, {"USR1", SIGUSR1}, {"USR2", SIGUSR2}, {"WINCH", SIGWINCH}, {NULL, 0}};

#define CONFIG(field) offsetof(struct config, field)
#define LISTENER(field) offsetof(struct listener_config, field)
#define STICKY(field) offsetof(struct sticky_source, field)
#define POOL(field) offsetof(struct pool_config, field)

const struct key keys[] = {
    {KEYS_CONFIG, "$schema", KEY_NOTE, 0, .max = PATH_BYTES,
        .help = "Where an editor finds the JSON Schema of this file; limpet ignores it"},
    {KEYS_CONFIG, "user", KEY_STRING, CONFIG(user), .min = 1, .max = 255,
        .help = "User that the router, which reads what clients send, runs as; without it nobody if limpet "
                "is started as root, else the user who started it"},
    {KEYS_CONFIG, "control", KEY_STRING, CONFIG(control), .min = 1, .max = SOCKET_PATH_BYTES,
        .help = "Absolute path of the socket that limpetctl(8) talks to; without it there is none"},
    {KEYS_CONFIG, "control_mode", KEY_MODE, CONFIG(control_mode), "0600", .max = 0660,
        .help = "Permissions of that socket: with \"0660\" the members of its group may use it too"},
    {KEYS_CONFIG, "control_group", KEY_STRING, CONFIG(control_group), .min = 1, .max = 255,
        .help = "Group of that socket; without it limpet's own or that of a set-group-ID directory"},
    {KEYS_CONFIG, "hash_secret", KEY_STRING, CONFIG(hash_secret), .min = 1, .max = PATH_BYTES,
        .help = "File whose first 32 bytes seed the hash of keys, so that several hosts, or one host after a full "
                "restart, send a client to the same slot; without it the seed is random at each start"},
    {KEYS_CONFIG, "log", KEY_OBJECT, 0, .of = KEYS_LOG, .help = "What is logged, how, and where to"},
    {KEYS_CONFIG, "listeners", KEY_MAP, 0, .max = 256, .of = KEYS_LISTENER,
        .help = "The addresses to accept connections at, by names that logs and statistics use"},
    {KEYS_CONFIG, "pools", KEY_MAP, 0, .min = 1, .max = 256, .of = KEYS_POOL, .required = true,
        .help = "The pools of workers, by name"},

    {KEYS_LOG, "level", KEY_CHOICE, CONFIG(log_level), "info", .choices = log_level_choices,
        .help = "The least important lines that are still written"},
    {KEYS_LOG, "format", KEY_CHOICE, CONFIG(log_format), "text", .choices = log_format_choices,
        .help = "Lines for people, or one JSON object a line"},
    {KEYS_LOG, "file", KEY_STRING, CONFIG(log_file), .min = 1, .max = PATH_BYTES,
        .help = "File to append to, opened again at SIGUSR1; without it the standard error"},

    {KEYS_LISTENER, "address", KEY_ADDRESS, LISTENER(address), .max = 255,
        .help = "Where to listen: HOST:PORT, [HOST]:PORT, PORT, unix:/PATH or unix:@NAME; without it this "
                "listener says how the addresses are served that the workers of the pool ask for"},
    {KEYS_LISTENER, "mode", KEY_MODE, LISTENER(mode), .max = 0777,
        .help = "Permissions of a Unix socket's path, such as \"0660\": who may write to it may connect; without it what the "
                "umask leaves; one that the service manager made keeps its own"},
    {KEYS_LISTENER, "pool", KEY_POOL_NAME, 0, .min = 1, .max = 64,
        .help = "Pool whose workers get the connections; may be left out if there is only one"},
    {KEYS_LISTENER, "sticky", KEY_STICKY_LIST, 0, .min = 1, .max = STICKY_SOURCES_MAX,
        .help =
            "Where the key of a client is taken from: one source or a list, of which the first that yields "
            "a value wins; ip is always the last"},
    {KEYS_LISTENER, "proxy_protocol", KEY_BOOLEAN, LISTENER(proxy_protocol), "false",
        .help =
            "Whether every connection begins with a PROXY protocol header, version 1 or 2; one without is "
            "closed"},
    {KEYS_LISTENER, "client_address", KEY_CHOICE, LISTENER(client_address), "peer",
        .choices = client_address_choices,
        .help = "With proxy_protocol, whom accept() and getpeername() name in workers that call these: peer, the client that the "
                "header names, or ignore, the proxy"},
    {KEYS_LISTENER, "trusted_proxies", KEY_PREFIXES, LISTENER(trusted_proxies), .max = 1024,
        .help = "Networks of the proxies that are believed what they say of the client's address, by PROXY "
                "protocol, Forwarded or X-Forwarded-For; \"unix\" means every peer on a Unix socket"},
    {KEYS_LISTENER, "head_timeout", KEY_DURATION, LISTENER(head_timeout), "10s", 100, 10 * MINUTE,
        .help = "How long a client may take for its request head, from accept on; after it 408"},
    {KEYS_LISTENER, "head_size", KEY_SIZE, LISTENER(head_size), "16k", 1024, 64 * 1024,
        .help = "How long a request head may be; past it 431"},
    {KEYS_LISTENER, "max_waiting", KEY_INTEGER, LISTENER(max_waiting), "10000", 1, 1000000,
        .help = "How many connections may wait for their head or for a worker"},
    {KEYS_LISTENER, "max_waiting_per_client", KEY_INTEGER, LISTENER(max_waiting_per_client), "256", 1,
        1000000, .help = "The same for the connections of one client prefix; past it 429"},
    {KEYS_LISTENER, "backlog", KEY_INTEGER, LISTENER(backlog), "4096", 1, 65535,
        .help = "Length of the kernel's queue of connections that are not accepted yet; net.core.somaxconn "
                "bounds it too"},

    {KEYS_STICKY, "ip", KEY_OBJECT, 0, .of = KEYS_STICKY_IP,
        .help = "The client address; also written as the string \"ip\""},
    {KEYS_STICKY, "cookie", KEY_TOKEN, STICKY(name), .min = 1, .max = 255,
        .help = "The value of the cookie with this name"},
    {KEYS_STICKY, "header", KEY_TOKEN, STICKY(name), .min = 1, .max = 255,
        .help = "The value of the header field with this name"},
    {KEYS_STICKY, "query", KEY_STRING, STICKY(name), .min = 1, .max = 255,
        .help = "The value of the parameter with this name in the query of the request target"},
    {KEYS_STICKY, "path", KEY_INTEGER, STICKY(segment), NULL, 1, 64,
        .help = "The segment of the path with this number, from 1"},

    {KEYS_STICKY_IP, "v4_prefix", KEY_INTEGER, STICKY(v4_prefix), "32", 0, 32,
        .help = "How many bits of an IPv4 address count; IPv4-mapped IPv6 addresses are IPv4"},
    {KEYS_STICKY_IP, "v6_prefix", KEY_INTEGER, STICKY(v6_prefix), "64", 0, 128,
        .help = "How many bits of an IPv6 address count"},

    {KEYS_POOL, "command", KEY_COMMAND, POOL(command), .min = 1, .max = 1024,
        .help = "What each worker runs: the program and its arguments, without a shell; may be left out if limpet "
                "starts no worker of this pool"},
    {KEYS_POOL, "protocol", KEY_CHOICE, POOL(protocol), .choices = protocol_choices,
        .help = "How the workers take connections; without it node-cluster if the command is node, else accept"},
    {KEYS_POOL, "flavour", KEY_CHOICE, POOL(flavour), .choices = flavour_choices,
        .help = "The message that the workers wait for; needed with protocol node-ipc and only there"},
    {KEYS_POOL, "connections", KEY_CHOICE, POOL(connections), "accept", .choices = connections_choices,
        .help = "With protocol node-cluster: how workers get connections, accept through accept(), which costs them less, or, "
                "where they cannot, by Node.js' own messages, message always by these"},
    {KEYS_POOL, "accept", KEY_CHOICE, POOL(accept), "auto", .choices = accept_choices,
        .help = "With protocol accept: how the program's calls are reached: preload puts a library into it, seccomp "
                "has the kernel hand them over, which is slower, needs Linux 5.14 and sets no_new_privs; auto takes "
                "seccomp if the command is linked statically or written in Go"},
    {KEYS_POOL, "workers", KEY_WORKERS, POOL(workers), "auto", 0, 1024,
        .help =
            "How many workers limpet starts, or \"auto\": as many as CPUs; their slots are named \"0\", \"1\" and so "
            "on; 0 where all workers are external, and then it may be left out with the command"},
    {KEYS_POOL, "slots", KEY_SLOTS, POOL(slots), .min = 1, .max = 1024,
        .help = "How many slots the pool has, or a list of their names; the first are for the workers that limpet "
                "starts, the others for external ones; without it there are as many as workers"},
    {KEYS_POOL, "socket", KEY_STRING, POOL(socket), .min = 1, .max = SOCKET_PATH_BYTES,
        .help = "Where external workers join the pool, see limpet-worker(7): the path of a socket, or \"@NAME\" without "
                "a path; without it there are none"},
    {KEYS_POOL, "socket_mode", KEY_MODE, POOL(socket_mode), "0600", .max = 0660,
        .help = "Permissions of that socket: with \"0660\" the members of its group may join, too; besides root, "
                "limpet's user, the pool's and the socket's owner"},
    {KEYS_POOL, "socket_owner", KEY_STRING, POOL(socket_owner), .min = 1, .max = 255,
        .help = "User whose that socket is; without it the pool's user"},
    {KEYS_POOL, "socket_group", KEY_STRING, POOL(socket_group), .min = 1, .max = 255,
        .help = "Group whose that socket is; without it the pool's group"},
    {KEYS_POOL, "weights", KEY_WEIGHTS, POOL(slots), .max = 1024,
        .help =
            "Shares of the clients by slot name, 0 to 1000; a slot that is not named has 1, one with 0 gets "
            "no new clients"},
    {KEYS_POOL, "directory", KEY_STRING, POOL(directory), .min = 1, .max = PATH_BYTES,
        .help = "Directory that workers start in; without it limpet's"},
    {KEYS_POOL, "environment", KEY_ENVIRONMENT, POOL(environment), .max = 1024,
        .help = "Variables that workers get besides limpet's own"},
    {KEYS_POOL, "user", KEY_STRING, POOL(user), .min = 1, .max = 255,
        .help = "User that workers run as; without it the user who started limpet"},
    {KEYS_POOL, "group", KEY_STRING, POOL(group), .min = 1, .max = 255,
        .help = "Group that workers run as; without it the user's"},
    {KEYS_POOL, "umask", KEY_MODE, POOL(umask), .max = 0777,
        .help = "Permissions that files which workers create do not get, such as \"0027\"; without it limpet's"},
    {KEYS_POOL, "limits", KEY_OBJECT, 0, .of = KEYS_LIMITS,
        .help = "Resources that each worker may use; what is left out is as limpet was started with"},
    {KEYS_POOL, "start_timeout", KEY_DURATION, POOL(start_timeout), "30s", 100, HOUR,
        .help = "How long a worker may take from its start until it is ready; past it that is reported, and clients no longer "
            "wait for the pool's first worker"},
    {KEYS_POOL, "drain_timeout", KEY_DURATION, POOL(drain_timeout), "5m", 0, 30 * DAY,
        .help = "How long a worker may keep its open connections when it is replaced or stopped"},
    {KEYS_POOL, "drain_signal", KEY_CHOICE, POOL(drain_signal), "TERM", .choices = drain_signal_choices,
        .help = "With protocol accept: the signal that makes the program finish its connections and end"},
    {KEYS_POOL, "kill_timeout", KEY_DURATION, POOL(kill_timeout), "10s", 100, HOUR,
        .help = "How long after SIGTERM a worker gets SIGKILL"},
    {KEYS_POOL, "stuck_timeout", KEY_DURATION, POOL(stuck_timeout), "10s", 100, HOUR,
        .help =
            "How long a worker may leave hand-offs unacknowledged; then its clients take the next choice "
            "until it answers"},
    {KEYS_POOL, "stuck_action", KEY_CHOICE, POOL(stuck_action), "wait", .choices = stuck_action_choices,
        .help =
            "What becomes of a stuck worker: wait leaves it until it answers, restart ends it and starts another"},
    {KEYS_POOL, "surge", KEY_INTEGER, POOL(surge), "1", 1, 1024,
        .help = "How many workers of a new generation a rolling restart starts at a time"},
    {KEYS_POOL, "max_retired", KEY_INTEGER, POOL(max_retired), "64", 1, 10000,
        .help =
            "How many workers of old generations may finish their connections at a time; past it the oldest "
            "are ended"},
    {KEYS_POOL, "on_down", KEY_CHOICE, POOL(on_down), "hold", .choices = on_down_choices,
        .help =
            "What a client gets whose worker is down: hold waits for it, next takes the next choice, reject "
            "answers 503"},
    {KEYS_POOL, "hold", KEY_DURATION, POOL(hold), "2s", 0, 10 * MINUTE,
        .help = "How long on_down hold waits before it takes the next choice"},
    {KEYS_POOL, "window", KEY_INTEGER, POOL(window), "64", 1, 1024,
        .help = "How many hand-offs to one worker may be unacknowledged"},
    {KEYS_POOL, "queue", KEY_INTEGER, POOL(queue), "10000", 0, 1000000,
        .help = "How many connections may wait behind a worker whose window is full; past it 503"},
    {KEYS_POOL, "queue_timeout", KEY_DURATION, POOL(queue_timeout), "30s", 1, DAY,
        .help = "How long a connection may wait there; then 503"},

    {KEYS_LIMITS, "nofile", KEY_LIMIT, POOL(limit_nofile), NULL, 16, 1u << 30,
        .help = "How many files and sockets it may have open (RLIMIT_NOFILE)"},
    {KEYS_LIMITS, "processes", KEY_LIMIT, POOL(limit_processes), NULL, 1, 1u << 22,
        .help = "How many processes and threads its user may have, those of others included (RLIMIT_NPROC); "
                "root is not bound by it"},
    {KEYS_LIMITS, "memory", KEY_SIZE_LIMIT, POOL(limit_memory), NULL, UINT64_C(1) << 20, UINT64_C(1) << 50,
        .help = "Its address space (RLIMIT_AS); Node.js reserves far more than it uses, so there "
                "--max-old-space-size is the better bound"},
    {KEYS_LIMITS, "core", KEY_SIZE_LIMIT, POOL(limit_core), NULL, 0, UINT64_C(1) << 50,
        .help = "Size of its core dump if it crashes (RLIMIT_CORE)"},
};

const size_t keys_count = sizeof keys / sizeof keys[0];

const char *keys_prefix(enum key_object object)
{
	static const char *const prefixes[KEYS_OBJECTS] = {[KEYS_CONFIG] = "",
	    [KEYS_LOG] = "log.",
	    [KEYS_LISTENER] = "listeners.NAME.",
	    [KEYS_STICKY] = "listeners.NAME.sticky[].",
	    [KEYS_STICKY_IP] = "listeners.NAME.sticky[].ip.",
	    [KEYS_POOL] = "pools.NAME.",
	    [KEYS_LIMITS] = "pools.NAME.limits."};

	return prefixes[object];
}

const struct key *keys_find(enum key_object object, const char *name)
{
	for (size_t i = 0; i < keys_count; i++) {
		if (keys[i].object == object && strcmp(keys[i].name, name) == 0)
			return &keys[i];
	}
	return NULL;
}

const char *choice_name(const struct choice *choices, int value)
{
	for (; choices->name != NULL; choices++) {
		if (choices->value == value)
			return choices->name;
	}
	return NULL;
}

bool choice_value(const struct choice *choices, const char *name, int *value)
{
	for (; choices->name != NULL; choices++) {
		if (strcmp(choices->name, name) != 0)
			continue;
		*value = choices->value;
		return true;
	}
	return false;
}

static void set_default(const struct key *key, void *field)
{
	uint64_t number = 0;
	int value = 0;

	switch (key->type) {
	case KEY_DURATION:
		duration_parse(field, key->fallback);
		break;
	case KEY_SIZE:
		size_parse(&number, key->fallback);
		*(size_t *)field = (size_t)number;
		break;
	case KEY_INTEGER:
		*(unsigned *)field = (unsigned)strtoul(key->fallback, NULL, 10);
		break;
	case KEY_BOOLEAN:
		*(bool *)field = strcmp(key->fallback, "true") == 0;
		break;
	case KEY_MODE:
		*(struct mode *)field = (struct mode){true, (unsigned)strtoul(key->fallback, NULL, 8)};
		break;
	case KEY_CHOICE:
		choice_value(key->choices, key->fallback, &value);
		*(int *)field = value;
		break;
	default:
		break; /* set by whoever reads them, when they are missing */
	}
}

void keys_set_defaults(enum key_object object, void *base)
{
	for (size_t i = 0; i < keys_count; i++) {
		if (keys[i].object == object && keys[i].fallback != NULL)
			set_default(&keys[i], (char *)base + keys[i].offset);
	}
}
