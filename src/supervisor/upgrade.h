/* Upgrade: the binary on disk takes this process's place, with the same pid and the same children. */
#ifndef LIMPET_SUPERVISOR_UPGRADE_H
#define LIMPET_SUPERVISOR_UPGRADE_H

#include "supervisor/supervisor.h"

/* Names the memfd with the state, in the environment of the new binary. */
#define UPGRADE_ENVIRONMENT "LIMPET_RESUME"

/* What a binary prints on standard output, a line by itself, when it is asked with --can-resume VERSION and can. */
#define UPGRADE_CONSENT "limpet: can resume"

/* Remembers where this program lies, before anybody can replace it. */
void upgrade_init(void);

/* Asks the binary on disk whether it can read the present configuration and state; if it can, it is executed in this process's
 * place, else everything stays as it is and the log says why. Returns 0 when the question was asked, or a negative errno after
 * logging (-EALREADY: one is under way). */
int upgrade(struct supervisor *supervisor);

/* Goes on with an upgrade that waited for the end of a succession. */
void upgrade_go_on(struct supervisor *supervisor);

#endif
