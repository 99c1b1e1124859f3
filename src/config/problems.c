/* The list of problems. Texts quote what users wrote, so control characters are taken out here, for all of
 * them. */
#include "config/problems.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define PATH_TEXT_MAX 512

void problems_init(struct problems *problems, const char *file)
{
	memset(problems, 0, sizeof *problems);
	problems->file = file;
}

void problems_deinit(struct problems *problems)
{
	for (size_t i = 0; i < problems->count && i < PROBLEMS_MAX; i++)
		free(problems->list[i].text);
	memset(problems, 0, sizeof *problems);
}

/* C0, DEL and, as UTF-8, C1: nothing that a terminal would obey. */
static void make_printable(char *text)
{
	for (unsigned char *at = (unsigned char *)text; *at != '\0'; at++) {
		if (*at < 0x20 || *at == 0x7f)
			*at = '?';
		else if (at[0] == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0)
			at[0] = at[1] = '?';
	}
}

/* option: NULL for a problem of the file. */
__attribute__((format(printf, 5, 0))) static void add(struct problems *problems, struct position at,
    const char *option, const char *prefix, const char *format, va_list list)
{
	struct problem *problem;
	char *text = NULL;

	if (problems->count++ >= PROBLEMS_MAX)
		return;
	problem = &problems->list[problems->count - 1];
	problem->at = at;
	problem->order = problems->count;
	problem->of_option = option != NULL;
	problem->text = NULL;
	if (vasprintf(&text, format, list) < 0) {
		problems->out_of_memory = true;
		return;
	}
	if (asprintf(&problem->text, "%s%s", prefix, text) < 0) {
		problem->text = NULL;
		problems->out_of_memory = true;
	} else {
		make_printable(problem->text);
	}
	free(text);
}

/* Writes "listeners.web.sticky[1]"; the depth of documents bounds the recursion. */
static size_t write_path(const struct node *node, char *path, size_t size)
{
	size_t used = node->parent == NULL ? 0 : write_path(node->parent, path, size);
	int n;

	if (node->parent == NULL)
		return 0;
	if (node->key == NULL)
		n = snprintf(path + used, size - used, "[%zu]", node->index);
	else
		n = snprintf(path + used, size - used, "%s%.64s", used > 0 ? "." : "", node->key);
	if (n < 0)
		return used;
	return used + (size_t)n < size ? used + (size_t)n : size - 1;
}

__attribute__((format(printf, 4, 0))) static void add_node(
    struct problems *problems, const struct node *node, struct position at, const char *format, va_list list)
{
	char path[PATH_TEXT_MAX] = "";
	char prefix[PATH_TEXT_MAX + 16];

	if (node->option != NULL) {
		snprintf(prefix, sizeof prefix, "limpet: %s: ", node->option);
	} else {
		write_path(node, path, sizeof path);
		snprintf(prefix, sizeof prefix, "%s%s", path, path[0] == '\0' ? "" : ": ");
	}
	add(problems, at, node->option, prefix, format, list);
}

void problems_value(struct problems *problems, const struct node *node, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	add_node(problems, node, node->value_at, format, list);
	va_end(list);
}

void problems_key(struct problems *problems, const struct node *node, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	add_node(problems, node, node->key_at, format, list);
	va_end(list);
}

void problems_position(struct problems *problems, struct position at, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	add(problems, at, NULL, "", format, list);
	va_end(list);
}

void problems_option(struct problems *problems, const char *option, const char *format, ...)
{
	char prefix[64] = "limpet: ";
	struct position nowhere = {0, 0};
	va_list list;

	if (option != NULL)
		snprintf(prefix, sizeof prefix, "limpet: %s: ", option);
	va_start(list, format);
	add(problems, nowhere, "", prefix, format, list);
	va_end(list);
}

static int compare(const void *a, const void *b)
{
	const struct problem *x = a;
	const struct problem *y = b;

	if (x->at.line != y->at.line)
		return x->at.line < y->at.line ? -1 : 1;
	if (x->at.column != y->at.column)
		return x->at.column < y->at.column ? -1 : 1;
	return x->order < y->order ? -1 : 1;
}

void problems_write(struct problems *problems, FILE *out)
{
	size_t kept = problems->count < PROBLEMS_MAX ? problems->count : PROBLEMS_MAX;

	qsort(problems->list, kept, sizeof problems->list[0], compare);
	for (size_t i = 0; i < kept; i++) {
		const struct problem *problem = &problems->list[i];
		const char *text =
		    problem->text == NULL ? "no memory for the text of this problem" : problem->text;

		if (problem->of_option)
			fprintf(out, "%s\n", text);
		else if (problem->at.line == 0)
			fprintf(out, "%s: %s\n", problems->file, text);
		else
			fprintf(out, "%s:%u:%u: %s\n", problems->file, problem->at.line, problem->at.column,
			    text);
	}
	if (problems->count > kept)
		fprintf(out, "limpet: and %zu more problems\n", problems->count - kept);
}
