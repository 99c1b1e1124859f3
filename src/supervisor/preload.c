#include "supervisor/preload.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "channel/accept_message.h"

/* The second is for programs of musl where limpet itself is not one: neither C library loads what needs the
 * other. */
#define LIBRARY "liblimpet-accept.so"
#ifdef __GLIBC__
#define LIBRARY_MUSL "liblimpet-accept-musl.so"
#else
#define LIBRARY_MUSL LIBRARY
#endif

/* Installed in libdir; in a build tree it lies in worker/accept/ beside limpet. */
static int find_library(const char *library, char *path, size_t size)
{
	char self[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	self[length > 0 ? length : 0] = '\0';
	slash = strrchr(self, '/');
	if (slash) {
		*slash = '\0';
		if (snprintf(path, size, "%s/worker/accept/%s", self, library) < (int)size &&
		    access(path, R_OK) == 0)
			return 0;
	}
	snprintf(path, size, "%s/%s", LIMPET_LIBDIR, library);
	return access(path, R_OK) == 0 ? 0 : -ENOENT;
}

/* A program may have libraries of its own preloaded: they stay, and stay in front. */
static int set_preload(const char *library)
{
	const char *before = getenv("LD_PRELOAD");
	char *all = NULL;
	int result;

	if (before && strstr(before, library))
		return 0;
	if (asprintf(&all, "%s%s%s", before ? before : "", before && *before ? ":" : "", library) < 0)
		return -ENOMEM;
	result = setenv("LD_PRELOAD", all, 1) < 0 ? -ENOMEM : 0;
	free(all);
	return result;
}

int preload_name_front(int front)
{
	struct sockaddr_un none = {.sun_family = AF_UNIX};

	return bind(front, (struct sockaddr *)&none, sizeof(none.sun_family)) < 0 ? -errno : 0;
}

static int set_control(int control)
{
	struct sockaddr_un name;
	socklen_t length = sizeof(name);
	char text[16 + 2 * sizeof(name.sun_path)];
	size_t at;

	if (getpeername(control, (struct sockaddr *)&name, &length) < 0)
		return -errno;
	at = (size_t)snprintf(text, sizeof(text), "%d:", control);
	for (size_t i = 1; i + offsetof(struct sockaddr_un, sun_path) < length; i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%02x", (unsigned char)name.sun_path[i]);
	return setenv(ACCEPT_ENVIRONMENT, text, 1) < 0 ? -ENOMEM : 0;
}

int preload_set_library(enum program program)
{
	char library[PATH_MAX];
	int result = find_library(program == PROGRAM_MUSL ? LIBRARY_MUSL : LIBRARY, library, sizeof(library));

	return result ? result : set_preload(library);
}

int preload_set_environment(int control, enum program program)
{
	int result = preload_set_library(program);

	return result ? result : set_control(control);
}
