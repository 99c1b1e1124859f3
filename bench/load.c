/* The load client: options, and what it prints. See load.h. */
#include <arpa/inet.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>

#include "load.h"

static const char usage[] =
    "usage: load connections|echo|idle|storm --address HOST:PORT [--connections N] [--seconds S] [--count "
    "N]\n"
    "            [--rate N] [--first N] [--sources N] [--users N] [--size BYTES] [--every MS] "
    "[--websocket]\n";

/* 64 steps for each power of two. */
static size_t bucket_of(uint64_t value)
{
	unsigned shift;

	if (value < 64)
		return value;
	shift = 57 - (unsigned)__builtin_clzll(value);
	return (shift + 1) * 64 + (value >> shift) - 64;
}

void histogram_add(struct histogram *histogram, uint64_t value)
{
	histogram->counts[bucket_of(value)]++;
	histogram->total++;
	if (value > histogram->most)
		histogram->most = value;
}

uint64_t histogram_at(const struct histogram *histogram, double part)
{
	uint64_t wanted = (uint64_t)((double)histogram->total * part), seen = 0;

	for (size_t i = 0; i < sizeof(histogram->counts) / sizeof(histogram->counts[0]); i++) {
		seen += histogram->counts[i];
		if (seen > wanted)
			return i < 64 ? i : (64 + i % 64) << (i / 64 - 1);
	}
	return histogram->most;
}

static void print_histogram(const char *name, const struct histogram *histogram)
{
	if (!histogram->total)
		return;
	printf(", \"%s\": {\"p50\": %.1f, \"p99\": %.1f, \"p999\": %.1f, \"max\": %.1f}", name,
	    (double)histogram_at(histogram, 0.5) / 1e3, (double)histogram_at(histogram, 0.99) / 1e3,
	    (double)histogram_at(histogram, 0.999) / 1e3, (double)histogram->most / 1e3);
}

void load_print(struct load *load, const char *phase, double seconds)
{
	static const char *names[FAILURES] = {"connect", "reset", "status", "timeout"};
	struct timespec cpu;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
	printf(
	    "{\"phase\": \"%s\", \"seconds\": %.6f, \"answered\": %llu, \"echoes\": %llu, \"moved\": %llu, "
	    "\"load_cpu\": %.6f, \"failed\": {",
	    phase, seconds, (unsigned long long)load->answered, (unsigned long long)load->echoes,
	    (unsigned long long)load->moved, (double)cpu.tv_sec + (double)cpu.tv_nsec / 1e9);
	for (int i = 0; i < FAILURES; i++)
		printf("%s\"%s\": %llu", i ? ", " : "", names[i], (unsigned long long)load->failed[i]);
	printf("}");
	print_histogram("first_byte", &load->first_byte);
	print_histogram("echo", &load->echo);
	printf("}\n");
	fflush(stdout);
	load->answered = load->echoes = load->moved = 0;
	memset(load->failed, 0, sizeof(load->failed));
	memset(&load->first_byte, 0, sizeof(load->first_byte));
	memset(&load->echo, 0, sizeof(load->echo));
}

static bool parse_address(struct load *load, const char *text)
{
	char host[64] = "";
	const char *colon = strrchr(text, ':');

	if (!colon || (size_t)(colon - text) >= sizeof(host))
		return false;
	memcpy(host, text, (size_t)(colon - text));
	load->address.sin_family = AF_INET;
	load->address.sin_port = htons((uint16_t)atoi(colon + 1));
	return inet_pton(AF_INET, host, &load->address.sin_addr) == 1;
}

static bool parse_options(struct load *load, int argc, char **argv)
{
	static const struct option options[] = {{"address", 1, NULL, 'a'}, {"connections", 1, NULL, 'c'},
	    {"seconds", 1, NULL, 's'}, {"count", 1, NULL, 'n'}, {"rate", 1, NULL, 'r'},
	    {"first", 1, NULL, 'i'}, {"sources", 1, NULL, 'f'}, {"users", 1, NULL, 'u'},
	    {"size", 1, NULL, 'b'}, {"every", 1, NULL, 'e'}, {"websocket", 0, NULL, 'w'}, {NULL, 0, NULL, 0}};
	bool addressed = false;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'a':
			addressed = parse_address(load, optarg);
			break;
		case 'c':
			load->connections = (unsigned)atoi(optarg);
			break;
		case 's':
			load->seconds = atof(optarg);
			break;
		case 'n':
			load->count = strtoull(optarg, NULL, 10);
			break;
		case 'r':
			load->rate = (unsigned)atoi(optarg);
			break;
		case 'i':
			load->first = (unsigned)atoi(optarg);
			break;
		case 'f':
			load->sources = (unsigned)atoi(optarg);
			break;
		case 'u':
			load->users = (unsigned)atoi(optarg);
			break;
		case 'b':
			load->size = (unsigned)atoi(optarg);
			break;
		case 'e':
			load->every = (unsigned)atoi(optarg);
			break;
		case 'w':
			load->websocket = true;
			break;
		default:
			return false;
		}
	}
	return addressed && optind + 1 == argc && load->connections && load->sources && load->users;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(struct load *load);
	} courses[] = {{"connections", course_connections}, {"echo", course_echo}, {"idle", course_idle},
	    {"storm", course_storm}};
	static struct load load = {
	    .connections = 64, .sources = 250, .users = 1000, .size = 32, .every = 6000, .seconds = 1};
	struct rlimit files;

	signal(SIGPIPE, SIG_IGN);
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	if (!parse_options(&load, argc, argv)) {
		fputs(usage, stderr);
		return 2;
	}
	load.epoll = epoll_create1(EPOLL_CLOEXEC);
	load.clients = calloc(load.connections, sizeof(*load.clients));
	load.worker_of_user = calloc(load.users, sizeof(*load.worker_of_user));
	if (load.epoll < 0 || !load.clients || !load.worker_of_user) {
		perror("load");
		return 1;
	}
	for (size_t i = 0; i < sizeof(courses) / sizeof(courses[0]); i++) {
		if (!strcmp(argv[optind], courses[i].name))
			return courses[i].run(&load);
	}
	fputs(usage, stderr);
	return 2;
}
