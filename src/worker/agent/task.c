/* The processes of the program. What is remembered of one is a pidfd, which never means another; that a
 * thread is one of its threads the kernel says each time. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "worker/agent/agent.h"

/* Limits seldom change. */
#define LIMIT_AGE_MAX 16

static int open_process(pid_t process)
{
	return (int)syscall(SYS_pidfd_open, process, 0);
}

static void forget(struct task *task)
{
	close(task->handle);
	memset(task, 0, sizeof(*task));
	task->handle = -1;
}

void tasks_init(struct tasks *tasks)
{
	memset(tasks, 0, sizeof(*tasks));
	for (size_t i = 0; i < TASKS_MAX; i++)
		tasks->all[i].handle = -1;
}

static bool has_thread(const struct task *task, pid_t thread)
{
	return task->process == thread || syscall(SYS_tgkill, task->process, thread, 0) == 0;
}

/* What /proc/THREAD/status says. 0: nothing. */
static pid_t process_of(pid_t thread)
{
	char path[64], line[256];
	int process = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)thread);
	file = fopen(path, "re");
	while (file && !process && fgets(line, sizeof(line), file))
		if (sscanf(line, "Tgid: %d", &process) != 1)
			process = 0;
	if (file)
		fclose(file);
	return process;
}

struct task *task_find(struct tasks *tasks, pid_t thread)
{
	struct task *oldest = &tasks->all[0];
	pid_t process;

	for (struct task *task = tasks->all; task < tasks->all + TASKS_MAX; task++) {
		if (task->handle >= 0 && has_thread(task, thread)) {
			task->used = ++tasks->used;
			return task;
		}
		if (task->used < oldest->used)
			oldest = task;
	}
	process = process_of(thread);
	if (process <= 0)
		return NULL;
	if (oldest->handle >= 0)
		forget(oldest);
	oldest->handle = open_process(process);
	if (oldest->handle < 0)
		return NULL;
	oldest->process = process;
	oldest->used = ++tasks->used;
	return oldest;
}

int task_fd(struct task *task, int number)
{
	int fd = (int)syscall(SYS_pidfd_getfd, task->handle, number, 0);

	if (fd >= 0 || errno != ESRCH)
		return fd < 0 ? -errno : fd;
	/* It has ended, and another has its pid. */
	close(task->handle);
	task->handle = open_process(task->process);
	task->last_number = 0;
	task->given_by = 0;
	fd = task->handle < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, task->handle, number, 0);
	return fd < 0 ? -errno : fd;
}

uint64_t task_fd_limit(struct task *task)
{
	struct rlimit limit;

	if (task->limit_age++ % LIMIT_AGE_MAX == 0)
		task->limit =
		    prlimit(task->process, RLIMIT_NOFILE, NULL, &limit) < 0 ? UINT64_MAX : limit.rlim_cur;
	return task->limit;
}

int task_fd_flags(const struct task *task, int number)
{
	char path[64], line[256];
	unsigned flags = 0;
	bool found = false;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", (int)task->process, number);
	file = fopen(path, "re");
	if (!file)
		return -errno;
	while (!found && fgets(line, sizeof(line), file))
		found = sscanf(line, "flags: %o", &flags) == 1;
	fclose(file);
	return found ? (int)flags : -EBADF;
}

/* ---- memory ---- */

struct memory memory_open(pid_t thread)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/mem", (int)thread);
	return (struct memory){open(path, O_RDWR | O_CLOEXEC)};
}

void memory_close(struct memory *memory)
{
	if (memory->fd >= 0)
		close(memory->fd);
	memory->fd = -1;
}

int memory_read(const struct memory *memory, uint64_t address, void *to, size_t length)
{
	return address <= INT64_MAX && pread(memory->fd, to, length, (off_t)address) == (ssize_t)length
	           ? 0
	           : -EFAULT;
}

int memory_write(const struct memory *memory, uint64_t address, const void *from, size_t length)
{
	return address <= INT64_MAX && pwrite(memory->fd, from, length, (off_t)address) == (ssize_t)length
	           ? 0
	           : -EFAULT;
}
