/* The command line of limpet(8). */
#ifndef LIMPET_OPTIONS_H
#define LIMPET_OPTIONS_H

#include <stdbool.h>

#include "config/load.h"

#define OPTIONS_LIST_MAX 64

struct options {
	struct config_options config;
	bool check;        /* -t */
	bool print_config; /* --print-config */
	bool print_schema; /* --print-schema */
	bool demo;         /* --demo */
	const char *resume; /* --can-resume: the version of the state */
	const char *listeners[OPTIONS_LIST_MAX];
	const char *sticky[OPTIONS_LIST_MAX];
};

/* Parses; -h and -V print and end the program with status 0, a usage error says why on stderr and ends it with 1.
 * All strings in *options are borrowed from argv. */
void options_parse(struct options *options, int argc, char **argv);

#endif
