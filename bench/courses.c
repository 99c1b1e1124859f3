/* What the load client does with its connections. */
#include <poll.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "load.h"

#define EVENTS_MAX 512
#define SECOND 1000000000ull
/* Connections that are opened side by side where it is not the opening that is measured. */
#define OPENING 256
#define OPEN_SECONDS 60
/* How long connections that are under way at the end of a course may take. */
#define LEFT_SECONDS 5
/* A storm that is not over by then has failed. */
#define STORM_SECONDS 60

typedef void on_event(struct load *load, struct client *client, enum client_event event);

static void load_turn(struct load *load, uint64_t until, on_event *handle)
{
	struct epoll_event events[EVENTS_MAX];
	uint64_t now = now_ns(), left = until > now ? until - now : 0;
	struct timespec timeout = {(time_t)(left / SECOND), (long)(left % SECOND)};
	int count = epoll_pwait2(load->epoll, events, EVENTS_MAX, &timeout, NULL);

	for (int i = 0; i < count; i++) {
		struct client *client = events[i].data.ptr;
		enum client_event event = client_advance(load, client, events[i].events);

		if (event != CLIENT_NOTHING)
			handle(load, client, event);
	}
}

static void fail_unanswered(struct load *load)
{
	for (unsigned i = 0; i < load->connections; i++) {
		if (load->clients[i].state == CLIENT_CONNECTING || load->clients[i].state == CLIENT_ASKED)
			load->failed[FAILED_TIMEOUT]++;
		client_close(&load->clients[i], true);
	}
}

static bool any_open(const struct load *load)
{
	for (unsigned i = 0; i < load->connections; i++) {
		if (load->clients[i].state != CLIENT_FREE)
			return true;
	}
	return false;
}

/* Short connections. */

static void on_short(struct load *load, struct client *client, enum client_event event)
{
	if (event == CLIENT_ANSWERED)
		client_close(client, false);
}

/* When the next connection is due; without a rate always. */
static uint64_t next_due(const struct load *load, uint64_t begun)
{
	return load->rate ? begun + load->opened * SECOND / load->rate : begun;
}

int course_connections(struct load *load)
{
	uint64_t begun = now_ns(), end = begun + (uint64_t)(load->seconds * (double)SECOND), over;

	while (now_ns() < end && (!load->count || load->opened < load->count)) {
		uint64_t due = next_due(load, begun);

		for (unsigned i = 0; i < load->connections && due <= now_ns(); i++) {
			if (load->clients[i].state != CLIENT_FREE)
				continue;
			client_connect(
			    load, &load->clients[i], load->first + (unsigned)(load->opened % load->users));
			due = next_due(load, begun);
		}
		load_turn(load, load->rate && due < end ? due : end, on_short);
	}
	over = now_ns();
	while (any_open(load) && now_ns() < over + LEFT_SECONDS * SECOND)
		load_turn(load, over + LEFT_SECONDS * SECOND, on_short);
	over = load->count ? now_ns() : over;
	fail_unanswered(load);
	load_print(load, "connections", (double)(over - begun) / (double)SECOND);
	return 0;
}

/* Pinned ones. */

static void on_pinned(struct load *load, struct client *client, enum client_event event)
{
}

static uint64_t failures(const struct load *load)
{
	uint64_t sum = 0;

	for (int i = 0; i < FAILURES; i++)
		sum += load->failed[i];
	return sum;
}

/* Opens all, `beside` at a time; false if some failed. */
static bool open_all(struct load *load, unsigned beside, unsigned seconds)
{
	uint64_t begun = now_ns(), end = begun + seconds * SECOND, before = load->answered;
	unsigned begin = 0;
	bool all;

	while (load->answered - before + failures(load) < load->connections && now_ns() < end) {
		for (; begin < load->connections && begin - (load->answered - before) < beside; begin++)
			client_connect(load, &load->clients[begin], load->first + begin);
		load_turn(load, end, on_pinned);
	}
	load->failed[FAILED_TIMEOUT] += load->connections - (load->answered - before) - failures(load);
	all = load->answered - before == load->connections;
	load_print(load, "open", (double)(now_ns() - begun) / (double)SECOND);
	return all;
}

static void on_echo(struct load *load, struct client *client, enum client_event event)
{
	if (event == CLIENT_ECHOED)
		client_say(load, client);
}

int course_echo(struct load *load)
{
	uint64_t begun, end;

	if (!load_message(load, false) || !open_all(load, OPENING, OPEN_SECONDS))
		return 1;
	begun = now_ns();
	end = begun + (uint64_t)(load->seconds * (double)SECOND);
	for (unsigned i = 0; i < load->connections; i++)
		client_say(load, &load->clients[i]);
	while (now_ns() < end)
		load_turn(load, end, on_echo);
	load_print(load, "echo", (double)(now_ns() - begun) / (double)SECOND);
	return 0;
}

/* False at the end of standard input. */
static bool wait_for_line(void)
{
	char line[16];

	return fgets(line, sizeof(line), stdin);
}

int course_idle(struct load *load)
{
	uint64_t interval = load->every * 1000000ull / load->connections, pings = 0;

	load->size = 0;
	if (!load_message(load, true) || !open_all(load, OPENING, OPEN_SECONDS))
		return 1;
	while (wait_for_line()) {
		uint64_t begun = now_ns(), end = begun + (uint64_t)(load->seconds * (double)SECOND),
		         due = begun;

		while (now_ns() < end) {
			for (; due <= now_ns(); due += interval) {
				struct client *client = &load->clients[pings++ % load->connections];

				if (client->state == CLIENT_PINNED && !client->expected)
					client_say(load, client);
			}
			load_turn(load, due < end ? due : end, on_pinned);
		}
		load_print(load, "idle", (double)(now_ns() - begun) / (double)SECOND);
	}
	return 0;
}

int course_storm(struct load *load)
{
	if (!open_all(load, OPENING, OPEN_SECONDS))
		return 1;
	while (wait_for_line()) {
		for (unsigned i = 0; i < load->connections; i++)
			client_close(&load->clients[i], true);
		open_all(load, load->connections, STORM_SECONDS);
	}
	return 0;
}
