/* The list of keys for limpet.json(5), in mdoc, from the table of keys. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "config/reader.h"
#include "config/units.h"

static const struct {
	enum key_object object;
	const char *title;
} sections[] = {
    {KEYS_CONFIG, "The whole"},
    {KEYS_LOG, "Log"},
    {KEYS_LISTENER, "Listeners"},
    {KEYS_STICKY, "Sources of a sticky key"},
    {KEYS_STICKY_IP, "Prefixes of the client address"},
    {KEYS_POOL, "Pools"},
    {KEYS_LIMITS, "Limits of workers"},
};

/* mdoc begins a new line for each sentence, and takes '.' at the start of a line and '\' as its own. */
static void print_text(const char *text, FILE *out)
{
	for (; *text != '\0'; text++) {
		if (*text == '\\')
			fputs("\\e", out);
		else
			fputc(*text, out);
	}
}

static void print_choices(const struct key *key, FILE *out)
{
	const char *separator = "one of ";

	for (const struct choice *choice = key->choices; choice->name != NULL; choice++) {
		fprintf(out, "%s\\(dq%s\\(dq", separator, choice->name);
		separator = ", ";
	}
}

static void print_type(const struct key *key, FILE *out)
{
	char least[UNITS_TEXT_MAX];
	char most[UNITS_TEXT_MAX];

	switch (key->type) {
	case KEY_NOTE:
	case KEY_STRING:
	case KEY_TOKEN:
	case KEY_ADDRESS:
	case KEY_POOL_NAME:
		fputs("string", out);
		break;
	case KEY_DURATION:
		fprintf(out, "duration, %s to %s", duration_format(key->min, least),
		    duration_format(key->max, most));
		break;
	case KEY_SIZE:
		fprintf(out, "size, %s to %s", size_format(key->min, least), size_format(key->max, most));
		break;
	case KEY_INTEGER:
		fprintf(out, "number, %" PRIu64 " to %" PRIu64, key->min, key->max);
		break;
	case KEY_BOOLEAN:
		fputs("true or false", out);
		break;
	case KEY_MODE:
		fprintf(out, "octal number as a string, at most \\(dq%04" PRIo64 "\\(dq", key->max);
		break;
	case KEY_LIMIT:
		fprintf(out, "number, %" PRIu64 " to %" PRIu64 ", or \\(dqunlimited\\(dq", key->min, key->max);
		break;
	case KEY_SIZE_LIMIT:
		fprintf(out, "size, %s to %s, or \\(dqunlimited\\(dq", size_format(key->min, least),
		    size_format(key->max, most));
		break;
	case KEY_CHOICE:
		print_choices(key, out);
		break;
	case KEY_OBJECT:
		fputs("object", out);
		break;
	case KEY_MAP:
		fprintf(out, "object of objects, at most %" PRIu64, key->max);
		break;
	case KEY_STICKY_LIST:
		fprintf(out, "source or list of at most %" PRIu64 " sources", key->max);
		break;
	case KEY_PREFIXES:
	case KEY_COMMAND:
		fprintf(out, "list of strings, at most %" PRIu64, key->max);
		break;
	case KEY_ENVIRONMENT:
		fputs("object of strings", out);
		break;
	case KEY_WORKERS:
		fprintf(out, "number, %" PRIu64 " to %" PRIu64 ", or \\(dqauto\\(dq", key->min, key->max);
		break;
	case KEY_SLOTS:
		fprintf(out, "number, %" PRIu64 " to %" PRIu64 ", or list of strings", key->min, key->max);
		break;
	case KEY_WEIGHTS:
		fputs("object of numbers", out);
		break;
	}
}

static void print_key(const struct key *key, FILE *out)
{
	fprintf(out, ".It Cm %s%s\n", keys_prefix(key->object), key->name);
	fputc('(', out);
	print_type(key, out);
	if (key->required)
		fputs("; required", out);
	if (key->fallback != NULL)
		fprintf(out, "; default %s", key->fallback);
	fputs(")\n.br\n", out);
	print_text(key->help, out);
	fputs(".\n", out);
}

int config_print_mdoc(FILE *out)
{
	for (size_t i = 0; i < sizeof sections / sizeof sections[0]; i++) {
		fprintf(out, ".Ss %s\n.Bl -tag -width Ds\n", sections[i].title);
		for (size_t j = 0; j < keys_count; j++) {
			if (keys[j].object == sections[i].object)
				print_key(&keys[j], out);
		}
		fputs(".El\n", out);
	}
	return ferror(out) ? -EIO : 0;
}
