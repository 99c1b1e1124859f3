#include "supervisor/unix_socket.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static void remove_stale(const struct address *address)
{
	struct stat status;

	if (lstat(address->un.sun_path, &status) == 0 && S_ISSOCK(status.st_mode))
		unlink(address->un.sun_path);
}

static int set_group(const struct address *address, gid_t group)
{
	if (group == (gid_t)-1 || !address->un.sun_path[0])
		return 0;
	return chown(address->un.sun_path, (uid_t)-1, group) < 0 ? -errno : 0;
}

int unix_socket_permit(const struct address *address, const struct permissions *permissions)
{
	int result = set_group(address, permissions->group);

	if (!result && address->un.sun_path[0] && chmod(address->un.sun_path, permissions->mode) < 0)
		result = -errno;
	return result;
}

int unix_socket_open(const struct address *address, int type, const struct permissions *permissions, int backlog)
{
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), result = 0;
	mode_t before;

	if (fd < 0)
		return -errno;
	/* A limpet that lives still answers; another type of socket is somebody's, too; a full backlog is an answer. */
	if (connect(fd, &address->sa, address->length) == 0 || errno == EPROTOTYPE || errno == EAGAIN)
		result = -EADDRINUSE;
	else if (errno == ECONNREFUSED)
		remove_stale(address);
	close(fd);
	if (result)
		return result;
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	before = umask(~permissions->mode & 0777);
	if (bind(fd, &address->sa, address->length) < 0)
		result = -errno;
	umask(before);
	/* Nobody gets in before it listens. */
	if (!result)
		result = set_group(address, permissions->group);
	if (!result && listen(fd, backlog) < 0)
		result = -errno;
	if (result)
		close(fd);
	return result ? result : fd;
}

bool unix_socket_is(int fd, const struct address *address)
{
	struct address own = {.length = sizeof(own.un)};

	return getsockname(fd, &own.sa, &own.length) == 0 && address_family(&own) == AF_UNIX &&
	       address_equal(&own, address);
}

void unix_socket_remove(const struct address *address)
{
	if (address->un.sun_path[0])
		unlink(address->un.sun_path);
}
