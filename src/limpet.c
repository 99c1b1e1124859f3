/* limpet: a sticky-session front for pools of local worker processes. See limpet(8). */
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "config/load.h"
#include "demo.h"
#include "options.h"
#include "supervisor/state.h"
#include "supervisor/supervisor.h"
#include "supervisor/upgrade.h"

enum { EXIT_CLEAN = 0, EXIT_CONFIGURATION = 1, EXIT_RUNTIME = 2 };

/* --can-resume: the answer to a limpet that would be upgraded to this binary. */
static int consent(const char *version)
{
	if (atoi(version) == STATE_VERSION)
		return puts(UPGRADE_CONSENT);
	fprintf(stderr, "limpet: cannot resume from state version %s; this limpet reads %d\n", version, STATE_VERSION);
	return -1;
}

/* -t, --print-config, --print-schema: print, and the exit status says how it went. */
static int print(const struct options *options, const struct config *config)
{
	int result = 0;

	if (options->print_config)
		result = config_print(config, stdout);
	if (options->resume)
		result = consent(options->resume);
	else if (options->check)
		fprintf(stderr, "limpet: the configuration%s%s is good\n", config->file ? " " : "",
		    config->file ? config->file : "");
	return result < 0 || fflush(stdout) < 0 ? EXIT_RUNTIME : EXIT_CLEAN;
}

static int run(const struct options *options, struct config *config, char **argv)
{
	const struct supervisor_options supervisor = {
	    .config = options->config, .argv = argv, .on_first_ready = options->demo ? demo_say : NULL};

	log_configure("limpet", config->log_level, config->log_format);
	if (log_open(config->log_file) < 0) {
		fprintf(stderr, "limpet: cannot write the log file %s: %m\n", config->log_file);
		config_free(config);
		return EXIT_RUNTIME;
	}
	return supervisor_run(config, &supervisor);
}

int main(int argc, char **argv)
{
	struct options options;
	struct config *config;
	int status;

	upgrade_init();
	options_parse(&options, argc, argv);
	if (options.print_schema)
		return config_print_schema(stdout) < 0 ? EXIT_RUNTIME : EXIT_CLEAN;
	if (options.demo && demo_options(&options) < 0)
		return EXIT_RUNTIME;
	if (config_load(&config, &options.config, stderr) < 0)
		return EXIT_CONFIGURATION;
	if (!options.check && !options.print_config && !options.resume)
		return run(&options, config, argv);
	status = print(&options, config);
	config_free(config);
	return status;
}
