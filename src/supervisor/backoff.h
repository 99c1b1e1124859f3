/* How long to wait before a worker is started again: exponential, with jitter. Pure. */
#ifndef LIMPET_SUPERVISOR_BACKOFF_H
#define LIMPET_SUPERVISOR_BACKOFF_H

#define BACKOFF_FIRST 0.1          /* seconds */
#define BACKOFF_MOST 30.0
#define BACKOFF_STABLE 60.0        /* ready for so long: the next failure counts as the first */

/* failures: how many in a row, this one included (from 1). random: uniform in [0, 1). Returns seconds, in 0.75 to 1.25 of
 * BACKOFF_FIRST * 2^(failures - 1), at most BACKOFF_MOST, so that workers that died together do not start together. */
double backoff_delay(unsigned failures, double random);

#endif
