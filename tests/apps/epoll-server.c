/* An HTTP server as C programs have it: each connection is a structure to which its entry in the epoll set points, and which is
 * freed when the connection is closed; the kernel is counted on to take the entry out. ./epoll-server PORT
 *
 * FREES  what is freed is given back (for sanitizers); else it is kept, and known for what it is
 *
 * Every request is answered with "PID STALE": how many events have pointed to a connection that was freed. Paths:
 *
 * /                 the connection is kept
 * /close/WAY        it is closed, in this way
 * /child/WAY        a child closes its copy, in this way, and ends before the answer
 *
 * Ways that begin with a capital letter are of glibc, and not there with musl. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SETS 3
#define ALIVE 0x11fe
#define FREED 0xdead

struct connection {
	int state;
	int fd;
	int set;
	size_t length;
	char head[2048];
};

extern char **environ;

/* The second and the third are in the first. */
static int sets[SETS], stale, listening;
static volatile int of_signal;

static void add(int set, int fd, void *data)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data.ptr = data};

	if (epoll_ctl(sets[set], EPOLL_CTL_ADD, fd, &event) < 0)
		perror("epoll_ctl");
}

static void answer(const struct connection *connection)
{
	char body[64], text[256];

	snprintf(body, sizeof(body), "%d %d\n", (int)getpid(), stale);
	snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s", strlen(body), body);
	if (write(connection->fd, text, strlen(text)) < 0)
		perror("write");
}

static void close_of_signal(int number)
{
	(void)number;
	close(of_signal);
}

/* The connection's fd is another from now on, registered in place of the old one. */
static void change_fd(struct connection *connection, int fd)
{
	add(0, fd, connection);
	close(connection->fd);
	connection->fd = fd;
}

static void close_by(const char *way, struct connection *connection)
{
	int fd = connection->fd, null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (strcmp(way, "close") == 0) {
		close(fd);
	} else if (strcmp(way, "syscall") == 0) {
		syscall(SYS_close, fd);
	} else if (strcmp(way, "fclose") == 0) {
		fclose(fdopen(fd, "r+"));
	} else if (strcmp(way, "dup2") == 0) {
		close(dup2(null, fd));
	} else if (strcmp(way, "dup3") == 0) {
		close(dup3(null, fd, O_CLOEXEC));
	} else if (strcmp(way, "range-syscall") == 0) {
		syscall(SYS_close_range, fd, fd, 0);
	} else if (strcmp(way, "copy") == 0) {
		change_fd(connection, dup(fd));
		close(connection->fd);
	} else if (strcmp(way, "copy-fcntl") == 0) {
		change_fd(connection, fcntl(fd, F_DUPFD_CLOEXEC, 300));
		close(connection->fd);
	} else if (strcmp(way, "two-numbers") == 0) {
		int copy = dup(fd);

		add(1, copy, connection);
		close(fd);
		close(copy);
	} else if (strcmp(way, "sets") == 0) {
		add(1, fd, connection);
		add(2, fd, connection);
		close(fd);
	} else if (strcmp(way, "moved") == 0) {
		epoll_ctl(sets[0], EPOLL_CTL_DEL, fd, NULL);
		add(1, fd, connection);
		close(fd);
	} else if (strcmp(way, "again") == 0) {
		epoll_ctl(sets[0], EPOLL_CTL_DEL, fd, NULL);
		add(0, fd, connection);
		close(fd);
	} else if (strcmp(way, "signal") == 0) {
		of_signal = fd;
		raise(SIGUSR1);
#ifdef __GLIBC__
	} else if (strcmp(way, "Range") == 0) {
		close_range((unsigned)fd, (unsigned)fd, 0);
	} else if (strcmp(way, "Closefrom") == 0) {
		change_fd(connection, fcntl(fd, F_DUPFD_CLOEXEC, 700));
		closefrom(connection->fd);
#endif
	} else {
		fprintf(stderr, "no way %s\n", way);
	}
	close(null);
}

static void spawn(int fd)
{
	posix_spawn_file_actions_t actions;
	char *arguments[] = {"true", NULL};
	pid_t pid;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addclose(&actions, fd);
	if (posix_spawnp(&pid, "true", &actions, NULL, arguments, environ) == 0)
		waitpid(pid, NULL, 0);
	posix_spawn_file_actions_destroy(&actions);
}

/* The child has the memory of its parent. */
static void close_after_vfork(int fd, const char *how)
{
	pid_t pid = vfork();

	if (pid == 0) {
		if (strcmp(how, "close") == 0)
			close(fd);
		else if (strcmp(how, "dup2") == 0)
			dup2(2, fd);
		else
			syscall(SYS_close_range, 3, ~0U, 0);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
}

static void close_after_fork(int fd, const char *how)
{
	pid_t pid = strcmp(how, "raw") == 0 ? (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) : fork();

	if (pid == 0) {
		if (strcmp(how, "range") == 0)
			syscall(SYS_close_range, 3, ~0U, 0);
		else if (strcmp(how, "dup2") == 0)
			dup2(2, fd);
		else if (strcmp(how, "registers") == 0) { /* for itself, in a set of its own, and then it is its to take out */
			sets[0] = epoll_create1(EPOLL_CLOEXEC);
			add(0, fd, NULL);
			close(fd);
		} else
			close(fd);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
}

static void close_in_child(const char *way, int fd)
{
	if (strncmp(way, "fork-", 5) == 0)
		close_after_fork(fd, way + 5);
	else if (strncmp(way, "vfork-", 6) == 0)
		close_after_vfork(fd, way + 6);
	else if (strcmp(way, "spawn") == 0)
		spawn(fd);
	else if (strcmp(way, "none-dup2") == 0) /* no child, and nothing is closed */
		dup2(-1, fd);
	else if (strcmp(way, "none-dup3") == 0)
		dup3(-1, fd, O_CLOEXEC);
	else if (strcmp(way, "none-range") == 0)
		syscall(SYS_close_range, fd, fd, 4 /* CLOSE_RANGE_CLOEXEC */);
	else
		fprintf(stderr, "no way %s\n", way);
}

static void end(struct connection *connection, const char *way)
{
	char copied[64];

	snprintf(copied, sizeof(copied), "%s", way);
	close_by(copied, connection);
	connection->state = FREED;
	if (getenv("FREES"))
		free(connection);
}

static void serve(struct connection *connection)
{
	char way[64];
	ssize_t more = read(connection->fd, connection->head + connection->length, sizeof(connection->head) - 1 - connection->length);

	if (more <= 0) {
		end(connection, "close");
		return;
	}
	connection->length += (size_t)more;
	connection->head[connection->length] = '\0';
	if (!strstr(connection->head, "\r\n\r\n"))
		return;
	connection->length = 0;
	if (sscanf(connection->head, "GET /child/%63[A-Za-z0-9-]", way) == 1)
		close_in_child(way, connection->fd);
	answer(connection);
	if (sscanf(connection->head, "GET /close/%63[A-Za-z0-9-]", way) == 1)
		end(connection, way);
}

static void accept_one(void)
{
	int fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
	struct connection *connection = fd < 0 ? NULL : calloc(1, sizeof(*connection));

	if (!connection)
		return;
	connection->state = ALIVE;
	connection->fd = fd;
	add(0, fd, connection);
}

static void wait_in(int set)
{
	struct epoll_event event;

	if (epoll_wait(sets[set], &event, 1, set ? 0 : -1) != 1)
		return;
	if (event.data.ptr == &listening)
		accept_one();
	else if (event.data.ptr == &sets[1] || event.data.ptr == &sets[2])
		wait_in((int)((int *)event.data.ptr - sets));
	else if (((struct connection *)event.data.ptr)->state == ALIVE)
		serve(event.data.ptr);
	else
		stale++;
}

static int listen_on(int port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	address.sin_port = htons((uint16_t)port);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (void *)&address, sizeof(address)) < 0 || listen(fd, 511) < 0) {
		perror("epoll-server");
		exit(1);
	}
	return fd;
}

int main(int argc, char **argv)
{
	signal(SIGUSR1, close_of_signal);
	signal(SIGPIPE, SIG_IGN);
	for (int i = 0; i < SETS; i++)
		sets[i] = epoll_create1(EPOLL_CLOEXEC);
	add(0, sets[1], &sets[1]);
	add(0, sets[2], &sets[2]);
	listening = listen_on(atoi(argv[argc - 1]));
	add(0, listening, &listening);
	for (;;)
		wait_in(0);
}
