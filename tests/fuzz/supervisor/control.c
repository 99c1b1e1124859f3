/* The control socket: what several peers of it send, in pieces, at once, and how they go away. Each gets at most one answer, a JSON
 * object on a line; nothing crashes, leaks or stays open. What the commands do is not tried: that is done by others, here by
 * stand-ins.
 *
 * An input is a row of steps: what (bits 0 and 1: which peer; 2: it sends no more; 3: it goes away; 4: it reads), length in two
 * bytes, then so many bytes that it sends. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz.h"
#include "supervisor/control.h"
#include "supervisor/pools.h"
#include "supervisor/process.h"
#include "supervisor/reload.h"
#include "supervisor/roll.h"
#include "supervisor/sandbox.h"
#include "supervisor/upgrade.h"

#define PEERS 4
#define ANSWER_MAX (1 << 16)
#define FDS_MAX 256

struct peer {
	int fd;
	char answer[ANSWER_MAX];
	size_t length;
};

static char pool_name[] = "app", slot_name[] = "0", control_path[64];
static struct slot_config slot_config = {.name = slot_name, .weight = 1};
static struct pool_config pool_config = {.name = pool_name, .slots = &slot_config, .slots_count = 1};
static struct config config = {.pools = &pool_config, .pools_count = 1, .control_mode = {true, 0600}};
static struct supervisor supervisor;
static struct supervised_pool pool = {.supervisor = &supervisor, .name = pool_name, .config = &pool_config};
static struct supervised_slot slot = {.pool = &pool, .name = slot_name};
static struct supervised_slot *slots[] = {&slot};
static struct supervised_pool *pools[] = {&pool};

/* ---- the stand-ins ---- */

struct supervised_pool *pools_find(struct supervisor *of, const char *name)
{
	return strcmp(name, pool_name) == 0 ? &pool : NULL;
}

const char *process_connections(const struct process *of)
{
	return "accept";
}

size_t process_retired_count(struct supervisor *of, const char *name)
{
	return 0;
}

size_t roll_outdated(const struct supervised_pool *of)
{
	return 0;
}

void roll_pool(struct supervised_pool *of)
{
	REQUIRE(of == &pool);
}

/* Put off the first time, refused the next. */
int reload(struct supervisor *of)
{
	of->reload_wanted = !of->reload_wanted;
	if (of->reload_wanted)
		return RELOAD_FOLLOWS;
	control_reloaded(of, -EINVAL);
	return -EINVAL;
}

int upgrade(struct supervisor *of)
{
	return 0;
}

void supervisor_drain(struct supervisor *of)
{
	of->state = SUPERVISOR_DRAINING;
}

const char *sandbox_why(int error)
{
	return "not here";
}

/* ---- the peers ---- */

static void check_answer(const struct peer *peer)
{
	json_t *answer;

	if (peer->length == 0)
		return;
	REQUIRE(peer->answer[peer->length - 1] == '\n');
	REQUIRE(memchr(peer->answer, '\n', peer->length) == peer->answer + peer->length - 1);
	answer = json_loadb(peer->answer, peer->length, JSON_REJECT_DUPLICATES, NULL);
	REQUIRE(json_is_object(answer));
	REQUIRE(json_object_get(answer, "error") || json_object_get(answer, "done") || json_object_get(answer, "pools"));
	json_decref(answer);
}

/* True: it is over. */
static bool read_answer(struct peer *peer)
{
	ssize_t received;

	do {
		received = recv(peer->fd, peer->answer + peer->length, sizeof(peer->answer) - peer->length, MSG_DONTWAIT);
		if (received > 0)
			peer->length += (size_t)received;
		REQUIRE(peer->length < sizeof(peer->answer));
	} while (received > 0);
	return received == 0 || (errno != EAGAIN && errno != EINTR);
}

static void go_away(struct peer *peer)
{
	if (peer->fd >= 0)
		close(peer->fd);
	peer->fd = -1;
	peer->length = 0;
}

static void arrive(struct peer *peer)
{
	struct address address;

	REQUIRE(address_parse(&address, control_path, NULL) == 0);
	peer->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	REQUIRE(peer->fd >= 0);
	REQUIRE(connect(peer->fd, &address.sa, address.length) == 0);
}

static size_t step(struct peer *peers, const uint8_t *data, size_t size)
{
	struct peer *peer;
	size_t length;

	if (size < 3)
		return 0;
	peer = &peers[data[0] & 3];
	length = (size_t)data[1] << 8 | data[2];
	if (length > size - 3)
		length = size - 3;
	if (peer->fd < 0)
		arrive(peer);
	if (send(peer->fd, data + 3, length, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		REQUIRE(errno == EPIPE || errno == EAGAIN || errno == ECONNRESET);
	if (data[0] & 4)
		shutdown(peer->fd, SHUT_WR);
	if (data[0] & 16 && read_answer(peer)) {
		check_answer(peer);
		go_away(peer);
	}
	if (data[0] & 8)
		go_away(peer);
	ev_run(supervisor.loop, EVRUN_NOWAIT);
	return 3 + length;
}

static void say_all(struct peer *peer)
{
	if (peer->fd < 0)
		return;
	shutdown(peer->fd, SHUT_WR);
	for (int turns = 0; turns < 3; turns++)
		ev_run(supervisor.loop, EVRUN_NOWAIT);
}

/* Whoever has said all is answered. */
static void finish(struct peer *peer)
{
	if (peer->fd < 0)
		return;
	for (int turns = 0; !read_answer(peer); turns++) {
		REQUIRE(turns < 100);
		ev_run(supervisor.loop, EVRUN_NOWAIT);
	}
	REQUIRE(peer->length > 0);
	check_answer(peer);
	go_away(peer);
}

/* ---- ---- */

static void start_up(void)
{
	if (supervisor.loop)
		return;
	log_configure("fuzz", LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
	log_adopt(open("/dev/null", O_WRONLY | O_CLOEXEC));
	supervisor.loop = ev_loop_new(EVFLAG_NOENV);
	supervisor.stats = stats_new(&supervisor.stats_fd);
	REQUIRE(supervisor.loop && supervisor.stats);
	snprintf(control_path, sizeof(control_path), "unix:@limpet-fuzz-control-%d", (int)getpid());
	config.control = control_path;
	supervisor.config = &config;
	supervisor.pools = pools;
	supervisor.pools_count = 1;
	pool.slots = slots;
	pool.slots_count = 1;
	slot.stats = stats_take_slot(supervisor.stats);
	TAILQ_INIT(&supervisor.processes);
	TAILQ_INIT(&supervisor.listenings);
	TAILQ_INIT(&supervisor.doors);
}

static int count_fds(void)
{
	int count = 0;

	for (int fd = 0; fd < FDS_MAX; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct peer peers[PEERS];
	size_t taken;
	int before;

	start_up();
	supervisor.state = SUPERVISOR_RUNNING;
	supervisor.reload_wanted = false;
	before = count_fds();
	REQUIRE(control_open(&supervisor, -1) == 0);
	for (int i = 0; i < PEERS; i++)
		peers[i].fd = -1;
	while ((taken = step(peers, data, size)) > 0) {
		data += taken;
		size -= taken;
	}
	for (int i = 0; i < PEERS; i++)
		say_all(&peers[i]);
	if (supervisor.reload_wanted)
		reload(&supervisor);
	for (int i = 0; i < PEERS; i++)
		finish(&peers[i]);
	control_close(&supervisor);
	REQUIRE(count_fds() == before);
	return 0;
}
