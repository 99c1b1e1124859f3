/* limpet-join: starts a program so that it is a worker in a pool of a running limpet. See limpet-join(8). */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/log.h"
#include "config/load.h"
#include "join/joining.h"

static const char usage[] =
    "Usage: limpet-join [-S SOCKET] [-P POOL] [-s SLOT] [-p PROTOCOL] [--] COMMAND [ARGUMENT]...\n"
    "       limpet-join [-S SOCKET] [-P POOL] [-s SLOT] --channel-fd N\n"
    "\n"
    "Joins a pool of a running limpet with a worker that runs COMMAND.\n"
    "\n"
    "  -S SOCKET       the pool's socket: a path, or @NAME (default: $LIMPET_SOCKET)\n"
    "  -P POOL         the name that the pool must have (default: $LIMPET_POOL, else any)\n"
    "  -s SLOT         the slot to have (default: $LIMPET_SLOT, else one that is free)\n"
    "  -p PROTOCOL     how COMMAND takes connections: accept, node-cluster, node-ipc:FLAVOUR or limpet\n"
    "                  (default: node-cluster if COMMAND is node, else accept)\n"
    "  --channel-fd N  no command: connections go to the Node.js process at the other end of its 'ipc' channel,\n"
    "                  which was inherited with this number\n"
    "  -h, --help      this text\n"
    "  -V, --version   the version\n"
    "\n"
    "Manuals: limpet-join(8), limpet(8), limpet-worker(7).\n";

enum { OPTION_CHANNEL = 256 };

static const struct option long_options[] = {
    {"channel-fd", required_argument, NULL, OPTION_CHANNEL},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {NULL, 0, NULL, 0},
};

static void refuse(const char *why) __attribute__((noreturn));

static void refuse(const char *why)
{
	if (why)
		fprintf(stderr, "limpet-join: %s\n", why);
	fprintf(stderr, "limpet-join: for help: limpet-join -h\n");
	exit(1);
}

static const char *from_environment(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : NULL;
}

static int parse_channel(const char *text)
{
	int type = 0, domain = 0;
	socklen_t length = sizeof(int);
	char *end;
	long number = strtol(text, &end, 10);

	if (!*text || *end || number < 0 || number > INT_MAX)
		refuse("--channel-fd: not a number");
	if (getsockopt((int)number, SOL_SOCKET, SO_TYPE, &type, &length) < 0 || type != SOCK_STREAM ||
	    getsockopt((int)number, SOL_SOCKET, SO_DOMAIN, &domain, &length) < 0 || domain != AF_UNIX ||
	    fcntl((int)number, F_SETFD, FD_CLOEXEC) < 0)
		refuse("--channel-fd: not an 'ipc' channel: start limpet-join with 'ipc' in the place of this number in stdio");
	return (int)number;
}

/* What is wrong is said in limpet's name there. */
static void print_problems(const char *problems)
{
	static const char prefix[] = "limpet: ";

	for (const char *line = problems; *line;) {
		size_t length = strcspn(line, "\n");
		size_t skip = strncmp(line, prefix, sizeof(prefix) - 1) == 0 ? sizeof(prefix) - 1 : 0;

		fprintf(stderr, "limpet-join: %.*s\n", (int)(length - skip), line + skip);
		line += length + (line[length] == '\n');
	}
}

/* A pool with this command, checked as limpet checks its own. Ends the program if anything is wrong. */
static struct config *load(char *const *command, const char *protocol)
{
	static const char *const nowhere[] = {"127.0.0.1:0"}; /* limpet has the listeners */
	const struct config_options options = {
	    .listeners = nowhere, .listeners_count = 1, .workers = "1", .protocol = protocol, .command = command};
	struct config *config = NULL;
	char *problems = NULL;
	size_t length = 0;
	FILE *out = open_memstream(&problems, &length);
	int result = out ? config_load(&config, &options, out) : -ENOMEM;

	if (out)
		fclose(out);
	if (result < 0) {
		print_problems(problems ? problems : "");
		exit(1);
	}
	free(problems);
	return config;
}

static void print_and_exit(const char *text) __attribute__((noreturn));

static void print_and_exit(const char *text)
{
	exit(fputs(text, stdout) < 0 || fflush(stdout) < 0 ? 2 : 0);
}

int main(int argc, char **argv)
{
	static char parent[] = "the parent", *const none[] = {parent, NULL};
	struct joining_options options = {.socket = from_environment("LIMPET_SOCKET"),
	    .pool = from_environment("LIMPET_POOL"),
	    .slot = from_environment("LIMPET_SLOT"),
	    .channel = -1};
	const char *protocol = NULL;
	struct config *config;
	int option, status;

	while ((option = getopt_long(argc, argv, "+S:P:s:p:hV", long_options, NULL)) != -1) {
		switch (option) {
		case 'S':
			options.socket = optarg;
			break;
		case 'P':
			options.pool = optarg;
			break;
		case 's':
			options.slot = optarg;
			break;
		case 'p':
			protocol = optarg;
			break;
		case OPTION_CHANNEL:
			options.channel = parse_channel(optarg);
			break;
		case 'h':
			print_and_exit(usage);
		case 'V':
			print_and_exit("limpet-join " LIMPET_VERSION "\n");
		default:
			refuse(NULL);
		}
	}
	if (!options.socket)
		refuse("which pool? Give its socket with -S, or LIMPET_SOCKET");
	if (options.channel >= 0 && (optind < argc || protocol))
		refuse("--channel-fd goes with neither a command nor -p");
	if (options.channel < 0 && optind == argc)
		refuse("nothing to run: give a command");
	config = options.channel < 0 ? load(&argv[optind], protocol) : load(none, "node-ipc:limpet:connection");
	options.command = &config->pools[0];
	log_configure("limpet-join", LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	status = joining_run(&options);
	config_free(config);
	return status;
}
