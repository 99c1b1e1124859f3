/* Protocol accept, while the worker only notes what it takes. */
#include "accept_dialogue.h"

#include <errno.h>
#include <sys/mman.h>

#include "base/fd_passing.h"

static struct accept_memory *memory; /* as the worker maps it */
static uint32_t name;

/* Of what is told before the first connection. */
static void worker_maps(int near)
{
	struct accept_message message;
	int fd;

	assert_int_equal(fd_receive(near, &message, sizeof(message), &fd, NULL), sizeof(message));
	assert_int_equal(message.type, ACCEPT_MEMORY);
	assert_true(fd >= 0 && message.process);
	if (memory)
		munmap(memory, sizeof(*memory));
	name = message.process;
	memory = mmap(NULL, sizeof(*memory), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(memory != MAP_FAILED);
	close(fd);
}

/* Its cell and number. */
static struct accept_message worker_takes(int near)
{
	struct accept_message message;
	int fd;

	assert_int_equal(fd_receive(near, &message, sizeof(message), &fd, NULL), sizeof(message));
	assert_int_equal(message.type, ACCEPT_CONNECTION);
	assert_true(fd >= 0);
	close(fd);
	return message;
}

static void worker_notes(const struct accept_message *message)
{
	assert_int_equal(message->process, name);
	assert_in_range(message->value, 0, ACCEPT_CELLS - 1);
	atomic_store(&memory->cells[message->value], message->number | ACCEPT_CELL_TAKEN);
}

static int quiet_server(void)
{
	int near;

	open_channel(8);
	near = listening(ANY);
	channel_set_quiet(channel, true);
	assert_int_equal(owner_sends(1, ANY), 0);
	worker_maps(near);
	assert_true(memory->quiet);
	return near;
}

static void end(int near)
{
	close(near);
	close_channel();
	munmap(memory, sizeof(*memory));
	memory = NULL;
}

static void notes_are_acknowledgements(void **state)
{
	struct accept_message first, second;
	int near = quiet_server();

	assert_int_equal(owner_sends(2, ANY), 0);
	first = worker_takes(near);
	second = worker_takes(near);
	assert_int_equal(channel_look(channel), 0);
	worker_notes(&second);
	assert_int_equal(channel_look(channel), 1);
	owner_is_told("acknowledged 2");
	worker_notes(&first);
	assert_int_equal(channel_look(channel), 1);
	assert_int_equal(channel_look(channel), 0);
	owner_is_told("acknowledged 1");
	assert_int_equal(channel_unacknowledged(channel), 0);
	/* The memory is told of once. */
	assert_int_equal(owner_sends(3, ANY), 0);
	first = worker_takes(near);
	worker_notes(&first);
	channel_look(channel);
	owner_is_told("acknowledged 3");
	end(near);
}

static void messages_do_as_well(void **state)
{
	int near = quiet_server();
	struct accept_message first = worker_takes(near), second;

	worker_says(near, ACCEPT_TAKEN, first.number, 0);
	owner_is_told("acknowledged 1");
	assert_int_equal(owner_sends(2, ANY), 0);
	second = worker_takes(near);
	worker_says(near, ACCEPT_REFUSED, second.number, 0);
	owner_is_told("refused 2");
	worker_notes(&first);
	worker_notes(&second);
	assert_int_equal(channel_look(channel), 0);
	assert_int_equal(channel_skipped(channel), 0);
	end(near);
}

/* It had looked whether to be quiet just before. */
static void whoever_notes_may_say_it_too(void **state)
{
	int near = quiet_server();
	struct accept_message first = worker_takes(near);

	channel_set_quiet(channel, false);
	assert_false(memory->quiet);
	worker_notes(&first);
	assert_int_equal(channel_look(channel), 1);
	worker_says(near, ACCEPT_TAKEN, first.number, 0);
	owner_is_told("acknowledged 1");
	assert_int_equal(channel_skipped(channel), 0);
	/* Twice is once too often, when another has the cell, and so is what was never noted. */
	worker_says(near, ACCEPT_TAKEN, first.number + 1, 0);
	owner_is_told("");
	assert_int_equal(channel_skipped(channel), 1);
	end(near);
}

static void a_worker_that_dies_has_what_it_noted(void **state)
{
	struct accept_message first;
	int near = quiet_server();

	assert_int_equal(owner_sends(2, ANY), 0);
	first = worker_takes(near);
	worker_notes(&first);
	close(near);
	owner_is_told("acknowledged 1; dropped; closed " ANY "; refused 2");
	close_fd(&control);
	owner_is_told("failed 0 (end of file)");
	close_channel();
	munmap(memory, sizeof(*memory));
	memory = NULL;
}

/* As a process that has not read the message with the memory, or wrote elsewhere. */
static void what_is_not_noted_stays_under_way(void **state)
{
	struct accept_message first;
	int near = quiet_server();
	size_t cursor = 0;
	uint32_t id;

	first = worker_takes(near);
	for (uint32_t cell = 0; cell < ACCEPT_CELLS; cell++)
		atomic_store(&memory->cells[cell], (first.number + 1) | ACCEPT_CELL_TAKEN);
	assert_int_equal(channel_look(channel), 0);
	for (uint32_t cell = 0; cell < ACCEPT_CELLS; cell++)
		atomic_store(&memory->cells[cell], first.number);
	assert_int_equal(channel_look(channel), 0);
	assert_true(channel_next_unacknowledged(channel, &cursor, &id));
	assert_int_equal(id, 1);
	worker_says(near, ACCEPT_TAKEN, first.number, 0);
	owner_is_told("acknowledged 1");
	end(near);
}

static void the_next_router_has_memory_of_its_own(void **state)
{
	struct accept_message first, second;
	uint32_t former = 0;
	int near = quiet_server();

	assert_int_equal(owner_sends(2, ANY), 0);
	first = worker_takes(near);
	worker_notes(&first);
	hand_over();
	owner_is_told("acknowledged 1");
	/* What it took from the former one, it has to say. */
	assert_false(memory->quiet);
	second = worker_takes(near);
	worker_notes(&second);
	assert_int_equal(channel_look(channel), 0);
	worker_says(near, ACCEPT_TAKEN, second.number, 0);
	owner_is_told("acknowledged 2");
	former = name;
	channel_set_quiet(channel, true);
	assert_int_equal(owner_sends(3, ANY), 0);
	worker_maps(near);
	assert_int_not_equal(name, former);
	first = worker_takes(near);
	worker_notes(&first);
	channel_look(channel);
	owner_is_told("acknowledged 3");
	end(near);
}

/* A data socket is full: what was to be noted there is not under way. */
static void a_full_socket(void **state)
{
	unsigned sent = 1;
	int near;

	open_channel(10000);
	near = listening(ANY);
	channel_set_quiet(channel, true);
	while (owner_sends(sent, ANY) == 0)
		sent++;
	assert_in_range(sent, 10, 9999);
	worker_maps(near);
	for (unsigned i = 1; i < sent; i++) {
		struct accept_message message = worker_takes(near);

		if (message.process)
			worker_notes(&message);
		else
			worker_says(near, ACCEPT_TAKEN, message.number, 0);
		owner_reads();
		channel_look(channel);
		told[0] = '\0';
	}
	assert_int_equal(channel_unacknowledged(channel), 0);
	assert_int_equal(owner_sends(sent, ANY), 0);
	end(near);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(notes_are_acknowledgements),
	    cmocka_unit_test(messages_do_as_well),
	    cmocka_unit_test(whoever_notes_may_say_it_too),
	    cmocka_unit_test(a_worker_that_dies_has_what_it_noted),
	    cmocka_unit_test(what_is_not_noted_stays_under_way),
	    cmocka_unit_test(the_next_router_has_memory_of_its_own),
	    cmocka_unit_test(a_full_socket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
