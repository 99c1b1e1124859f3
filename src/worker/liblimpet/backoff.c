#include "backoff.h"

#include <stdint.h>
#include <sys/random.h>
#include <time.h>

static uint32_t chance(void)
{
	uint32_t number;

	if (getrandom(&number, sizeof(number), GRND_NONBLOCK) != sizeof(number)) {
		struct timespec now;

		clock_gettime(CLOCK_MONOTONIC, &now);
		number = (uint32_t)now.tv_nsec / 64;
	}
	return number;
}

int limpet_backoff(unsigned failed)
{
	int least = LIMPET_BACKOFF_MIN_MS;

	while (failed-- > 1 && least < LIMPET_BACKOFF_MAX_MS / 2)
		least *= 2;
	if (least > LIMPET_BACKOFF_MAX_MS / 2)
		least = LIMPET_BACKOFF_MAX_MS / 2;
	return least + (int)(chance() % (uint32_t)(least + 1));
}
