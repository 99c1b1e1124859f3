/* From a file or options to a checked configuration: opens and reads the file, and strings the steps
 * together. */
#include "config/load.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/reader.h"

static const struct position whole_file = {0, 0};

/* Reads a regular file of bounded length; *text is the caller's. Returns its length, or -1 after a problem.
 */
static ssize_t read_bytes(int fd, char **text, struct problems *problems)
{
	size_t length = 0;
	ssize_t n = 1;

	/* One byte more than allowed shows that there is more. */
	*text = malloc(CONFIG_TEXT_MAX + 1);
	if (*text == NULL) {
		problems->out_of_memory = true;
		return -1;
	}
	while (n != 0 && length <= CONFIG_TEXT_MAX) {
		n = read(fd, *text + length, CONFIG_TEXT_MAX + 1 - length);
		if (n < 0 && errno != EINTR) {
			problems_position(problems, whole_file, "read failed: %s", strerror(errno));
			return -1;
		}
		if (n > 0)
			length += (size_t)n;
	}
	if (length > CONFIG_TEXT_MAX) {
		problems_position(problems, whole_file, "is longer than %d bytes", CONFIG_TEXT_MAX);
		return -1;
	}
	return (ssize_t)length;
}

static ssize_t read_file(const char *path, char **text, struct problems *problems)
{
	struct stat status;
	ssize_t length = -1;
	/* Without O_NONBLOCK a FIFO would hold the open until somebody writes to it. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	*text = NULL;
	if (fd < 0) {
		problems_position(problems, whole_file, "open failed: %s", strerror(errno));
		return -1;
	}
	if (fstat(fd, &status) < 0)
		problems_position(problems, whole_file, "stat failed: %s", strerror(errno));
	else if (S_ISDIR(status.st_mode))
		problems_position(problems, whole_file, "read failed: %s", strerror(EISDIR));
	else if (!S_ISREG(status.st_mode))
		problems_position(problems, whole_file, "is not a regular file");
	else
		length = read_bytes(fd, text, problems);
	close(fd);
	return length;
}

static struct document *parse(const char *text, size_t length, struct problems *problems)
{
	struct document *document = NULL;
	struct document_error error = {.at = {0, 0}};
	int r = document_parse(&document, text, length, &error);

	if (r == -EINVAL)
		problems_position(problems, error.at, "%s", error.text);
	else if (r < 0)
		problems->out_of_memory = true;
	return document;
}

/* Reads and checks the document, or NULL if there is none for what problems say. */
static int load_document(
    struct config **config, const struct document *document, uid_t uid, struct problems *problems, FILE *out)
{
	struct reader reader = {.problems = problems, .uid = uid};
	int r = 0;

	if (document != NULL) {
		reader.config = config_new();
		if (reader.config == NULL)
			problems->out_of_memory = true;
	}
	if (reader.config != NULL) {
		read_config(&reader, &document->nodes[0]);
		/* Past the last problem that is kept, nothing is learnt from more. */
		if (!problems->out_of_memory && problems->count <= PROBLEMS_MAX)
			check_config(&reader, &document->nodes[0]);
	}
	if (reader.config != NULL && problems->file != NULL) {
		reader.config->file = strdup(problems->file);
		if (reader.config->file == NULL)
			problems->out_of_memory = true;
	}
	problems_write(problems, out);
	if (problems->out_of_memory)
		r = -ENOMEM;
	else if (problems->count > 0)
		r = -EINVAL;
	if (r == 0)
		*config = reader.config;
	else
		config_free(reader.config);
	return r;
}

int config_load_text(
    struct config **config, const char *file, const char *text, size_t length, uid_t uid, FILE *out)
{
	struct problems problems;
	struct document *document;
	int r;

	problems_init(&problems, file);
	document = parse(text, length, &problems);
	r = load_document(config, document, uid, &problems, out);
	document_free(document);
	problems_deinit(&problems);
	return r;
}

/* --control wins over the file's. */
static int override_control(struct config *config, const char *control, FILE *out)
{
	const struct key *key = keys_find(KEYS_CONFIG, "control");
	char *copy;

	if (strlen(control) < key->min || strlen(control) > key->max) {
		fprintf(out, "limpet: --control: a path has %u to %u bytes\n", (unsigned)key->min,
		    (unsigned)key->max);
		return -EINVAL;
	}
	copy = strdup(control);
	if (copy == NULL)
		return -ENOMEM;
	free(config->control);
	config->control = copy;
	return 0;
}

int config_load(struct config **config, const struct config_options *options, FILE *out)
{
	struct problems problems;
	struct document *document = NULL;
	char *text = NULL;
	ssize_t length;
	int r;

	problems_init(&problems, options->file);
	if (options->file != NULL) {
		options_refuse_beside_file(options, &problems);
		length = read_file(options->file, &text, &problems);
		if (length >= 0)
			document = parse(text, (size_t)length, &problems);
		free(text);
	} else {
		document = options_document(options, &problems);
	}
	r = load_document(config, document, geteuid(), &problems, out);
	document_free(document);
	problems_deinit(&problems);
	if (r == 0 && options->file != NULL && options->control != NULL) {
		r = override_control(*config, options->control, out);
		if (r < 0) {
			config_free(*config);
			*config = NULL;
		}
	}
	return r;
}
