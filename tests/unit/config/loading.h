/* For tests of what the loader says: text or options in, messages out. */
#ifndef LIMPET_TESTS_CONFIG_LOADING_H
#define LIMPET_TESTS_CONFIG_LOADING_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "config/reader.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* Files with something to test in line 2, from column 1. */
#define POOLS "\"pools\":{\"p\":{\"command\":[\"node\",\"a.js\"]}}"
#define TOP(members) "{" POOLS ",\n" members "}"
#define LISTENER(members) "{\"listeners\":{\"w\":{\n" members "}}," POOLS "}"
#define POOL(members) "{\"pools\":{\"p\":{\"command\":[\"node\",\"a.js\"],\n" members "}}}"

/* Loads a text as the file f.json, as root would. Returns the messages, to be freed. */
static inline char *load_bytes(struct config **config, const char *text, size_t length, uid_t uid)
{
	char *messages = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&messages, &size);
	int r;

	*config = NULL;
	r = config_load_text(config, "f.json", text, length, uid, out);
	fclose(out);
	assert_int_equal(r, *config == NULL ? -EINVAL : 0);
	assert_int_equal(size == 0, *config != NULL);
	return messages;
}

static inline struct config *load_good(const char *text)
{
	struct config *config;
	char *messages = load_bytes(&config, text, strlen(text), 0);

	if (config == NULL)
		fail_msg("%s\n%s", text, messages);
	free(messages);
	return config;
}

struct bad_text {
	const char *text;
	const char *messages; /* all lines, without "f.json:" at the start of each */
};

/* Each text must get exactly its messages; all differences are shown, not only the first. */
static inline void check_bad(const struct bad_text *bad, size_t count, uid_t uid)
{
	int different = 0;

	for (size_t i = 0; i < count; i++) {
		struct config *config;
		char *messages = load_bytes(&config, bad[i].text, strlen(bad[i].text), uid);
		char stripped[65536] = "";
		size_t used = 0;

		for (char *line = strtok(messages, "\n"); line != NULL; line = strtok(NULL, "\n")) {
			const char *text = strncmp(line, "f.json:", 7) == 0 ? line + 7 : line;

			used += (size_t)snprintf(
			    stripped + used, sizeof stripped - used, "%s%s", used > 0 ? "\n" : "", text);
		}
		if (strcmp(stripped, bad[i].messages) != 0) {
			print_error(
			    "%s\n  said:     %s\n  expected: %s\n", bad[i].text, stripped, bad[i].messages);
			different++;
		}
		config_free(config);
		free(messages);
	}
	assert_int_equal(different, 0);
}

#endif
