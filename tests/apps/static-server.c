/* A server for the ways of linking that limpet's preloaded library reaches (dynamically, with musl) or does not
 * (with -static):  ./static-server PORT
 *
 * MODE     blocking, or poll: non-blocking behind poll()
 * PREFORK  so many processes
 * FILES    the limit of open files
 *
 * It answers every request with who it is, in JSON. /hold keeps the connection.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <signal.h>
#include <unistd.h>

static int number_of(const char *variable)
{
	const char *text = getenv(variable);

	return text ? atoi(text) : 0;
}

static int make_socket(int port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int one = 1, listening = socket(AF_INET, SOCK_STREAM, 0);

	address.sin_port = htons((uint16_t)port);
	setsockopt(listening, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	if (bind(listening, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(listening, 16) < 0) {
		perror("static-server");
		exit(1);
	}
	return listening;
}

static void answer(int connection, const struct sockaddr_in *peer, int listening)
{
	char head[4096], body[256], text[512];
	struct sockaddr_in local = {0};
	socklen_t length = sizeof(local);
	size_t got = 0;
	ssize_t more;
	const char *slot = getenv("LIMPET_SLOT");

	do {
		more = read(connection, head + got, sizeof(head) - 1 - got);
		got += more > 0 ? (size_t)more : 0;
		head[got] = '\0';
	} while (more > 0 && !strstr(head, "\r\n\r\n"));
	getsockname(listening, (struct sockaddr *)&local, &length);
	snprintf(body, sizeof(body),
	    "{\"pid\": %d, \"slot\": \"%s\", \"peer\": \"%s:%d\", \"listening\": %d, \"family\": %d}", (int)getpid(),
	    slot ? slot : "", inet_ntoa(peer->sin_addr), ntohs(peer->sin_port), ntohs(local.sin_port),
	    local.sin_family);
	snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
	    strlen(body), body);
	if (write(connection, text, strlen(text)) < 0)
		perror("static-server");
	if (strncmp(head, "GET /hold", 9) != 0)
		close(connection);
}

int main(int argc, char **argv)
{
	int listening = make_socket(atoi(argv[argc - 1]));
	const char *mode = getenv("MODE");
	struct pollfd readable = {.fd = listening, .events = POLLIN};
	rlim_t files = (rlim_t)number_of("FILES");

	signal(SIGPIPE, SIG_IGN);
	for (int i = number_of("PREFORK"); i > 1; i--)
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			break;
		}
	if (files)
		setrlimit(RLIMIT_NOFILE, &(struct rlimit){files, files});
	if (mode && strcmp(mode, "poll") == 0)
		fcntl(listening, F_SETFL, O_NONBLOCK);
	for (;;) {
		struct sockaddr_in peer;
		socklen_t length = sizeof(peer);
		int connection;

		if (mode && strcmp(mode, "poll") == 0)
			poll(&readable, 1, -1);
		connection = accept(listening, (struct sockaddr *)&peer, &length);
		if (connection >= 0)
			answer(connection, &peer, listening);
		else if (errno == EMFILE)
			usleep(1000);
		else if (errno != EAGAIN && errno != EINTR)
			return 2;
	}
}
