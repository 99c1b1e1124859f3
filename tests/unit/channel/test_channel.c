/* What every protocol has in common: the queue, a full socket, the end. */
#include "dialogue.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd_passing.h"

static struct dialogue d;

static short polled(void)
{
	struct pollfd poll_fd = {.fd = channel_fd(d.channel), .events = POLLIN | POLLOUT};

	poll(&poll_fd, 1, 0);
	return poll_fd.revents;
}

/* The owner is told of room, and no connection was sent by halves or twice. */
static void a_full_socket_is_waited_for(void **state)
{
	uint32_t sent = 0;

	dialogue_open(&d, PROTOCOL_LIMPET, FLAVOUR_NONE, 65535);
	while (owner_sends(&d, sent + 1, NULL) == 0)
		sent++;
	assert_true(sent > 10);
	assert_int_equal(channel_unacknowledged(d.channel), sent);
	assert_true(channel_wants_write(d.channel));
	assert_false(channel_can_send(d.channel));
	assert_int_equal(owner_sends(&d, 9999999, NULL), -EAGAIN);
	/* Something else is said meanwhile: it waits its turn. */
	assert_int_equal(channel_probe(d.channel), 0);
	for (uint32_t i = 0; i < sent; i++)
		worker_hears_with_fd(&d, "{\"type\":\"connection\",\"id\":#,\"listener\":\"web\","
		                         "\"client\":\"203.0.113.9:51123\",\"key\":\"cookie\"}");
	channel_writable(d.channel);
	worker_hears(&d, "{\"type\":\"ping\",\"id\":#}");
	assert_false(channel_wants_write(d.channel));
	assert_true(channel_can_send(d.channel));
	owner_is_told(&d, "");
	dialogue_close(&d);
}

/* The kernel's bound of fds under way, RLIMIT_NOFILE of them for a user. It does not hold for root. */
static void too_many_fds_under_way(void **state)
{
	struct rlimit limit, low;
	int result, error;

	dialogue_open(&d, PROTOCOL_LIMPET, FLAVOUR_NONE, 65535);
	getrlimit(RLIMIT_NOFILE, &limit);
	low = limit;
	low.rlim_cur = 24;
	setrlimit(RLIMIT_NOFILE, &low);
	error = geteuid() == 0 ? seteuid(65534) : 0;
	for (uint32_t id = 1; (result = owner_sends(&d, id, NULL)) == 0;)
		id++;
	if (geteuid() == 65534 && getuid() == 0)
		assert_int_equal(seteuid(0), 0);
	setrlimit(RLIMIT_NOFILE, &limit);
	if (error == 0 && result != -EAGAIN) {
		assert_int_equal(result, -ETOOMANYREFS);
		/* No reason to poll for writing, and none to give up: it passes. */
		assert_false(channel_wants_write(d.channel));
		assert_true(channel_can_send(d.channel));
		assert_int_equal(owner_sends(&d, 77, NULL), 0);
	}
	dialogue_close(&d);
}

/* A worker that asks and does not listen. */
static void what_waits_for_a_worker_is_bounded(void **state)
{
	static const char line[] = "{\"cmd\":\"NODE_HANDLE\",\"type\":\"net.Socket\",\"msg\":1}\n";
	int count = 0;

	dialogue_open(&d, PROTOCOL_NODE_CLUSTER, FLAVOUR_NONE, 4);
	while (!d.events[0] && count++ < 100000)
		worker_sends(&d, line, sizeof(line) - 1, -1);
	owner_is_told(&d, "failed ENOBUFS (the worker does not read its messages)");
	assert_in_range(count, 1000, 20000);
	assert_false(channel_wants_write(d.channel));
	dialogue_close(&d);
}

/* Broken outside of a callback: the poll wakes, and failed() comes from channel_readable(). */
static void a_break_is_told_from_readable(void **state)
{
	dialogue_open(&d, PROTOCOL_LIMPET, FLAVOUR_NONE, 4);
	/* The worker reads no more, but does not end. */
	shutdown(d.worker, SHUT_RD);
	assert_int_equal(owner_sends(&d, 1, NULL), -EPIPE);
	owner_is_told(&d, "");
	assert_int_equal(channel_unacknowledged(d.channel), 0);
	assert_true(polled() & POLLIN);
	channel_readable(d.channel);
	owner_is_told(&d, "failed 0 (end of file)");
	dialogue_close(&d);
}

static void an_fd_that_is_no_socket(void **state)
{
	static const enum protocol protocols[] = {PROTOCOL_NODE_CLUSTER, PROTOCOL_NODE_IPC, PROTOCOL_LIMPET};

	for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++) {
		int ends[2];

		dialogue_open(&d, protocols[i], FLAVOUR_SOCKET_IO, 4);
		assert_int_equal(pipe(ends), 0);
		dup2(ends[0], channel_fd(d.channel));
		close(ends[0]);
		channel_readable(d.channel);
		owner_is_told(&d, "failed ENOTSOCK (read failed)");
		close(ends[1]);
		dialogue_close(&d);
	}
}

static void an_end_before_anything_was_said(void **state)
{
	static const enum protocol protocols[] = {PROTOCOL_NODE_CLUSTER, PROTOCOL_NODE_IPC, PROTOCOL_LIMPET};

	for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++) {
		dialogue_open(&d, protocols[i], FLAVOUR_SOCKET_IO, 4);
		worker_ends(&d);
		channel_readable(d.channel);
		owner_is_told(&d, "failed 0 (end of file)");
		assert_false(channel_can_send(d.channel));
		dialogue_close(&d);
	}
	channel_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_full_socket_is_waited_for),
	    cmocka_unit_test(too_many_fds_under_way),
	    cmocka_unit_test(what_waits_for_a_worker_is_bounded),
	    cmocka_unit_test(a_break_is_told_from_readable),
	    cmocka_unit_test(an_fd_that_is_no_socket),
	    cmocka_unit_test(an_end_before_anything_was_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
