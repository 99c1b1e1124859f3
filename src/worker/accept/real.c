/* The functions behind those that interpose.c defines: the next ones in the order of loading, so that other
 * preloaded libraries keep their say. */
#include <dlfcn.h>
#include <pthread.h>

#include "worker/accept/shim.h"

static struct real table;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* ISO C knows no conversion between data and function pointers; POSIX promises it for dlsym(). */
#define LOOK_UP(name) (*(void **)&table.name = dlsym(RTLD_NEXT, #name))

static void look_up(void)
{
	LOOK_UP(bind);
	LOOK_UP(listen);
	LOOK_UP(connect);
	LOOK_UP(accept);
	LOOK_UP(accept4);
	LOOK_UP(getsockname);
	LOOK_UP(getpeername);
	LOOK_UP(getsockopt);
	LOOK_UP(setsockopt);
	LOOK_UP(close);
	LOOK_UP(fclose);
	LOOK_UP(close_range);
	LOOK_UP(closefrom);
	LOOK_UP(dup);
	LOOK_UP(dup2);
	LOOK_UP(epoll_ctl);
	LOOK_UP(fcntl);
	LOOK_UP(fcntl64);
	LOOK_UP(syscall);
	LOOK_UP(dup3);
}

/* Before the program forks: a child of vfork() must not be the first to look. */
__attribute__((constructor)) static void at_start(void)
{
	pthread_once(&once, look_up);
}

const struct real *real(void)
{
	/* Other libraries' constructors may come before ours. */
	if (!table.dup3)
		pthread_once(&once, look_up);
	return &table;
}
