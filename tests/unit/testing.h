/* cmocka, the headers that it wants before itself, and what the tests of several layers share. */
#ifndef LIMPET_TESTS_UNIT_TESTING_H
#define LIMPET_TESTS_UNIT_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* How many fds this process has open. */
static inline unsigned open_fds(void)
{
	DIR *directory = opendir("/proc/self/fd");
	unsigned count = 0;

	assert_non_null(directory);
	while (readdir(directory))
		count++;
	closedir(directory);
	return count;
}

/* For tests that lower the limit of open files: valgrind keeps one of its own. */
static inline void needs_the_kernels_limit_of_files(void)
{
	if (getenv("UNDER_VALGRIND"))
		skip();
}

static inline void make_pair(int type, int ends[2])
{
	assert_int_equal(socketpair(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
}

static inline void close_pair(const int ends[2])
{
	close(ends[0]);
	close(ends[1]);
}

#endif
