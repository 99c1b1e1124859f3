/* Makes a struct config from a JSON file or from the command line, checks it, and prints it.
 *
 * Problems are collected, not stopped at: each is one line "FILE:LINE:COLUMN: path.to.key: what is wrong; remedy", or
 * "limpet: -s: what is wrong; remedy" for an option.
 */
#ifndef LIMPET_CONFIG_LOAD_H
#define LIMPET_CONFIG_LOAD_H

#include <stdio.h>

#include "config/config.h"

/* Everything that options can say; unset fields are NULL or 0. Strings are borrowed. */
struct config_options {
	const char *file;             /* -c */
	const char *const *listeners; /* -l, in order */
	size_t listeners_count;
	const char *const *sticky;    /* -s, in order */
	size_t sticky_count;
	const char *workers;          /* -n: a number or "auto" */
	const char *protocol;         /* -p: PROTOCOL or node-ipc:FLAVOUR */
	const char *control;          /* --control */
	char *const *command;         /* after --; NULL-terminated, or NULL */
};

/* Loads the file if options->file is set, else a configuration with one pool made from the command. Options beside a file:
 * only --control goes with it; others are a problem with a remedy.
 * Returns 0 with *config owned by the caller (config_free), or -EINVAL after writing every problem to problems, a line
 * each, or -ENOMEM. */
int config_load(struct config **config, const struct config_options *options, FILE *problems);

/* NULL is allowed. */
void config_free(struct config *config);

/* Prints the whole configuration in force, defaults included, as a file that config_load() reads to the same result.
 * 0 or a negative errno. */
int config_print(const struct config *config, FILE *out);

/* Generated from the table of keys: the JSON Schema, and the list of keys as mdoc for limpet.json(5). */
int config_print_schema(FILE *out);
int config_print_mdoc(FILE *out);

const char *protocol_name(enum protocol protocol);
const char *flavour_name(enum flavour flavour);
const char *on_down_name(enum on_down on_down);

#endif
