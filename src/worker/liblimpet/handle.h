/* struct limpet: a session with a lock around it. */
#ifndef LIMPET_WORKER_LIBLIMPET_HANDLE_H
#define LIMPET_WORKER_LIBLIMPET_HANDLE_H

#include <pthread.h>
#include <stdbool.h>
#include <sys/types.h>

#include "session.h"

struct limpet {
	pthread_mutex_t lock;
	/* Of the threads in limpet_accept() one polls; the others wait for their turn to. */
	pthread_cond_t turn;
	bool polled;
	struct limpet_session session;
	struct limpet_event event; /* limpet_next()'s */
	pid_t process;
};

/* CLOCK_MONOTONIC in milliseconds. */
int64_t limpet_now(void);

/* Both are had with the lock. The second one makes what was changed take effect. */
void limpet_lock(struct limpet *limpet);
void limpet_unlock(struct limpet *limpet);

#endif
