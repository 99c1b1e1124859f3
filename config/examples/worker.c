#include <errno.h>
#include <limpet.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static struct limpet *limpet;

static void *serve(void *slot)
{
	char request[65536];
	int client;

	while ((client = limpet_accept(limpet, NULL, NULL, SOCK_CLOEXEC)) != -ESHUTDOWN) {
		if (client < 0)
			continue;
		if (read(client, request, sizeof(request)) > 0)
			dprintf(client, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nslot %s\n", (char *)slot);
		close(client);
		limpet_closed(limpet, 1);
	}
	return NULL;
}

int main(void)
{
	pthread_t threads[16];
	char slot[65];

	signal(SIGPIPE, SIG_IGN);
	if (limpet_open(&limpet) < 0)
		return 1;
	limpet_slot(limpet, slot, sizeof(slot));
	for (int i = 0; i < 16; i++)
		if (pthread_create(&threads[i], NULL, serve, slot))
			return 1;
	for (int i = 0; i < 16; i++)
		pthread_join(threads[i], NULL);
	limpet_close(limpet);
	return 0;
}
