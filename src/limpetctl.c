/* limpetctl: asks a running limpet over its control socket. See limpetctl(8). */
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/address.h"

#define DEFAULT_SOCKET "/run/limpet/control.sock"
#define ANSWER_MAX (16u << 20)
#define TIMEOUT_SECONDS 15

static const char usage[] = "Usage: limpetctl [-S SOCKET] [-j] [-v] COMMAND\n"
			    "\n"
			    "  status          listeners, slots and counters\n"
			    "  restart [POOL]  rolling restart of one pool's workers, or of all\n"
			    "  reload          read the configuration again\n"
			    "  upgrade         let the binary on disk take over\n"
			    "  stop            accept no more, let workers finish, end\n"
			    "\n"
			    "  -S SOCKET  limpet's control socket (default: $LIMPET_CONTROL, else " DEFAULT_SOCKET ")\n"
			    "  -j         print the answer as JSON, as it came\n"
			    "  -v         say also what the router is kept from\n"
			    "  -h         this text\n"
			    "  -V         the version\n";

static int connect_to(const char *path)
{
	struct timeval timeout = {.tv_sec = TIMEOUT_SECONDS};
	struct address address;
	const char *why;
	int fd;

	if (address_parse(&address, path, &why) < 0 || address_family(&address) != AF_UNIX) {
		fprintf(stderr, "limpetctl: %s: must be an absolute path, or \"@\" and a name\n",
		    path);
		return -1;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0) {
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
	}
	if (fd < 0 || connect(fd, &address.sa, address.length) < 0) {
		fprintf(stderr, "limpetctl: %s: %s; does limpet run, with --control or \"control\" set to this path?\n", path,
		    strerror(errno));
		if (fd >= 0)
			close(fd);
		return -1;
	}
	return fd;
}

/* Sends the request and reads the whole answer; NULL after saying why. */
static char *ask(int fd, const char *request, size_t *length)
{
	size_t size = 65536, used = 0;
	char *text = malloc(size);
	ssize_t received;

	if (!text || send(fd, request, strlen(request), MSG_NOSIGNAL) < 0 || shutdown(fd, SHUT_WR) < 0) {
		fprintf(stderr, "limpetctl: cannot send: %s\n", strerror(errno));
		free(text);
		return NULL;
	}
	while ((received = recv(fd, text + used, size - used, 0)) > 0) {
		used += (size_t)received;
		if (used == size) {
			char *more = size < ANSWER_MAX ? realloc(text, size *= 2) : NULL;

			if (!more)
				break;
			text = more;
		}
	}
	if (received != 0) {
		fprintf(stderr, "limpetctl: no whole answer: %s\n", received < 0 ? strerror(errno) : "too long");
		free(text);
		return NULL;
	}
	*length = used;
	return text;
}

static const char *string_of(const json_t *object, const char *key)
{
	const char *value = json_string_value(json_object_get(object, key));

	return value ? value : "?";
}

static long long integer_of(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

static void print_slots(json_t *pools)
{
	const char *name;
	json_t *pool, *slot;
	size_t i;

	printf("%-12s %-6s %-9s %8s %4s %9s %-8s %11s %8s %8s\n", "POOL", "SLOT", "STATE", "PID", "GEN", "RESTARTS", "BY",
	    "HANDED-OFF", "UNACKED", "WAITING");
	json_object_foreach(pools, name, pool)
		json_array_foreach(json_object_get(pool, "slots"), i, slot)
			printf("%-12s %-6s %-9s %8lld %4lld %9lld %-8s %11lld %8lld %8lld%s\n", name, string_of(slot, "slot"),
			    string_of(slot, "state"), integer_of(slot, "pid"), integer_of(slot, "generation"),
			    integer_of(slot, "restarts"),
			    json_object_get(slot, "connections") ? string_of(slot, "connections") : "-", integer_of(slot, "handed_off"),
			    integer_of(slot, "unacknowledged"), integer_of(slot, "waiting"),
			    json_is_true(json_object_get(slot, "external")) ? " external" : "");
}

/* How far a rolling restart is. */
static void print_rolls(json_t *pools)
{
	const char *name;
	json_t *pool;

	json_object_foreach(pools, name, pool)
	{
		if (integer_of(pool, "outdated"))
			printf("pool %s: %lld of %zu workers are still to be replaced\n", name, integer_of(pool, "outdated"),
			    json_array_size(json_object_get(pool, "slots")));
		if (integer_of(pool, "retired"))
			printf("pool %s: %lld retired workers finish their connections\n", name, integer_of(pool, "retired"));
	}
}

/* "room 12", and not "12.000000". */
static void print_values(json_t *pools)
{
	const char *name, *key;
	json_t *pool, *slot, *value;
	size_t i;

	json_object_foreach(pools, name, pool)
		json_array_foreach(json_object_get(pool, "slots"), i, slot) {
			if (!json_object_get(slot, "values"))
				continue;
			printf("pool %s: worker %s:", name, string_of(slot, "slot"));
			json_object_foreach(json_object_get(slot, "values"), key, value)
				printf(" %s %.15g", key, json_number_value(value));
			printf("\n");
		}
}

static void print_bypasses(json_t *pools)
{
	const char *name;
	json_t *pool, *slot;
	size_t i;

	json_object_foreach(pools, name, pool)
		json_array_foreach(json_object_get(pool, "slots"), i, slot)
			if (json_object_get(slot, "bypass"))
				printf("pool %s: worker %s listens on %s by itself, past limpet\n", name,
				    string_of(slot, "slot"), string_of(slot, "bypass"));
}

/* "Landlock (ABI 7)", or "no seccomp (limpet was built without it)". */
static void print_part(const json_t *sandbox, const char *key, const char *name)
{
	const json_t *part = json_object_get(sandbox, key);
	const char *why = json_string_value(json_object_get(json_object_get(sandbox, "missing"), key));

	if (json_integer_value(part))
		printf(", %s (ABI %lld)", name, (long long)json_integer_value(part));
	else if (json_is_true(part))
		printf(", %s", name);
	else
		printf(", no %s%s%s%s", name, why ? " (" : "", why ? why : "", why ? ")" : "");
}

static void print_sandbox(const json_t *sandbox)
{
	uid_t uid = (uid_t)integer_of(sandbox, "uid");
	const struct passwd *user = getpwuid(uid);

	printf("router %lld: user ", integer_of(sandbox, "pid"));
	if (user)
		printf("%s", user->pw_name);
	else
		printf("%u", (unsigned)uid);
	printf(", capabilities %s", string_of(sandbox, "capabilities"));
	print_part(sandbox, "no_new_privs", "no_new_privs");
	print_part(sandbox, "landlock", "Landlock");
	print_part(sandbox, "empty_root", "empty root directory");
	print_part(sandbox, "seccomp", "seccomp filter");
	printf("\n");
}

static void print_status(json_t *status, bool verbose)
{
	json_t *listener, *counter;
	const char *name;
	size_t i;

	printf("limpet %s, pid %lld, router %lld, %s for %.0f s\n", string_of(status, "version"), integer_of(status, "pid"),
	    integer_of(status, "router_pid"), string_of(status, "state"),
	    json_number_value(json_object_get(status, "uptime")));
	json_array_foreach(json_object_get(status, "listeners"), i, listener)
		printf("listening on %s%s (pool %s)\n", string_of(listener, "address"),
		    strcmp(string_of(listener, "transport"), "udp") == 0 ? "/udp" : "", string_of(listener, "pool"));
	if (verbose)
		print_sandbox(json_object_get(status, "sandbox"));
	printf("\n");
	print_slots(json_object_get(status, "pools"));
	print_rolls(json_object_get(status, "pools"));
	print_bypasses(json_object_get(status, "pools"));
	print_values(json_object_get(status, "pools"));
	printf("\n");
	json_object_foreach(json_object_get(status, "counters"), name, counter)
		if (json_integer_value(counter))
			printf("%-24s %lld\n", name, (long long)json_integer_value(counter));
}

static int show(const char *text, size_t length, bool as_json, bool verbose)
{
	json_error_t error;
	json_t *result = json_loadb(text, length, 0, &error);
	const char *refusal = json_string_value(json_object_get(result, "error"));
	int status = 0;

	if (!result) {
		fprintf(stderr, "limpetctl: the answer is not JSON: %s\n", error.text);
		return 2;
	}
	if (refusal) {
		fprintf(stderr, "limpetctl: %s\n", refusal);
		status = 2;
	} else if (!as_json && json_object_get(result, "done")) {
		printf("%s\n", string_of(result, "done"));
	} else if (as_json) {
		json_dumpf(result, stdout, JSON_INDENT(2));
		printf("\n");
	} else {
		print_status(result, verbose);
	}
	json_decref(result);
	return status;
}

/* The request for these words, without a line's end: the end of sending ends it. NULL: they are no command. */
static char *make_request(int count, char **words)
{
	static const char *const commands[] = {"status", "restart", "reload", "upgrade", "stop"};
	json_t *request;
	char *text;

	for (size_t i = 0; count > 0 && i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(words[0], commands[i]) != 0 || count > (strcmp(words[0], "restart") == 0 ? 2 : 1))
			continue;
		request = json_pack("{s:s, s:s*}", "command", words[0], "pool", count == 2 ? words[1] : NULL);
		text = json_dumps(request, JSON_COMPACT);
		json_decref(request);
		return text;
	}
	return NULL;
}

int main(int argc, char **argv)
{
	const char *path = getenv("LIMPET_CONTROL");
	bool as_json = false, verbose = false;
	char *request, *text;
	size_t length;
	int option, fd, status;

	while ((option = getopt(argc, argv, "S:jvhV")) != -1) {
		switch (option) {
		case 'S':
			path = optarg;
			break;
		case 'j':
			as_json = true;
			break;
		case 'v':
			verbose = true;
			break;
		case 'h':
			fputs(usage, stdout);
			return 0;
		case 'V':
			puts("limpetctl " LIMPET_VERSION);
			return 0;
		default:
			fputs(usage, stderr);
			return 1;
		}
	}
	request = make_request(argc - optind, argv + optind);
	if (!request) {
		if (optind < argc)
			fprintf(stderr, "limpetctl: \"%s\" is no command, or has too many arguments\n",
			    argv[optind]);
		fputs(usage, stderr);
		return 1;
	}
	fd = connect_to(path && *path ? path : DEFAULT_SOCKET);
	text = fd < 0 ? NULL : ask(fd, request, &length);
	if (fd >= 0)
		close(fd);
	free(request);
	if (!text)
		return 2;
	status = show(text, length, as_json, verbose);
	free(text);
	return status;
}
