/* A small and fast HTTP server, for tests that need many connections, many processes, or valgrind: ./c-server PORT
 *
 * RAW        its calls go through syscall()
 * CHILDREN   so many processes accept
 * CLOSES     before it begins it executes itself anew, and what it has open is closed then: "marked" (FD_CLOEXEC, as Ruby's
 *            close_others), "closed" (one by one), "range" (close_range()), "behind" (by a system call without the C library)
 * LIVES_ON   it ignores SIGTERM
 * FILES      the limit of open files, set when it listens
 * COUNT      ends after so many connections
 *
 * Every request is answered with "PID SLOT OPEN-FILES". The path /hold keeps the connection until the client closes it. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define LAST_FD 1023

static int raw;

/* The system call itself: no library is asked. */
static long behind(long number, long a, long b, long c)
{
#ifdef __x86_64__
	long result;

	__asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
	return result;
#else
	return syscall(number, a, b, c);
#endif
}

static void close_all(const char *how)
{
	if (strcmp(how, "range") == 0)
		close_range(3, ~0U, 0);
	for (int fd = 3; fd <= LAST_FD; fd++) {
		if (strcmp(how, "marked") == 0)
			fcntl(fd, F_SETFD, FD_CLOEXEC);
		else if (strcmp(how, "closed") == 0)
			close(fd);
		else if (strcmp(how, "behind") == 0)
			behind(SYS_close, fd, 0, 0);
	}
}

static int open_files(void)
{
	DIR *fds = opendir("/proc/self/fd");
	int count = 0;

	while (fds && readdir(fds))
		count++;
	if (fds)
		closedir(fds);
	return count - 3; /* ".", ".." and the directory itself */
}

static int listen_on(int port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);

	address.sin_port = htons((uint16_t)port);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if ((raw ? syscall(SYS_bind, fd, &address, sizeof(address)) : bind(fd, (void *)&address, sizeof(address))) < 0 ||
	    (raw ? syscall(SYS_listen, fd, 511) : listen(fd, 511)) < 0) {
		perror("c-server");
		exit(1);
	}
	return fd;
}

static void serve(int connection)
{
	char head[8192], body[64], answer[256];
	size_t length = 0;
	ssize_t more;

	while ((more = read(connection, head + length, sizeof(head) - 1 - length)) > 0) {
		length += (size_t)more;
		head[length] = '\0';
		if (strstr(head, "\r\n\r\n"))
			break;
	}
	if (more <= 0)
		return;
	snprintf(body, sizeof(body), "%d %s %d\n", (int)getpid(), getenv("LIMPET_SLOT"), open_files());
	snprintf(answer, sizeof(answer), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s", strlen(body), body);
	if (write(connection, answer, strlen(answer)) < 0)
		return;
	if (strncmp(head, "GET /hold", 9) == 0)
		while (read(connection, head, sizeof(head)) > 0)
			;
}

static void accept_on(int fd, long count)
{
	while (count--) {
		int connection = raw ? (int)syscall(SYS_accept4, fd, NULL, NULL, SOCK_CLOEXEC)
		                     : accept4(fd, NULL, NULL, SOCK_CLOEXEC);

		if (connection < 0) {
			if (errno != EINTR && errno != EMFILE && errno != ECONNABORTED)
				perror("c-server: accept");
			usleep(1000);
			continue;
		}
		serve(connection);
		close(connection);
	}
}

static void on_term(int number)
{
	(void)number;
	signal(SIGTERM, SIG_IGN);
	kill(0, SIGTERM);
	_exit(0);
}

int main(int argc, char **argv)
{
	const char *closes = getenv("CLOSES"), *count = getenv("COUNT"), *files = getenv("FILES");
	int fd, children = getenv("CHILDREN") ? atoi(getenv("CHILDREN")) : 0;

	if (closes) {
		char *how = strdup(closes);

		unsetenv("CLOSES");
		close_all(how);
		execv("/proc/self/exe", argv);
	}
	raw = getenv("RAW") != NULL;
	fd = listen_on(atoi(argv[argc - 1]));
	if (files) {
		struct rlimit limit = {(rlim_t)atoi(files), (rlim_t)atoi(files)};

		setrlimit(RLIMIT_NOFILE, &limit);
	}
	if (getenv("LIVES_ON"))
		signal(SIGTERM, SIG_IGN);
	for (int i = 0; i < children; i++)
		if (fork() == 0) {
			accept_on(fd, -1);
			_exit(0);
		}
	if (children) {
		if (!getenv("LIVES_ON"))
			signal(SIGTERM, on_term);
		while (wait(NULL) > 0 || errno == EINTR)
			;
	}
	accept_on(fd, count ? atol(count) : -1);
	return 0;
}
