#include "supervisor/worker_messages.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/log.h"
#include "supervisor/listeners.h"
#include "supervisor/listening.h"
#include "supervisor/pools.h"
#include "supervisor/process.h"
#include "supervisor/router_process.h"

/* Lines in the log about addresses that one worker cannot have. */
#define REFUSALS_LOGGED 10

static void answer_listen(
    struct supervisor *supervisor, struct process *process, const struct link_message *asked, int own)
{
	struct listening *listening = NULL;
	struct link_message answer;
	struct supervised_pool *pool = process->slot ? process->slot->pool : pools_find(supervisor, process->pool_name);
	const struct listening *before = pool ? listeners_find_key(pool, asked->key) : NULL;
	bool known = before && !before->bound_only;
	int fd = -1;

	link_message_init(&answer, LINK_LISTEN_ANSWER);
	answer.worker = process->id;
	answer.request = asked->request;
	answer.socket_type = asked->socket_type;
	memcpy(answer.key, asked->key, sizeof(answer.key));
	answer.error =
	    pool && supervisor->state == SUPERVISOR_RUNNING ? listeners_ask(pool, asked, own, &listening) : ECANCELED;
	if (!answer.error && listening->socket_type != asked->socket_type)
		answer.error = EINVAL;
	if (!answer.error && process_server_add(process, asked->key, listening->id) < 0)
		answer.error = ENOMEM;
	if (!answer.error) {
		answer.listener = listening->id;
		answer.address = listening->address;
		if (listening->data) {
			answer.has_data = true;
			memcpy(answer.data, listening->data, strlen(listening->data));
		}
		if (listening->socket_type == SOCK_DGRAM)
			fd = listening->fd;
		else if (listening->fd >= 0 && !known && !listening->bound_only)
			router_tell_listener(supervisor, listening);
	} else if (process->listens_refused++ < REFUSALS_LOGGED) {
		char text[ADDRESS_TEXT_MAX];

		log_warning("%s cannot listen on %s: %s", process->name,
		    address_format(&asked->address, text, sizeof(text)), strerror(answer.error));
	}
	router_send(supervisor, &answer, fd);
}

/* A program of protocol accept says nothing before it ends: its socket is closed whether it has closed it, crashes, or ends. The
 * next worker's clients are to wait for it. */
static bool outlives_servers(struct supervisor *supervisor, const struct process *process, uint32_t id)
{
	const struct listening *listening = listeners_find(supervisor, id);

	return process->protocol == PROTOCOL_ACCEPT && listening && !listening->bound_only;
}

/* The application closed a server. The socket goes with the last worker's; when a worker died it stays for the next. */
static void unlisten(struct supervisor *supervisor, struct process *process, const char *key)
{
	struct process_server *server = process_server_find(process, key);
	uint32_t id;

	if (!server)
		return;
	id = server->listening;
	if (outlives_servers(supervisor, process, id)) {
		server->accepts = false;
		return;
	}
	process_server_remove(process, server);
	if (process_was_last_to_serve(process, id))
		router_forget_listening(supervisor, id);
}

static void listens(struct process *process, const char *key)
{
	struct process_server *server = process_server_find(process, key);

	if (server)
		server->accepts = true;
}

static void set_option(struct supervisor *supervisor, struct process *process, const struct link_message *message)
{
	struct process_server *server = process_server_find(process, message->key);
	struct listening *listening = server ? listeners_find(supervisor, server->listening) : NULL;

	/* What limpet listens on by its own configuration is not the program's to change. */
	if (listening && listening->index == LINK_INDEX_WORKERS && message->option_length <= sizeof(message->option_value))
		listening_set_option(listening, message->option_level, message->option_name, message->option_value,
		    message->option_length);
}

void worker_message(struct supervisor *supervisor, const struct link_message *message, int fd)
{
	struct process *process = process_find(supervisor, message->worker);

	if (!process)
		return;
	switch (message->type) {
	case LINK_LISTEN:
		answer_listen(supervisor, process, message, fd);
		break;
	case LINK_LISTENING:
		listens(process, message->key);
		break;
	case LINK_OPTION:
		set_option(supervisor, process, message);
		break;
	case LINK_UNLISTEN:
		unlisten(supervisor, process, message->key);
		break;
	case LINK_KEEP:
		process_keep(process, message->request, message->key, fd);
		break;
	case LINK_DROP:
		process_drop(process, message->request);
		break;
	case LINK_DRAINED:
		process_drained(process);
		break;
	case LINK_READY:
		process_is_ready(process);
		break;
	case LINK_LEAVING:
		process_leaves(process);
		break;
	case LINK_STUCK:
		process_is_stuck(process);
		break;
	case LINK_CHANNEL_LOST:
		process_lost(process, message->error, message->key);
		break;
	}
}
