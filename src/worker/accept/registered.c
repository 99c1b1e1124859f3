/* Some programs put a socket into an epoll set before they bind it (Boost.Asio does). An epoll set holds open
 * files, not numbers: the swap would leave the old one in the set, where limpet's own listening would wake
 * the program, and the new one out of it. The kernel tells in /proc/self/fdinfo what is in which set. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "worker/accept/shim.h"

static void read_set(struct registered *registered, int set, int fd)
{
	char path[64], line[256];
	unsigned events;
	unsigned long long data;
	int held;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", set);
	file = fopen(path, "re");
	while (file && registered->count < REGISTERED_MAX && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "tfd: %d events: %x data: %llx", &held, &events, &data) != 3 || held != fd)
			continue;
		registered->in[registered->count].set = set;
		registered->in[registered->count].event.events = events;
		registered->in[registered->count].event.data.u64 = data;
		registered->count++;
		break;
	}
	if (file)
		fclose(file);
}

void registered_take_out(int fd, struct registered *registered)
{
	DIR *fds = opendir("/proc/self/fd");
	struct dirent *entry;

	registered->count = 0;
	while (fds && (entry = readdir(fds))) {
		char target[64];
		ssize_t length = readlinkat(dirfd(fds), entry->d_name, target, sizeof(target) - 1);

		target[length > 0 ? length : 0] = '\0';
		if (strcmp(target, "anon_inode:[eventpoll]") == 0)
			read_set(registered, atoi(entry->d_name), fd);
	}
	if (fds)
		closedir(fds);
	for (size_t i = 0; i < registered->count; i++)
		real()->epoll_ctl(registered->in[i].set, EPOLL_CTL_DEL, fd, NULL);
}

void registered_put_back(int fd, struct registered *registered)
{
	for (size_t i = 0; i < registered->count; i++)
		real()->epoll_ctl(registered->in[i].set, EPOLL_CTL_ADD, fd, &registered->in[i].event);
}
