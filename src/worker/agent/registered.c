/* Some programs put a socket into an epoll set before they bind it. An epoll set holds open files by the
 * number that they had then: the swap leaves the program's own in it, which is limpet's now and would wake
 * the program for nothing. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "worker/agent/agent.h"

#define SETS_MAX 8
#define FDS_MAX 65536

struct sets {
	size_t count;
	struct {
		int fd;
		struct epoll_event event;
	} all[SETS_MAX];
};

static void read_set(struct sets *sets, struct task *task, int set, int number)
{
	char path[64], line[256];
	unsigned events;
	unsigned long long data;
	int held;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", (int)task->process, set);
	file = fopen(path, "re");
	while (file && sets->count < SETS_MAX && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "tfd: %d events: %x data: %llx", &held, &events, &data) != 3 ||
		    held != number)
			continue;
		sets->all[sets->count].fd = task_fd(task, set);
		sets->all[sets->count].event.events = events;
		sets->all[sets->count].event.data.u64 = data;
		if (sets->all[sets->count].fd >= 0)
			sets->count++;
		break;
	}
	if (file)
		fclose(file);
}

static void find_sets(struct sets *sets, struct task *task, int number)
{
	char path[64];
	DIR *fds;
	struct dirent *entry;
	unsigned looked = 0;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)task->process);
	fds = opendir(path);
	while (fds && looked++ < FDS_MAX && (entry = readdir(fds))) {
		char target[64];
		ssize_t length = readlinkat(dirfd(fds), entry->d_name, target, sizeof(target) - 1);

		target[length > 0 ? length : 0] = '\0';
		if (strcmp(target, "anon_inode:[eventpoll]") == 0)
			read_set(sets, task, atoi(entry->d_name), number);
	}
	if (fds)
		closedir(fds);
}

/* A socket goes in and out under the number that it has in the process that asks: there are no others here.
 */
static void move_in_child(const struct sets *sets, int number, int own, int by) __attribute__((noreturn));

static void move_in_child(const struct sets *sets, int number, int own, int by)
{
	int above = number + 1, moved[SETS_MAX];

	own = fcntl(own, F_DUPFD, above);
	by = fcntl(by, F_DUPFD, above);
	for (size_t i = 0; i < sets->count; i++)
		moved[i] = fcntl(sets->all[i].fd, F_DUPFD, above);
	for (size_t i = 0; i < sets->count && own >= 0 && by >= 0; i++) {
		struct epoll_event event = sets->all[i].event;

		if (moved[i] < 0 || dup2(own, number) < 0)
			continue;
		epoll_ctl(moved[i], EPOLL_CTL_DEL, number, NULL);
		if (dup2(by, number) == number)
			epoll_ctl(moved[i], EPOLL_CTL_ADD, number, &event);
	}
	_exit(0);
}

void registered_move(struct task *task, int number, int own, int by)
{
	struct sets sets = {0};
	pid_t child;

	find_sets(&sets, task, number);
	if (sets.count) {
		child = fork();
		if (child == 0)
			move_in_child(&sets, number, own, by);
		while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
			;
	}
	for (size_t i = 0; i < sets.count; i++)
		close(sets.all[i].fd);
}
