/* limpet --demo: options that run the demonstration worker. */
#ifndef LIMPET_DEMO_H
#define LIMPET_DEMO_H

#include "options.h"

/* Fills in what the command line left open. 0, or -ENOENT after saying that this limpet was built without the demo. */
int demo_options(struct options *options);

/* Says where to look; called when the first worker is ready. */
void demo_say(const struct address *address);

#endif
