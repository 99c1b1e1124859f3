/* A worker that uses liblimpet, for tests with a limpet: liblimpet_worker loop|threads
 *
 * It serves what workers/scripted.py serves, each client in a thread of its own: GET /N is answered with who
 * served it, and noted in the journal of FAULT_DIR; after GET /pin/N every line is sent back. It prints what
 * happens to it, a line each, and does what it is told on stdin: "leave", "limit N", "stat NAME VALUE".
 */
#include <errno.h>
#include <fcntl.h>
#include <limpet.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define THREADS 4

static struct limpet *limpet;
static int journal;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t idle = PTHREAD_COND_INITIALIZER;
static unsigned clients;

static void count(int change)
{
	pthread_mutex_lock(&lock);
	clients += (unsigned)change;
	pthread_cond_signal(&idle);
	pthread_mutex_unlock(&lock);
}

static void answer(int client, char *head)
{
	unsigned number = 0;
	char slot[65], body[256], line[128];
	const char *pin = strncmp(head, "GET /pin/", 9) ? NULL : head + 9;
	int length;
	ssize_t got;

	if (!pin && strncmp(head, "GET /", 5) != 0)
		return;
	number = (unsigned)strtoul(pin ? pin : head + 5, NULL, 10);
	limpet_slot(limpet, slot, sizeof(slot));
	length = snprintf(line, sizeof(line), "%u %s 1 %d\n", number, slot, (int)getpid());
	if (write(journal, line, (size_t)length) != length)
		abort();
	length = snprintf(body, sizeof(body), "{\"number\": %u, \"slot\": \"%s\", \"pid\": %d}", number, slot,
	    (int)getpid());
	dprintf(client, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", length, body);
	while (pin && (got = read(client, body, sizeof(body))) > 0)
		if (write(client, body, (size_t)got) != got)
			return;
}

static void *serve(void *argument)
{
	int client = (int)(long)argument;
	char head[8192];
	size_t length = 0;
	ssize_t got;

	fcntl(client, F_SETFL, 0);
	while (
	    length < sizeof(head) - 1 && (got = read(client, head + length, sizeof(head) - 1 - length)) > 0) {
		length += (size_t)got;
		head[length] = '\0';
		if (strstr(head, "\r\n\r\n")) {
			answer(client, head);
			break;
		}
	}
	close(client);
	limpet_closed(limpet, 1);
	count(-1);
	return NULL;
}

static void take(int client)
{
	pthread_t thread;

	count(1);
	if (pthread_create(&thread, NULL, serve, (void *)(long)client))
		abort();
	pthread_detach(thread);
}

static void obey(void)
{
	struct limpet_stat stat;
	char line[128], name[33];
	unsigned number;

	if (!fgets(line, sizeof(line), stdin))
		return;
	stat.name = name;
	if (strcmp(line, "leave\n") == 0)
		limpet_leave(limpet);
	else if (sscanf(line, "limit %u", &number) == 1)
		limpet_limit(limpet, number);
	else if (sscanf(line, "stat %32s %lf", name, &stat.value) == 2 && limpet_stats(limpet, &stat, 1) < 0)
		abort();
	puts("done");
}

/* Returns false at the end. */
static int handle(const struct limpet_event *event)
{
	switch (event->type) {
	case LIMPET_CONNECTION:
		take(event->fd);
		return 1;
	case LIMPET_JOINED:
		printf("joined %s %s\n", event->pool, event->slot);
		return 1;
	case LIMPET_LOST:
		printf("lost: %s\n", event->reason);
		return 1;
	case LIMPET_REJECTED:
		printf("rejected: %s\n", event->reason);
		return 1;
	case LIMPET_NO_ROOM:
		puts("no room");
		return 1;
	case LIMPET_DRAIN:
		puts("drain");
		return 0;
	case LIMPET_OVER:
		printf("over: %s\n", event->reason);
		return 0;
	}
	return 1;
}

static void loop(void)
{
	struct pollfd polled[] = {{.fd = limpet_fd(limpet), .events = POLLIN}, {.fd = 0, .events = POLLIN}};
	const struct limpet_event *event;
	int on = 1;

	while (on) {
		if (poll(polled, 2, -1) < 0)
			abort();
		if (polled[1].revents)
			obey();
		while (on && (event = limpet_next(limpet)))
			on = handle(event);
	}
}

static void *accept_all(void *unused)
{
	int client;

	while ((client = limpet_accept(limpet, NULL, NULL, SOCK_CLOEXEC)) != -ESHUTDOWN)
		if (client >= 0)
			take(client);
	return NULL;
}

static void threads(void)
{
	pthread_t accepting[THREADS];

	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&accepting[i], NULL, accept_all, NULL))
			abort();
	for (int i = 0; i < THREADS; i++)
		pthread_join(accepting[i], NULL);
}

int main(int argc, char **argv)
{
	const char *directory = getenv("FAULT_DIR");
	char path[4096];

	signal(SIGPIPE, SIG_IGN);
	setvbuf(stdout, NULL, _IOLBF, 0);
	setvbuf(stdin, NULL, _IONBF, 0);
	snprintf(path, sizeof(path), "%s/journal", directory ? directory : ".");
	journal = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
	if (argc != 2 || journal < 0 || limpet_open(&limpet) < 0)
		return 1;
	if (strcmp(argv[1], "loop") == 0)
		loop();
	else
		threads();
	pthread_mutex_lock(&lock);
	while (clients)
		pthread_cond_wait(&idle, &lock);
	pthread_mutex_unlock(&lock);
	limpet_close(limpet);
	return 0;
}
