/* Brings the files that are generated from the table of keys up to date: the JSON Schema, and in the manual
 * page the lines between its two markers. Run by "ninja config-docs"; tests fail while a committed file
 * differs. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/load.h"

#define BEGIN_MARKER ".\\\" The list of keys is generated: ninja config-docs\n"
#define END_MARKER ".\\\" End of the generated list\n"

static int write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");
	int r = -1;

	if (file == NULL) {
		perror(path);
		return -1;
	}
	if (fputs(text, file) != EOF)
		r = 0;
	if (fclose(file) != 0 || r < 0) {
		perror(path);
		return -1;
	}
	return 0;
}

/* text has room for a page of any sensible length. */
static bool read_text(const char *path, char *text, size_t size)
{
	FILE *file = fopen(path, "r");
	size_t length;

	if (file == NULL) {
		perror(path);
		return false;
	}
	length = fread(text, 1, size - 1, file);
	text[length] = '\0';
	fclose(file);
	return length < size - 1;
}

static char *print_to_text(int (*print)(FILE *))
{
	char *text = NULL;
	size_t size = 0;
	FILE *file = open_memstream(&text, &size);
	int r;

	if (file == NULL)
		return NULL;
	r = print(file);
	if (fclose(file) != 0 || r < 0) {
		free(text);
		return NULL;
	}
	return text;
}

static int update_page(const char *path, const char *list)
{
	static char page[256 * 1024];
	char *begin = read_text(path, page, sizeof page) ? strstr(page, BEGIN_MARKER) : NULL;
	char *end = begin == NULL ? NULL : strstr(begin, END_MARKER);
	char *updated = NULL;
	int r = -1;

	if (end == NULL) {
		fprintf(stderr, "%s: no markers for the list of keys\n", path);
	} else if (asprintf(&updated, "%.*s%s%s%s", (int)(begin - page), page, BEGIN_MARKER, list, end) >=
	           0) {
		r = write_file(path, updated);
		free(updated);
	}
	return r;
}

int main(int argc, char **argv)
{
	char *schema = print_to_text(config_print_schema);
	char *list = print_to_text(config_print_mdoc);
	int r = 1;

	if (argc != 3)
		fprintf(stderr, "usage: config-docs SCHEMA PAGE\n");
	else if (schema != NULL && list != NULL && write_file(argv[1], schema) == 0 &&
	         update_page(argv[2], list) == 0)
		r = 0;
	free(schema);
	free(list);
	return r;
}
