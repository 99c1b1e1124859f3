/* Tests of src/supervisor/state.c and state_restore.c: what a binary of this version must go on reading. The file state-2.json is
 * kept as it is: a change that needs another one needs another STATE_VERSION. */
#include "testing.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "supervisor/listeners.h"
#include "supervisor/pools.h"
#include "supervisor/process.h"
#include "supervisor/state.h"

static int write_text(const char *text)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

static void unreadable_states_are_refused(void **state)
{
	static const char *const bad[] = {"", "{", "[]", "7", "{}", "{\"version\": 0}", "{\"version\": 1}", "{\"version\": 3}", "{\"version\": \"1\"}",
	    "{\"version\": 1, \"version\": 1}"};

	log_configure("test", LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_null(state_read(write_text(bad[i])));
	assert_null(state_read(-1));
}

static json_t *version_2(void)
{
	int fd = open(STATE_2, O_RDONLY | O_CLOEXEC);
	json_t *state;

	assert_true(fd >= 0);
	state = state_read(fd);
	assert_non_null(state);
	return state;
}

static pid_t start_child(void)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		pause();
		_exit(0);
	}
	return pid;
}

/* Puts a living child and a socket into the place of a process; returns the child. */
static pid_t enliven(json_t *state, size_t index)
{
	json_t *process = json_array_get(json_object_get(state, "processes"), index);
	pid_t pid = start_child();
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	close(ends[1]);
	json_object_set_new(process, "pid", json_integer(pid));
	json_object_set_new(process, "fd", json_integer(ends[0]));
	return pid;
}

static struct supervisor *make_supervisor(void)
{
	static const char *listeners[] = {"127.0.0.1:0"};
	static char *command[] = {(char *)"node", (char *)"server.js", NULL};
	static const struct supervisor_options options = {
	    .config = {.listeners = listeners, .listeners_count = 1, .workers = "2", .command = command}};
	struct supervisor *supervisor = calloc(1, sizeof(*supervisor));

	assert_non_null(supervisor);
	supervisor->options = &options;
	supervisor->former_control = -1;
	TAILQ_INIT(&supervisor->processes);
	TAILQ_INIT(&supervisor->listenings);
	TAILQ_INIT(&supervisor->doors);
	activation_init(&supervisor->activation, &supervisor->notify);
	supervisor->loop = ev_default_loop(EVFLAG_NOENV);
	supervisor->stats = stats_new(&supervisor->stats_fd);
	assert_int_equal(config_load(&supervisor->config, &options.config, stderr), 0);
	return supervisor;
}

static void free_supervisor(struct supervisor *supervisor)
{
	listeners_leave_all(supervisor);
	process_forget_all(supervisor);
	activation_deinit(&supervisor->activation);
	pools_free(supervisor);
	stats_free(supervisor->stats);
	close(supervisor->stats_fd);
	config_free(supervisor->config);
	free(supervisor);
}

static void end_child(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void version_2_is_taken_over(void **unused)
{
	struct supervisor *supervisor = make_supervisor();
	json_t *state = version_2();
	pid_t first = enliven(state, 0), second = enliven(state, 1), third = enliven(state, 2);
	struct supervised_pool *pool;
	struct listening *listening;
	struct process *process;

	assert_int_equal(state_restore(supervisor, state), 0);
	assert_int_equal(supervisor->seed[31], 0x1f);
	assert_int_equal(supervisor->next_worker, 12);
	assert_true(supervisor->was_ready);
	assert_int_equal(stats_get(supervisor->stats, COUNTER_accepted), 1234);

	pool = pools_find(supervisor, "default");
	assert_int_equal(pool->slots_count, 2);
	assert_int_equal(pool->slots[0]->generation, 5);
	assert_int_equal(pool->slots[0]->failures, 2);
	assert_false(pool->slots[0]->outdated); /* what this version's first states had not */
	assert_int_equal(pool->slots[0]->stats->restarts, 3);
	assert_int_equal(pool->slots[0]->stats->handed_off, 100);
	process = pool->slots[0]->process;
	assert_non_null(process);
	assert_int_equal(process->pid, first);
	assert_int_equal(process->id, 9);
	assert_true(process->ready);
	assert_true(process_server_find(process, "null:3000:4:undefined:0")->accepts);
	assert_null(pool->slots[1]->process);

	/* A worker whose slot is no more is there to be drained. */
	process = process_find(supervisor, 4);
	assert_int_equal(process->pid, second);
	assert_null(process->slot);

	/* An external one is nobody's child here, and is not watched as one. */
	process = process_find(supervisor, 11);
	assert_true(process->external);
	assert_int_equal(process->pid, third);
	assert_int_equal(process->escort, -1);
	assert_false(ev_is_active(&process->child));

	listening = listeners_find(supervisor, 3);
	assert_string_equal(listening->data, "{\"a\":1}");
	assert_ptr_equal(listening->pool, pool);
	end_child(first);
	end_child(second);
	end_child(third);
	json_decref(state);
	free_supervisor(supervisor);
}

static void damaged_states_end_in_an_error(void **unused)
{
	static const char *const members[] = {"seed", "processes"};

	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		struct supervisor *supervisor = make_supervisor();
		json_t *state = version_2(); /* its process has no pid and no socket */

		if (i == 0)
			json_object_set_new(state, "seed", json_string("00"));
		assert_true(state_restore(supervisor, state) < 0);
		json_decref(state);
		free_supervisor(supervisor);
	}
}

/* A number in a state is no leave to signal a stranger's process, and an fd belongs to one only. */
static void strangers_and_fds_of_others_are_left_alone(void **unused)
{
	struct supervisor *supervisor = make_supervisor();
	json_t *state = version_2(), *processes = json_object_get(state, "processes"), *channel, *stranger;
	pid_t child = enliven(state, 0), other = enliven(state, 1);
	int own = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), fd;

	json_array_remove(processes, 2);
	stranger = json_array_get(processes, 1);
	json_object_set_new(stranger, "pid", json_integer(getppid()));
	fd = (int)json_integer_value(json_object_get(stranger, "fd"));
	channel = json_object_get(json_array_get(processes, 0), "fd");
	json_object_set_new(state, "router", json_pack("{s:i, s:O}", "pid", (int)child, "fd", channel));
	json_object_set_new(state, "link", json_integer(LINK_VERSION));
	json_object_set_new(state, "control", json_pack("{s:i}", "fd", own));
	assert_int_equal(state_restore(supervisor, state), 0);
	assert_non_null(process_find(supervisor, 9));
	assert_null(process_find(supervisor, 4));
	assert_null(supervisor->router);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	assert_int_equal(supervisor->former_control, -1);
	assert_true(fcntl(own, F_GETFD) >= 0);
	close(own);
	end_child(child);
	end_child(other);
	json_decref(state);
	free_supervisor(supervisor);
}

static int destroy_loop(void **unused)
{
	ev_loop_destroy(ev_default_loop(EVFLAG_NOENV));
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(unreadable_states_are_refused),
	    cmocka_unit_test(version_2_is_taken_over),
	    cmocka_unit_test(damaged_states_end_in_an_error),
	    cmocka_unit_test(strangers_and_fds_of_others_are_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, destroy_loop);
}
