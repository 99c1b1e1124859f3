#include "options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPTION_CONTROL = 256, OPTION_PRINT_CONFIG, OPTION_PRINT_SCHEMA, OPTION_DEMO, OPTION_CAN_RESUME };

static const char usage[] =
    "Usage: limpet [OPTION]... -- COMMAND [ARGUMENT]...\n"
    "       limpet -c FILE [-t]\n"
    "       limpet --demo\n"
    "\n"
    "Starts several workers that run COMMAND, and gives each client's connections to one of them, always the same.\n"
    "\n"
    "  -n N             workers; \"auto\" (the default): one a CPU\n"
    "  -l ADDRESS       listen here: HOST:PORT, [IPV6]:PORT, PORT or unix:/PATH; may be repeated\n"
    "                   (default: where COMMAND listens)\n"
    "  -s SOURCE        what a client is known by: ip, cookie:NAME, header:NAME, query:NAME or path:N; may be\n"
    "                   repeated: the first that has a value decides, ip is always the last (the default: ip)\n"
    "  -p PROTOCOL      how workers take connections: accept, node-cluster, node-cluster:message,\n"
    "                   node-ipc:FLAVOUR or limpet\n"
    "                   (default: node-cluster if COMMAND is node, else accept)\n"
    "  -c FILE          all this and more from a JSON file, see limpet.json(5)\n"
    "  -t               check the configuration and exit\n"
    "  --print-config   print the whole configuration in force, defaults included, and exit\n"
    "  --print-schema   print the JSON Schema of the configuration file and exit\n"
    "  --control PATH   a Unix socket for limpetctl(8)\n"
    "  --demo           run the demonstration worker\n"
    "  -h, --help       this text\n"
    "  -V, --version    the version\n"
    "\n"
    "Manuals: limpet(8), limpet.json(5), limpetctl(8), limpet-worker(7), limpet-join(8).\n";

static const struct option long_options[] = {
    {"control", required_argument, NULL, OPTION_CONTROL},
    {"print-config", no_argument, NULL, OPTION_PRINT_CONFIG},
    {"print-schema", no_argument, NULL, OPTION_PRINT_SCHEMA},
    {"demo", no_argument, NULL, OPTION_DEMO},
    {"can-resume", required_argument, NULL, OPTION_CAN_RESUME}, /* one limpet asks another before an upgrade */
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {NULL, 0, NULL, 0},
};

static void refuse(const char *why) __attribute__((noreturn));

static void refuse(const char *why)
{
	if (why)
		fprintf(stderr, "limpet: %s\n", why);
	fprintf(stderr, "limpet: for help: limpet -h\n");
	exit(1);
}

static void print_and_exit(const char *text) __attribute__((noreturn));

static void print_and_exit(const char *text)
{
	exit(fputs(text, stdout) < 0 || fflush(stdout) < 0 ? 2 : 0);
}

static void add(const char **list, size_t *count, const char *value)
{
	if (*count == OPTIONS_LIST_MAX)
		refuse("-l and -s: too many; use a file (-c)");
	list[(*count)++] = value;
}

static void once(const char **value, const char *argument, const char *name)
{
	if (*value) {
		fprintf(stderr, "limpet: %s is given twice\n", name);
		refuse(NULL);
	}
	*value = argument;
}

static void parse_one(struct options *options, int option)
{
	struct config_options *config = &options->config;

	switch (option) {
	case 'c':
		once(&config->file, optarg, "-c");
		break;
	case 'l':
		add(options->listeners, &config->listeners_count, optarg);
		break;
	case 'n':
		once(&config->workers, optarg, "-n");
		break;
	case 'p':
		once(&config->protocol, optarg, "-p");
		break;
	case 's':
		add(options->sticky, &config->sticky_count, optarg);
		break;
	case 't':
		options->check = true;
		break;
	case OPTION_CONTROL:
		once(&config->control, optarg, "--control");
		break;
	case OPTION_PRINT_CONFIG:
		options->print_config = true;
		break;
	case OPTION_PRINT_SCHEMA:
		options->print_schema = true;
		break;
	case OPTION_DEMO:
		options->demo = true;
		break;
	case OPTION_CAN_RESUME:
		once(&options->resume, optarg, "--can-resume");
		break;
	case 'h':
		print_and_exit(usage);
	case 'V':
		print_and_exit("limpet " LIMPET_VERSION "\n");
	default:
		refuse(NULL); /* getopt has said why */
	}
}

void options_parse(struct options *options, int argc, char **argv)
{
	int option;

	memset(options, 0, sizeof(*options));
	options->config.listeners = options->listeners;
	options->config.sticky = options->sticky;
	/* +: the first word that is no option begins the command, with or without "--". */
	while ((option = getopt_long(argc, argv, "+c:hl:n:p:s:tV", long_options, NULL)) != -1)
		parse_one(options, option);
	if (optind < argc)
		options->config.command = &argv[optind];
	if (options->demo && (options->config.command || options->config.file || options->config.protocol))
		refuse("--demo has its own command and protocol; -l, -n, -s and --control go with it");
	if (!options->demo && !options->print_schema && !options->config.file && !options->config.command)
		refuse("nothing to run: give a COMMAND, such as: limpet -- node server.js");
}
