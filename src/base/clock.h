/* The clock of every deadline: it never steps back, and all processes of one machine read the same. */
#ifndef LIMPET_BASE_CLOCK_H
#define LIMPET_BASE_CLOCK_H

#include <time.h>

/* Seconds since some moment in the past. libev's ev_now() is the time of day, which an administrator may set. */
static inline double clock_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

#endif
