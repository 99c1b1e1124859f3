/* ./c-client HOST PORT COUNT: so many requests, each on a connection of its own, from a hundred addresses. Says how many were
 * answered with 200. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define ADDRESSES 100

static int ask(const struct sockaddr_in *server, unsigned number)
{
	static const char request[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
	struct sockaddr_in source = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000101 + number % ADDRESSES)};
	struct timeval limit = {.tv_sec = 20};
	int fd = socket(AF_INET, SOCK_STREAM, 0), good = 0, one = 1;
	char answer[1024];
	size_t length = 0;
	ssize_t more;

	/* Its port is found when it connects: else two connections could not share one. */
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (bind(fd, (struct sockaddr *)&source, sizeof(source)) == 0 &&
	    connect(fd, (const struct sockaddr *)server, sizeof(*server)) == 0 &&
	    write(fd, request, sizeof(request) - 1) == sizeof(request) - 1) {
		while (length < sizeof(answer) - 1 && (more = read(fd, answer + length, sizeof(answer) - 1 - length)) > 0)
			length += (size_t)more;
		answer[length] = '\0';
		good = strncmp(answer, "HTTP/1.1 200 ", 13) == 0 && strstr(answer, "\r\n\r\n") != NULL;
	}
	close(fd);
	return good;
}

int main(int argc, char **argv)
{
	struct sockaddr_in server = {.sin_family = AF_INET};
	unsigned good = 0, count = argc > 3 ? (unsigned)atoi(argv[3]) : 1;

	if (argc < 3 || inet_pton(AF_INET, argv[1], &server.sin_addr) != 1)
		return 2;
	server.sin_port = htons((uint16_t)atoi(argv[2]));
	for (unsigned number = 0; number < count; number++)
		good += (unsigned)ask(&server, number);
	printf("%u\n", good);
	return good == count ? 0 : 1;
}
