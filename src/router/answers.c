#include "router/answers.h"

#include <stddef.h>
#include <string.h>

#include "base/clock.h"

/* So many wake-ups in so short a time are worth a delay. */
#define BUSY_WAKEUPS 12
#define BUSY_SECONDS 0.02

#define DELAY_SECONDS 0.0005 /* libev rounds up to a millisecond */

/* After so many delays in which there were none it ends. */
#define IDLE_MAX 10

/* Of so many that are delayed, at most so many should have to wait for the time to be over. Where clients wait for each other's end,
 * nearly all do. */
#define LOOKED_AT 32
#define WAIT_MAX 24

/* For so long they are not delayed after that, and after connections had to wait for them. */
#define SHARE_SECONDS 1.0
#define AWAITED_SECONDS 0.01

/* How many had something to say. */
static unsigned read_all(struct answers *answers)
{
	unsigned count = (unsigned)poller_run(&answers->poller);

	return count + (answers->look ? answers->look(answers) : 0);
}

static void set_quiet(struct answers *answers, bool quiet)
{
	if (answers->set_quiet)
		answers->set_quiet(answers, quiet);
}

static void stop_delay(struct answers *answers)
{
	if (!answers->delayed)
		return;
	answers->delayed = false;
	answers->wakeups = 0;
	ev_timer_stop(answers->poller.loop, &answers->timer);
	poller_resume(&answers->poller);
	set_quiet(answers, false);
}

static void start_delay(struct answers *answers)
{
	answers->delayed = true;
	answers->with_others = answers->waited = answers->idle = 0;
	poller_pause(&answers->poller);
	set_quiet(answers, true);
	ev_timer_again(answers->poller.loop, &answers->timer);
}

/* They are read at once, for a while. */
static void hurry(struct answers *answers, double seconds)
{
	answers->hurry_until = clock_now() + seconds;
	stop_delay(answers);
}

/* Is the delay at the expense of those who wait for it? Looked at again and again, since it may have become so. */
static void check_share(struct answers *answers)
{
	unsigned all = answers->with_others + answers->waited;

	if (all < LOOKED_AT)
		return;
	if (answers->waited * LOOKED_AT > all * WAIT_MAX)
		hurry(answers, SHARE_SECONDS);
	answers->with_others = answers->waited = 0;
}

static void on_wakeup(struct poller *poller)
{
	struct answers *answers = (struct answers *)((char *)poller - offsetof(struct answers, poller));
	double now = clock_now();

	if (answers->acknowledged == answers->acknowledged_before)
		return;
	answers->acknowledged_before = answers->acknowledged;
	if (now - answers->counted_since > BUSY_SECONDS) {
		answers->counted_since = now;
		answers->wakeups = 0;
	}
	if (++answers->wakeups >= BUSY_WAKEUPS && now >= answers->hurry_until)
		start_delay(answers);
}

/* Nothing else has woken the router for the whole delay. */
static void on_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct answers *answers = timer->data;
	unsigned count = read_all(answers);

	if (*answers->awaiting > 0) {
		hurry(answers, AWAITED_SECONDS);
		return;
	}
	if (count == 0 && ++answers->idle < IDLE_MAX)
		return;
	if (count == 0) {
		stop_delay(answers);
		return;
	}
	answers->idle = 0;
	answers->waited += count;
	check_share(answers);
}

int answers_init(struct answers *answers, struct ev_loop *loop, const unsigned *awaiting)
{
	int result;

	memset(answers, 0, sizeof(*answers));
	answers->awaiting = awaiting;
	result = poller_init(&answers->poller, loop);
	answers->poller.on_wakeup = on_wakeup;
	ev_timer_init(&answers->timer, on_timer, 0., DELAY_SECONDS);
	/* If new connections have come as well, they are first, and there is no need of it. */
	ev_set_priority(&answers->timer, EV_MINPRI);
	answers->timer.data = answers;
	return result;
}

void answers_deinit(struct answers *answers)
{
	ev_timer_stop(answers->poller.loop, &answers->timer);
	poller_deinit(&answers->poller);
}

void answers_glance(struct answers *answers)
{
	unsigned count;

	if (!answers->delayed)
		return;
	count = read_all(answers);
	if (count)
		answers->idle = 0;
	answers->with_others += count;
	check_share(answers);
	if (!answers->delayed)
		return;
	/* What they had waited for was not among these. */
	if (*answers->awaiting > 0)
		hurry(answers, AWAITED_SECONDS);
	else
		ev_timer_again(answers->poller.loop, &answers->timer);
}
