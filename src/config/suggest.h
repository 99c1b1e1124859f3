/* "did you mean": which of the known words a mistyped one is closest to. */
#ifndef LIMPET_CONFIG_SUGGEST_H
#define LIMPET_CONFIG_SUGGEST_H

struct suggest {
	const char *word; /* borrowed */
	const char *best; /* borrowed from the offers; NULL: none is close */
	unsigned distance;
};

void suggest_init(struct suggest *suggest, const char *word);

/* Offers a known word; the closest so far, the first of equals, stays in ->best. */
void suggest_offer(struct suggest *suggest, const char *candidate);

#endif
