/* Text of a configuration file. What loads must print, load again, and print the same. */
#include "fuzz.h"

#include <string.h>

#include "config/reader.h"

static struct config *load(const char *text, size_t length)
{
	struct config *config = NULL;
	char *messages = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&messages, &size);

	config_load_text(&config, "fuzz.json", text, length, 0, out);
	fclose(out);
	/* A refusal says why, in a bounded number of lines; a success says nothing. */
	REQUIRE((config == NULL) == (size > 0));
	free(messages);
	return config;
}

static char *print(const struct config *config, size_t *length)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, length);

	REQUIRE(config_print(config, out) == 0);
	fclose(out);
	return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config *config = load(size == 0 ? "" : (const char *)data, size);
	struct config *again;
	size_t first_length;
	size_t second_length;
	char *first;
	char *second;

	if (config == NULL)
		return 0;
	first = print(config, &first_length);
	again = load(first, first_length);
	REQUIRE(again != NULL);
	second = print(again, &second_length);
	REQUIRE(strcmp(first, second) == 0);
	free(first);
	free(second);
	config_free(config);
	config_free(again);
	return 0;
}
