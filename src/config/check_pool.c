/* Checks of one pool: whether its workers can be started, and reached, with the protocol that it has or that
 * its command implies. */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>

#include "config/reader.h"

void check_user(struct reader *reader, const struct node *node, const char *user)
{
	const struct passwd *entry;

	errno = 0;
	entry = getpwnam(user);
	if (entry == NULL && errno != 0 && errno != ENOENT)
		problems_value(
		    reader->problems, node, "looking up user \"%.64s\" failed: %s", user, strerror(errno));
	else if (entry == NULL)
		problems_value(reader->problems, node, "there is no user \"%.64s\"", user);
	else if (reader->uid != 0 && entry->pw_uid != reader->uid)
		problems_value(reader->problems, node,
		    "limpet must be started as root to become \"%.64s\"; "
		    "leave the key out to stay who starts it",
		    user);
}

const struct group *check_group_exists(struct reader *reader, const struct node *node, const char *group)
{
	const struct group *entry;

	errno = 0;
	entry = getgrnam(group);
	if (entry == NULL && errno != 0 && errno != ENOENT)
		problems_value(
		    reader->problems, node, "looking up group \"%.64s\" failed: %s", group, strerror(errno));
	else if (entry == NULL)
		problems_value(reader->problems, node, "there is no group \"%.64s\"", group);
	return entry;
}

static void check_group(struct reader *reader, const struct node *node, const char *group)
{
	const struct group *entry = check_group_exists(reader, node, group);

	if (entry != NULL && reader->uid != 0 && entry->gr_gid != getegid())
		problems_value(reader->problems, node,
		    "limpet must be started as root to change to group \"%.64s\"; leave the key out", group);
}

static bool is_node(const char *program)
{
	const char *slash = strrchr(program, '/');
	const char *name = slash == NULL ? program : slash + 1;

	return strcmp(name, "node") == 0 || strcmp(name, "nodejs") == 0;
}

/* Does node get a script, and not options only? Node makes a process a cluster worker only if there is one.
 */
static bool has_script(char *const *arguments)
{
	static const char *const with_value[] = {"-e", "--eval", "-p", "--print", "-pe", "-r", "--require",
	    "--import", "--loader", "--experimental-loader", "-C", "--conditions", NULL};

	for (; *arguments != NULL; arguments++) {
		const char *const *option = with_value;

		if ((*arguments)[0] != '-')
			return (*arguments)[0] != '\0';
		while (*option != NULL && strcmp(*option, *arguments) != 0)
			option++;
		if (*option != NULL && arguments[1] != NULL)
			arguments++;
	}
	return false;
}

static void find_protocol(struct reader *reader, const struct node *node, struct pool_config *pool)
{
	const struct node *command = node_member(node, "command");

	if (command == NULL && pool->workers == 0 && pool->socket != NULL)
		pool->protocol = PROTOCOL_LIMPET;
	if (command == NULL || pool->command == NULL)
		return;
	if (is_node(pool->command[0])) {
		pool->protocol = PROTOCOL_NODE_CLUSTER;
		return;
	}
	if (pool->command[0][0] == '\0')
		return;
	pool->protocol = PROTOCOL_ACCEPT;
}

static void check_flavour(struct reader *reader, const struct node *node, const struct pool_config *pool)
{
	const struct node *protocol = node_member(node, "protocol");
	const struct node *flavour = node_member(node, "flavour");

	if (pool->protocol == PROTOCOL_NODE_IPC && flavour == NULL && protocol != NULL &&
	    protocol->option != NULL)
		problems_value(reader->problems, protocol,
		    "node-ipc needs a flavour: node-ipc:sticky-session, node-ipc:sticky-cluster, "
		    "node-ipc:sticky-session:connection, node-ipc:socket.io, node-ipc:sticky-listen or "
		    "node-ipc:limpet:connection");
	else if (pool->protocol == PROTOCOL_NODE_IPC && flavour == NULL && protocol != NULL)
		problems_value(reader->problems, protocol,
		    "node-ipc needs a \"flavour\": sticky-session, sticky-cluster, "
		    "sticky-session:connection, socket.io, sticky-listen or limpet:connection");
	else if (pool->protocol != PROTOCOL_NODE_IPC && pool->protocol != PROTOCOL_AUTO && flavour != NULL)
		problems_key(reader->problems, flavour, "goes with protocol node-ipc only; this pool has %s",
		    protocol_name(pool->protocol));
}

/* Only cluster workers say where they listen; sticky-cluster and its kin ask for a dummy address. */
static void check_reachable(struct reader *reader, const struct node *node, const struct pool_config *pool)
{
	if (pool->has_listeners || (pool->protocol != PROTOCOL_NODE_IPC && pool->protocol != PROTOCOL_LIMPET))
		return;
	if (node->option != NULL)
		problems_option(reader->problems, NULL,
		    "workers of protocol %s do not say where to listen; give an address: -l ADDRESS:PORT",
		    protocol_name(pool->protocol));
	else
		problems_key(reader->problems, node,
		    "cannot be reached: workers of protocol %s do not say where to listen; "
		    "add a listener with an \"address\" and this \"pool\"",
		    protocol_name(pool->protocol));
}

/* Paths of other sockets may be given with "unix:", this one not: LIMPET_SOCKET is what stands here. */
static void check_socket(struct reader *reader, const struct node *node, const struct pool_config *pool)
{
	const struct node *socket = node_member(node, "socket"), *owner = node_member(node, "socket_owner");
	const struct node *group = node_member(node, "socket_group");
	struct address address;

	if (pool->socket != NULL && ((pool->socket[0] != '/' && pool->socket[0] != '@') ||
	                                address_parse(&address, pool->socket, NULL) < 0))
		problems_value(reader->problems, socket, "must be an absolute path, or \"@\" and a name");
	if (pool->socket_owner != NULL && owner != NULL)
		check_user(reader, owner, pool->socket_owner);
	if (pool->socket_group != NULL && group != NULL)
		check_group(reader, group, pool->socket_group);
}

void check_pool(struct reader *reader, const struct node *node, struct pool_config *pool)
{
	const struct node *command = node_member(node, "command");
	const struct node *user = node_member(node, "user");
	const struct node *group = node_member(node, "group");

	/* A protocol that could not be read has been reported. */
	if (pool->protocol == PROTOCOL_AUTO && node_member(node, "protocol") == NULL)
		find_protocol(reader, node, pool);
	check_flavour(reader, node, pool);
	if (pool->protocol == PROTOCOL_NODE_CLUSTER && pool->command != NULL && is_node(pool->command[0]) &&
	    !has_script(pool->command + 1))
		problems_value(reader->problems, command,
		    "%s needs a script: Node's cluster workers take their server from a file, "
		    "as in \"node server.js\"",
		    pool->command[0]);
	check_reachable(reader, node, pool);
	check_socket(reader, node, pool);
	if (command == NULL && pool->workers > 0 && node->type == NODE_OBJECT)
		problems_value(reader->problems, node, "lacks the key \"command\"");
	if (pool->user != NULL && user != NULL)
		check_user(reader, user, pool->user);
	if (pool->group != NULL && group != NULL)
		check_group(reader, group, pool->group);
}
