#include "supervisor/bypass.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Listening sockets of the whole machine that are looked at, and fds of one process. */
#define LISTENING_MAX 4096
#define FDS_MAX 4096

#define STATE_LISTEN 0x0a

struct listening_socket {
	unsigned long inode;
	struct address address;
};

struct listening_sockets {
	struct listening_socket *sockets;
	size_t count;
};

static bool is_own(unsigned long inode, const ino_t *own, size_t own_count)
{
	for (size_t i = 0; i < own_count; i++)
		if (own[i] == inode)
			return true;
	return false;
}

/* The kernel prints the words of an address as they lie in memory. */
static void set_address(struct address *address, const char *hex, unsigned port)
{
	uint32_t words[4] = {0};
	size_t count = strlen(hex) / 8;

	memset(address, 0, sizeof(*address));
	for (size_t i = 0; i < count && i < 4; i++)
		sscanf(hex + 8 * i, "%8x", &words[i]);
	if (count == 4) {
		address->length = sizeof(address->in6);
		address->in6.sin6_family = AF_INET6;
		memcpy(&address->in6.sin6_addr, words, sizeof(words));
	} else {
		address->length = sizeof(address->in);
		address->in.sin_family = AF_INET;
		address->in.sin_addr.s_addr = words[0];
	}
	address_set_port(address, (uint16_t)port);
}

/* Listening sockets come first in these files: on a busy machine the rest is not read. */
static void read_table(const char *path, struct listening_sockets *found)
{
	FILE *file = fopen(path, "re");
	char line[512], hex[33];
	unsigned port, state;
	unsigned long inode;

	if (!file)
		return;
	if (!fgets(line, sizeof(line), file))
		line[0] = '\0';
	while (found->count < LISTENING_MAX && fgets(line, sizeof(line), file)) {
		if (sscanf(line, " %*u: %32[0-9A-F]:%4x %*[0-9A-F:] %2x %*s %*s %*s %*u %*u %lu", hex, &port,
		        &state, &inode) != 4 ||
		    state != STATE_LISTEN)
			break;
		found->sockets[found->count].inode = inode;
		set_address(&found->sockets[found->count].address, hex, port);
		found->count++;
	}
	fclose(file);
}

static const struct listening_socket *find_inode(const struct listening_sockets *found, unsigned long inode)
{
	for (size_t i = 0; i < found->count; i++)
		if (found->sockets[i].inode == inode)
			return &found->sockets[i];
	return NULL;
}

static const struct listening_socket *find_in_process(
    const char *pid, const struct listening_sockets *found, const ino_t *own, size_t own_count)
{
	const struct listening_socket *result = NULL;
	char path[64], target[64];
	struct dirent *entry;
	int count = 0;
	DIR *fds;

	snprintf(path, sizeof(path), "/proc/%.20s/fd", pid);
	fds = opendir(path);
	while (fds && !result && count++ < FDS_MAX && (entry = readdir(fds))) {
		unsigned long inode;
		ssize_t length = readlinkat(dirfd(fds), entry->d_name, target, sizeof(target) - 1);

		target[length > 0 ? length : 0] = '\0';
		if (sscanf(target, "socket:[%lu]", &inode) == 1 && !is_own(inode, own, own_count))
			result = find_inode(found, inode);
	}
	if (fds)
		closedir(fds);
	return result;
}

static pid_t group_of(const char *pid)
{
	char path[64], text[512], *end;
	FILE *file;
	size_t length;
	int group;

	snprintf(path, sizeof(path), "/proc/%.20s/stat", pid);
	file = fopen(path, "re");
	if (!file)
		return -1;
	length = fread(text, 1, sizeof(text) - 1, file);
	fclose(file);
	text[length] = '\0';
	/* The name before it may hold anything. */
	end = strrchr(text, ')');
	return end && sscanf(end, ") %*c %*d %d", &group) == 1 ? group : -1;
}

bool bypass_find(pid_t group, const ino_t *own, size_t own_count, struct address *address)
{
	struct listening_sockets found = {.sockets = calloc(LISTENING_MAX, sizeof(struct listening_socket))};
	const struct listening_socket *result = NULL;
	struct dirent *entry;
	char path[64];
	DIR *processes;

	if (!found.sockets)
		return false;
	/* A worker may have a network namespace of its own. */
	snprintf(path, sizeof(path), "/proc/%d/net/tcp", (int)group);
	read_table(path, &found);
	snprintf(path, sizeof(path), "/proc/%d/net/tcp6", (int)group);
	read_table(path, &found);
	processes = found.count ? opendir("/proc") : NULL;
	while (processes && !result && (entry = readdir(processes)))
		if (isdigit((unsigned char)entry->d_name[0]) && group_of(entry->d_name) == group)
			result = find_in_process(entry->d_name, &found, own, own_count);
	if (processes)
		closedir(processes);
	if (result)
		*address = result->address;
	free(found.sockets);
	return result != NULL;
}
