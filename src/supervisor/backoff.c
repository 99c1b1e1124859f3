#include "supervisor/backoff.h"

double backoff_delay(unsigned failures, double random)
{
	double delay = BACKOFF_FIRST;

	for (; failures > 1 && delay < BACKOFF_MOST; failures--)
		delay *= 2;
	delay *= 0.75 + random / 2;
	return delay < BACKOFF_MOST ? delay : BACKOFF_MOST;
}
