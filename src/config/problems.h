/* What is wrong with a configuration: collected while it is read and checked, written in the order of the
 * file.
 *
 * A problem of a file is "FILE:LINE:COLUMN: path.to.key: text", one of an option "limpet: OPTION: text".
 */
#ifndef LIMPET_CONFIG_PROBLEMS_H
#define LIMPET_CONFIG_PROBLEMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "config/document.h"

/* More are counted, not kept. */
#define PROBLEMS_MAX 100

struct problem {
	struct position at;
	size_t order;
	bool of_option;
	char *text;
};

struct problems {
	const char *file; /* borrowed; NULL: command line */
	struct problem list[PROBLEMS_MAX];
	size_t count;       /* all, also those past PROBLEMS_MAX */
	bool out_of_memory; /* whoever could not allocate sets it; the load then fails with -ENOMEM */
};

void problems_init(struct problems *problems, const char *file);
void problems_deinit(struct problems *problems);

/* About a value, or about the name that it has. A node made from an option is named by the option. */
void problems_value(struct problems *problems, const struct node *node, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void problems_key(struct problems *problems, const struct node *node, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* About a place in the file that is no node; line 0: about the file as a whole. */
void problems_position(struct problems *problems, struct position at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* About an option, or if option is NULL, the command line as a whole. */
void problems_option(struct problems *problems, const char *option, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Sorts and writes them, a line each. */
void problems_write(struct problems *problems, FILE *out);

#endif
