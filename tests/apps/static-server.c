/* A server that limpet's preloaded library does not reach, when it is linked with -static: ./static-server PORT */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int one = 1, listening = socket(AF_INET, SOCK_STREAM, 0);

	address.sin_port = htons((uint16_t)atoi(argv[argc - 1]));
	setsockopt(listening, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	if (bind(listening, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(listening, 16) < 0) {
		perror("static-server");
		return 1;
	}
	for (;;) {
		static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nhi\n";
		int connection = accept(listening, NULL, NULL);

		if (connection >= 0 && write(connection, answer, strlen(answer)) < 0)
			perror("static-server");
		close(connection);
	}
}
