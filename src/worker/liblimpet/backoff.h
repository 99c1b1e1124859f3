/* How long to wait before the front is tried again: 100 to 200 ms at first, twice that each time, 15 to 30 s
 * in the end. Where in this span is left to chance, so that many workers do not come at once. */
#ifndef LIMPET_WORKER_LIBLIMPET_BACKOFF_H
#define LIMPET_WORKER_LIBLIMPET_BACKOFF_H

#define LIMPET_BACKOFF_MIN_MS 100
#define LIMPET_BACKOFF_MAX_MS 30000

/* Milliseconds before the try after so many that failed in a row, from 1. */
int limpet_backoff(unsigned failed);

#endif
