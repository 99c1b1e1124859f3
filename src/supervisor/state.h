/* The state of a supervisor, for the binary that takes its place at an upgrade: a JSON object in a memfd. Processes, slots and
 * listening sockets are named by pid, pool and slot name, and fd number; fds are passed by leaving them open over execve().
 *
 *   {"version": 1, "link": LINK_VERSION, "control": {"fd": N}, "seed": "HEX", "started": SECONDS, "was_ready": BOOLEAN,
 *    "next_worker": N, "next_listening": N, "router": {"pid": N, "fd": N},
 *    "listenings": [{"id", "pool", "fd", "type", "bound_only", "configured", "asked", "address", "name", "key", "data", "given", "stored"}],
 *    "inherited": [{"fd", "name"}], "doors": [{"fd"}], "told_ready": BOOLEAN,
 *    "pools": [{"pool", "has_listeners": BOOLEAN, "settings": {NAME: DIGEST}}],
 *    "slots": [{"pool", "slot", "generation", "failures", "restarts", "handed_off", "acknowledged", "stats", "outdated"}],
 *    "processes": [{"id", "pool", "slot", "place": "process"|"incoming"|"retired", "generation", "pid", "fd", "protocol", "flavour",
 *                   "ready", "ready_since", "leaving", "draining", "last_signal", "drain_timeout", "kill_timeout", "end_in",
 *                   "drain_signal", "agent", "external", "escort": N, "left", "lost",
 *                   "servers": [{"key", "listening", "accepts"}], "kept": [{"key", "number", "fd"}]}],
 *    "stats": FD, "counters": {NAME: N}}
 *
 * Counters live in the memory behind "stats", which a running router goes on writing to; a binary with other counters takes the
 * copies.
 *
 * A reader ignores members that it does not know; a change that this does not cover raises STATE_VERSION.
 */
#ifndef LIMPET_SUPERVISOR_STATE_H
#define LIMPET_SUPERVISOR_STATE_H

#include <jansson.h>

#include "supervisor/supervisor.h"

#define STATE_VERSION 2

/* A new reference, or NULL: out of memory. */
json_t *state_make(struct supervisor *supervisor);

/* Writes it to a memfd. The fd (close-on-exec, owned by the caller), or a negative errno. */
int state_write(const json_t *state);

/* Reads it from the fd (consumed). NULL after logging why: not JSON, not an object, of another version. */
json_t *state_read(int fd);

/* Calls for every fd that the state names. */
void state_each_fd(const json_t *state, void (*callback)(int fd));

/* Fills an empty supervisor, whose config is set, from the state: pools, workers, listeners, the router that runs. What the
 * state has and the configuration has not is retired or closed. 0 or a negative errno after logging. */
int state_restore(struct supervisor *supervisor, const json_t *state);

#endif
