/* The state that a supervisor finds after an upgrade, in whatever shape: it is taken over or refused. Nothing may crash, leak or be
 * closed twice, and no process but limpet's own children may get a signal.
 *
 * An input is the JSON text of a state. What it says of fds and pids is made to mean something: an fd is by its number of one of
 * the kinds below, a pid is that of a living child if it is odd. */
#include "../../../src/supervisor/supervisor.c" /* how it begins and ends is its own */

#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "fuzz.h"

/* fds that an input names are from here on, what limpet opens is below. */
#define NAMED_FDS 500
#define NAMED_FDS_MAX 1000

static pid_t child;

/* In the place of the C library's. */
int kill(pid_t pid, int number)
{
	REQUIRE(pid == child || pid == -child);
	return (int)syscall(SYS_kill, pid, number);
}

static void start_child(void)
{
	pid_t parent = getpid();

	if (child && waitpid(child, NULL, WNOHANG) == 0)
		return;
	child = fork();
	REQUIRE(child >= 0);
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGTERM, SIG_DFL); /* libFuzzer has a handler */
		setpgid(0, 0);
		while (getppid() == parent)
			pause();
		_exit(0);
	}
	setpgid(child, child);
}

/* ---- the input ---- */

static int listening_socket(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	REQUIRE(bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 && listen(fd, 1) == 0);
	return fd;
}

static int one_of_a_pair(int type)
{
	int ends[2];

	REQUIRE(socketpair(AF_UNIX, type, 0, ends) == 0);
	close(ends[1]);
	return ends[0];
}

static int counters(void)
{
	int fd;

	stats_free(stats_new(&fd));
	return fd;
}

/* Open over execve(), as what is passed on; every eighth is what an earlier one is already. */
static int make_fd(json_int_t kind)
{
	static int last = -1;
	int fd = -1, high;

	switch (kind & 7) {
	case 0:
		return -1;
	case 1:
		fd = listening_socket();
		break;
	case 2:
		fd = one_of_a_pair(SOCK_STREAM);
		break;
	case 3:
		fd = one_of_a_pair(SOCK_SEQPACKET);
		break;
	case 4:
		fd = socket(AF_INET, SOCK_DGRAM, 0);
		break;
	case 5:
		fd = open("/dev/null", O_RDONLY);
		break;
	case 6:
		fd = counters();
		break;
	case 7:
		return last;
	}
	high = fcntl(fd, F_DUPFD, NAMED_FDS);
	close(fd);
	if (high >= NAMED_FDS_MAX) {
		close(high);
		return -1;
	}
	last = high;
	return high;
}

static void give_meaning(json_t *item)
{
	const char *name;
	json_t *value;
	size_t i;

	if (json_is_array(item))
		json_array_foreach(item, i, value)
			give_meaning(value);
	if (!json_is_object(item))
		return;
	json_object_foreach(item, name, value)
	{
		give_meaning(value);
		if (!json_is_integer(value))
			continue;
		if (strcmp(name, "fd") == 0 || strcmp(name, "stats") == 0)
			json_integer_set(value, make_fd(json_integer_value(value)));
		else if (strcmp(name, "pid") == 0 && json_integer_value(value) & 1)
			json_integer_set(value, child);
	}
}

static int write_input(const uint8_t *data, size_t size)
{
	json_t *input = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);
	char *text = NULL;
	int fd = memfd_create("state", MFD_CLOEXEC);

	give_meaning(input);
	if (input)
		text = json_dumps(input, JSON_COMPACT);
	REQUIRE(fd >= 0);
	REQUIRE(write(fd, text ? text : (const char *)data, text ? strlen(text) : size) >= 0);
	REQUIRE(lseek(fd, 0, SEEK_SET) == 0);
	free(text);
	json_decref(input);
	return fd;
}

/* ---- what libFuzzer makes of one input ---- */

#define NODES_MAX 4096

/* libFuzzer's own mutation of bytes; the replay has none. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max) __attribute__((weak));
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed);

/* Every value but the outermost, and in what it is: a name or an index. */
static struct node {
	json_t *parent, *value;
	const char *name;
	size_t index;
} nodes[NODES_MAX];
static size_t nodes_count;

static void collect(json_t *item)
{
	const char *name = NULL;
	json_t *value;
	size_t i = 0;

	if (json_is_array(item))
		json_array_foreach(item, i, value)
		{
			if (nodes_count < NODES_MAX)
				nodes[nodes_count++] = (struct node){item, value, NULL, i};
			collect(value);
		}
	if (json_is_object(item))
		json_object_foreach(item, name, value)
		{
			if (nodes_count < NODES_MAX)
				nodes[nodes_count++] = (struct node){item, value, name, 0};
			collect(value);
		}
}

static json_t *other_value(unsigned choice)
{
	static const json_int_t integers[] = {-1, 0, 1, 2, 3, 4, 5, 6, 7, 15, 64, 1024, INT32_MAX, UINT32_MAX, INT64_MAX, INT64_MIN};
	static const char *const strings[] = {"", "default", "0", "1", "process", "incoming", "retired", "127.0.0.1:0", "[::]:80",
	    "unix:@x", "limpet-stored/listener/default/127.0.0.1:0", "null:3000:4:undefined:0"};

	switch (choice % 4) {
	case 0:
	case 1:
		return json_integer(integers[choice / 4 % (sizeof(integers) / sizeof(integers[0]))]);
	case 2:
		return json_string(strings[choice / 4 % (sizeof(strings) / sizeof(strings[0]))]);
	default:
		return choice & 4 ? json_boolean(choice & 8) : json_real(choice & 8 ? -1e300 : 1e300);
	}
}

static void set(const struct node *node, json_t *value)
{
	if (node->name)
		json_object_set_new(node->parent, node->name, value);
	else
		json_array_set_new(node->parent, node->index, value);
}

static void change(const struct node *node, unsigned choice)
{
	switch (choice % 8) {
	case 0:
		if (node->name)
			json_object_del(node->parent, node->name);
		else
			json_array_remove(node->parent, node->index);
		break;
	case 1:
	case 2:
		if (!node->name)
			json_array_append_new(node->parent, json_deep_copy(node->value));
		break;
	case 3:
		set(node, json_deep_copy(nodes[choice / 8 % nodes_count].value));
		break;
	default:
		set(node, other_value(choice / 8));
	}
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
	json_t *input = seed % 8 ? json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL) : NULL;
	size_t written = 0;

	nodes_count = 0;
	collect(input);
	if (nodes_count > 0) {
		change(&nodes[(seed >> 3) % nodes_count], (seed >> 3) * 2654435761u >> 8);
		written = json_dumpb(input, (char *)data, max, JSON_COMPACT);
	}
	json_decref(input);
	return written > 0 && written <= max ? written : LLVMFuzzerMutate(data, size, max);
}

/* ---- the supervisor ---- */

static struct supervisor *make_supervisor(void)
{
	static const char *listeners[] = {"127.0.0.1:0"};
	static char command_name[] = "/bin/true", *command[] = {command_name, NULL};
	static const struct supervisor_options options = {.config = {
	    .listeners = listeners, .listeners_count = 1, .workers = "2", .protocol = "limpet", .command = command}};
	struct supervisor *supervisor = calloc(1, sizeof(*supervisor));

	REQUIRE(supervisor);
	supervisor->options = &options;
	supervisor->former_control = -1;
	TAILQ_INIT(&supervisor->processes);
	TAILQ_INIT(&supervisor->listenings);
	TAILQ_INIT(&supervisor->doors);
	activation_init(&supervisor->activation, &supervisor->notify);
	notify_init(&supervisor->notify, NULL);
	supervisor->loop = ev_default_loop(EVFLAG_NOENV);
	supervisor->stats = stats_new(&supervisor->stats_fd);
	REQUIRE(supervisor->loop && supervisor->stats);
	REQUIRE(config_load(&supervisor->config, &options.config, stderr) == 0);
	return supervisor;
}

/* It would be told to hand over to another. */
static void leave_router(struct supervisor *supervisor)
{
	struct router_process *router = supervisor->router;

	if (!router)
		return;
	ev_child_stop(supervisor->loop, &router->child);
	ev_io_stop(supervisor->loop, &router->link_io);
	link_free(router->link);
	free(router);
	supervisor->router = NULL;
}

/* What was taken over can be left to the next one. */
static void leave_again(struct supervisor *supervisor)
{
	json_t *state = state_make(supervisor);
	int fd;

	REQUIRE(state);
	fd = state_write(state);
	REQUIRE(fd >= 0);
	json_decref(state);
	state = state_read(fd);
	REQUIRE(state);
	json_decref(state);
}

static int count_own_fds(void)
{
	int count = 0;

	for (int fd = 0; fd < NAMED_FDS; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

/* Taken means close-on-exec, and is closed in the end. */
static void check_named_fds(void)
{
	for (int fd = NAMED_FDS; fd < NAMED_FDS_MAX; fd++) {
		int flags = fcntl(fd, F_GETFD);

		REQUIRE(flags < 0 || !(flags & FD_CLOEXEC));
	}
	close_range(NAMED_FDS, NAMED_FDS_MAX, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct supervisor *supervisor;
	bool told_ready;
	char text[16];
	int before;

	log_configure("fuzz", LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
	if (log_fd() == STDERR_FILENO)
		log_adopt(open("/dev/null", O_WRONLY | O_CLOEXEC));
	start_child();
	before = count_own_fds();
	supervisor = make_supervisor();
	snprintf(text, sizeof(text), "%d", write_input(data, size));
	if (resume(supervisor, text, &told_ready) == 0) {
		drain_slotless(supervisor);
		leave_again(supervisor);
	}
	leave_router(supervisor);
	if (supervisor->former_control >= 0)
		close(supervisor->former_control);
	supervisor_deinit(supervisor);
	REQUIRE(count_own_fds() == before);
	check_named_fds();
	return 0;
}
