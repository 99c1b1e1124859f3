#include "demo.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define DEMO_WORKER "limpet-demo-worker"
#define DEMO_ADDRESS "127.0.0.1:8080"

static char worker_path[PATH_MAX];
static char *command[] = {worker_path, NULL};
static const char *shown_workers;

/* The worker is installed in libexecdir; in a build tree it lies in worker/ beside limpet. */
static int find_worker(void)
{
	char self[PATH_MAX - sizeof("/worker/" DEMO_WORKER)];
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (length > 0) {
		self[length] = '\0';
		slash = strrchr(self, '/');
		if (slash)
			*slash = '\0';
		snprintf(worker_path, sizeof(worker_path), "%s/worker/" DEMO_WORKER, self);
		if (access(worker_path, X_OK) == 0)
			return 0;
	}
	snprintf(worker_path, sizeof(worker_path), "%s/" DEMO_WORKER, LIMPET_LIBEXECDIR);
	return access(worker_path, X_OK) == 0 ? 0 : -ENOENT;
}

int demo_options(struct options *options)
{
	struct config_options *config = &options->config;

	if (find_worker() < 0) {
		fprintf(stderr, "limpet: --demo: %s is not there: this limpet was built without the demo "
				"(install libwslay-dev and nettle-dev and build again)\n",
		    worker_path);
		return -ENOENT;
	}
	config->command = command;
	config->protocol = "limpet";
	if (!config->workers)
		config->workers = "4";
	if (!config->listeners_count)
		options->listeners[config->listeners_count++] = DEMO_ADDRESS;
	if (!config->sticky_count)
		options->sticky[config->sticky_count++] = "cookie:demo";
	shown_workers = config->workers;
	return 0;
}

void demo_say(const struct address *address)
{
	char text[ADDRESS_TEXT_MAX];

	printf("limpet demo: http://%s/ (%s workers, sticky by cookie \"demo\", then by address); Ctrl-C ends it\n",
	    address_format(address, text, sizeof(text)), shown_workers);
	fflush(stdout);
}
