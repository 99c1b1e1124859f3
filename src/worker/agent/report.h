/* What a worker that is being started tells the supervisor (supervisor/spawn.c), through a pipe that closes
 * when its program runs: nothing, if it is the program itself and all went well; else one of these.
 * limpet-agent, which is started in the program's place and starts it, says REPORT_STARTED first.
 *
 * Both ends are of one build. */
#ifndef LIMPET_WORKER_AGENT_REPORT_H
#define LIMPET_WORKER_AGENT_REPORT_H

#include <stdint.h>

/* The fds that limpet-agent is started with: the control socket of protocol accept, and the pipe. */
#define AGENT_CONTROL_FD 3
#define AGENT_REPORT_FD 4

enum report_step {
	REPORT_CHANNEL,
	REPORT_DIRECTORY,
	REPORT_USER,
	REPORT_GROUP,
	REPORT_LIMITS,
	REPORT_ENVIRONMENT,
	REPORT_PRELOAD,
	REPORT_PRELOAD_MUSL,
	REPORT_AGENT, /* limpet-agent cannot be run */
	REPORT_TRAP,  /* system calls cannot be trapped */
	REPORT_REACH, /* the program's files and memory cannot be reached */
	REPORT_EXEC,
	REPORT_STARTED, /* value: the pid of the program */
	REPORT_STEPS,
};

struct report {
	int32_t step;
	int32_t value; /* a positive errno, or what the step says */
};

#endif
