/* What a swapped socket answers: it is to look like the TCP socket that the program made. */
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

#include "base/fd_passing.h"
#include "worker/agent/agent.h"

/* No option of these levels is longer. */
#define VALUE_MAX 256

static struct server *find(struct agent *agent, const struct call *call)
{
	struct task *task = TAILQ_EMPTY(&agent->servers) ? NULL : task_find(&agent->tasks, call->thread);
	int fd;
	struct server *server = server_in(agent, task, (int)call->arguments[0], &fd);

	if (fd >= 0)
		close(fd);
	return server;
}

int answer_address(struct agent *agent, const struct call *call, uint64_t address, uint64_t length_address,
    const union accept_address *from, socklen_t from_length)
{
	struct memory memory = memory_open(call->thread);
	socklen_t room = 0;
	int result = memory.fd < 0 ? -EFAULT : memory_read(&memory, length_address, &room, sizeof(room));

	if (!result && room > INT32_MAX)
		result = -EINVAL;
	if (!result && !trap_waits(agent->notify, call))
		result = -ENOENT;
	if (!result)
		result = memory_write(&memory, address, from, from_length < room ? from_length : room);
	if (!result)
		result = memory_write(&memory, length_address, &from_length, sizeof(from_length));
	memory_close(&memory);
	return result;
}

void answer_sockname(struct agent *agent, const struct call *call)
{
	struct server *server = find(agent, call);

	if (!server)
		trap_continue(agent->notify, call);
	else
		trap_return(agent->notify, call,
		    answer_address(agent, call, call->arguments[1], call->arguments[2], &server->address,
		        server->length));
}

/* Writes what getsockopt() found. */
static int put(struct agent *agent, const struct call *call, const void *value, socklen_t length)
{
	struct memory memory = memory_open(call->thread);
	socklen_t room = 0;
	int result = memory.fd < 0 ? -EFAULT : memory_read(&memory, call->arguments[4], &room, sizeof(room));

	if (!result && room > INT32_MAX)
		result = -EINVAL;
	if (room > length)
		room = length;
	if (!result && !trap_waits(agent->notify, call))
		result = -ENOENT;
	if (!result)
		result = memory_write(&memory, call->arguments[3], value, room);
	if (!result)
		result = memory_write(&memory, call->arguments[4], &room, sizeof(room));
	memory_close(&memory);
	return result;
}

void answer_getsockopt(struct agent *agent, const struct call *call)
{
	struct server *server = find(agent, call);
	int level = (int)call->arguments[1], name = (int)call->arguments[2], value;

	if (!server) {
		trap_continue(agent->notify, call);
		return;
	}
	if (level == IPPROTO_IPV6)
		value = server->ipv6_only;
	else
		value = name == SO_TYPE       ? SOCK_STREAM
		        : name == SO_DOMAIN   ? server->address.sa.sa_family
		        : name == SO_PROTOCOL ? IPPROTO_TCP
		                              : server->listens;
	trap_return(agent->notify, call, put(agent, call, &value, sizeof(value)));
}

/* On the program's own socket; once it listens that is the front's, who is told. 0 or a negative errno. */
static int set_option(
    const struct server *server, int near, int level, int name, const void *value, socklen_t length)
{
	struct accept_message message = {.type = ACCEPT_OPTION,
	    .number = (uint32_t)level,
	    .flags = (uint32_t)name,
	    .address_length = length};

	if (server->own >= 0)
		return setsockopt(server->own, level, name, value, length) < 0 ? -errno : 0;
	if (length <= sizeof(message.address)) {
		memcpy(&message.address, value, length);
		fd_send(near, &message, sizeof(message), -1);
	}
	return 0;
}

void answer_setsockopt(struct agent *agent, const struct call *call)
{
	struct task *task = TAILQ_EMPTY(&agent->servers) ? NULL : task_find(&agent->tasks, call->thread);
	int near, result = -EFAULT;
	struct server *server = server_in(agent, task, (int)call->arguments[0], &near);
	socklen_t length = (socklen_t)call->arguments[4];
	char value[VALUE_MAX];
	struct memory memory;

	if (!server) {
		trap_continue(agent->notify, call);
		return;
	}
	memory = memory_open(call->thread);
	if (length > sizeof(value))
		result = -EINVAL;
	else if (memory.fd >= 0 && memory_read(&memory, call->arguments[3], value, length) == 0)
		result = trap_waits(agent->notify, call) ? 0 : -ENOENT;
	memory_close(&memory);
	if (!result)
		result =
		    set_option(server, near, (int)call->arguments[1], (int)call->arguments[2], value, length);
	close(near);
	trap_return(agent->notify, call, result);
}
