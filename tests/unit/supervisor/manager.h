/* A service manager of one test: a bound datagram socket, what came to it, and the fd that came with it. */
#ifndef LIMPET_TESTS_UNIT_SUPERVISOR_MANAGER_H
#define LIMPET_TESTS_UNIT_SUPERVISOR_MANAGER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/address.h"
#include "base/fd_passing.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct manager {
	int fd;
	char name[64]; /* for NOTIFY_SOCKET */
	char text[2048];
	int received; /* the fd of the last message, or -1 */
};

static inline void manager_open(struct manager *manager)
{
	struct address address;

	snprintf(manager->name, sizeof(manager->name), "@limpet-test-manager-%ld", (long)getpid());
	assert_int_equal(address_parse(&address, manager->name, NULL), 0);
	manager->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	manager->received = -1;
	assert_int_equal(bind(manager->fd, &address.sa, address.length), 0);
}

/* The next message, "" if there is none. */
static inline const char *manager_read(struct manager *manager)
{
	ssize_t length;

	if (manager->received >= 0)
		close(manager->received);
	length = fd_receive(manager->fd, manager->text, sizeof(manager->text) - 1, &manager->received, NULL);
	manager->text[length > 0 ? length : 0] = '\0';
	return manager->text;
}

static inline void manager_close(struct manager *manager)
{
	if (manager->received >= 0)
		close(manager->received);
	close(manager->fd);
}

#endif
