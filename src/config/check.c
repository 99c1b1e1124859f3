/* Checks across keys of the whole: listeners against each other and against their pools. */
#include <string.h>

#include "config/reader.h"

/* The node of an entry of a map, by name. */
static const struct node *entry_node(const struct node *root, const char *map, const char *name)
{
	return name == NULL ? NULL : node_member(node_member(root, map), name);
}

static void check_addresses(struct reader *reader, const struct node *root)
{
	const struct config *config = reader->config;

	for (size_t i = 0; i < config->listeners_count; i++) {
		const struct listener_config *listener = &config->listeners[i];
		const struct node *node =
		    node_member(entry_node(root, "listeners", listener->name), "address");
		bool any_port =
		    address_family(&listener->address) != AF_UNIX && address_port(&listener->address) == 0;

		if (node == NULL || listener->address.length == 0 || any_port)
			continue;
		for (size_t j = 0; j < i; j++) {
			if (!address_equal(&config->listeners[j].address, &listener->address))
				continue;
			if (node->option != NULL)
				problems_value(
				    reader->problems, node, "\"%.80s\" is given twice", node->string);
			else
				problems_value(reader->problems, node, "listener \"%s\" has the same address",
				    config->listeners[j].name);
			break;
		}
	}
}

static bool is_path(const struct listener_config *listener)
{
	return listener->has_address && address_family(&listener->address) == AF_UNIX &&
	       listener->address.un.sun_path[0] != '\0';
}

static void check_sockets(struct reader *reader, const struct node *root)
{
	const struct config *config = reader->config;

	for (size_t i = 0; i < config->pools_count; i++) {
		const struct pool_config *pool = &config->pools[i];
		const struct node *node = node_member(entry_node(root, "pools", pool->name), "socket");

		for (size_t j = 0; node != NULL && pool->socket != NULL && j < i; j++) {
			if (config->pools[j].socket == NULL || strcmp(config->pools[j].socket, pool->socket) != 0)
				continue;
			problems_value(
			    reader->problems, node, "pool \"%s\" has the same socket", config->pools[j].name);
			break;
		}
	}
}

static void check_listener(
    struct reader *reader, const struct node *root, const struct listener_config *listener)
{
	const struct node *node = entry_node(root, "listeners", listener->name);
	const struct node *trusted = node_member(node, "trusted_proxies");

	if (node == NULL)
		return;
	if (!listener->has_address && listener->pool != NULL && listener->pool->worker_listener != listener)
		problems_key(reader->problems, node,
		    "pool \"%s\" has the listener \"%s\" without an address already; "
		    "give this one an \"address\"",
		    listener->pool->name, listener->pool->worker_listener->name);
	if (listener->mode.is_set && !is_path(listener))
		problems_value(reader->problems, node_member(node, "mode"), "is only for an address unix:/PATH");
	if (listener->proxy_protocol && (trusted == NULL || (trusted->type == NODE_LIST && trusted->count == 0)))
		problems_value(reader->problems, node_member(node, "proxy_protocol"),
		    "needs \"trusted_proxies\": no peer is trusted, so every connection would be closed");
}

static void check_control(struct reader *reader, const struct node *root)
{
	const struct config *config = reader->config;
	const struct node *group = node_member(root, "control_group"), *control = node_member(root, "control");

	if (config->control != NULL && control != NULL && config->control[0] != '/' && config->control[0] != '@' &&
	    strncmp(config->control, "unix:", 5) != 0)
		problems_value(reader->problems, control, "must be an absolute path, or \"@\" and a name");
	if (config->control_group == NULL || group == NULL)
		return;
	check_group_exists(reader, group, config->control_group);
	if (!(config->control_mode.bits & 0020))
		problems_value(reader->problems, group, "needs a \"control_mode\" that lets the group in: \"0660\"");
}

void check_config(struct reader *reader, const struct node *root)
{
	struct config *config = reader->config;
	const struct node *user = node_member(root, "user");

	if (config->user != NULL && user != NULL)
		check_user(reader, user, config->user);
	check_control(reader, root);
	check_addresses(reader, root);
	check_sockets(reader, root);
	for (size_t i = 0; i < config->listeners_count; i++)
		check_listener(reader, root, &config->listeners[i]);
	for (size_t i = 0; i < config->pools_count; i++) {
		const struct node *node = entry_node(root, "pools", config->pools[i].name);

		if (node != NULL)
			check_pool(reader, node, &config->pools[i]);
	}
}
