/* What limpet sees in request heads: head_check SOURCE... <HEADS
 *
 * Standard input: heads, each behind its length (4 bytes, the highest first). A SOURCE is cookie:NAME,
 * header:NAME, query:NAME or path:NUMBER. One line a head: the result's name, and behind DONE the head's length,
 * its target and the key of each source, "-" if it has none. Target and keys are in hexadecimal.
 */
#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "route/request_head.h"
#include "route/sticky_key.h"

/* Far more than the parser looks at. */
#define HEAD_MAX (1024 * 1024)

static const char *const results[] = {
    [HEAD_DONE] = "DONE",
    [HEAD_NEED_MORE] = "NEED_MORE",
    [HEAD_INVALID] = "INVALID",
    [HEAD_TLS] = "TLS",
    [HEAD_HTTP2] = "HTTP2",
    [HEAD_TOO_MANY_FIELDS] = "TOO_MANY_FIELDS",
};

static int read_source(struct sticky_source *source, char *text)
{
	static const struct {
		const char *name;
		enum sticky_type type;
	} types[] = {{"cookie:", STICKY_COOKIE}, {"header:", STICKY_HEADER}, {"query:", STICKY_QUERY},
	    {"path:", STICKY_PATH}};

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		size_t length = strlen(types[i].name);

		if (strncmp(text, types[i].name, length) == 0) {
			source->type = types[i].type;
			source->name = text + length;
			source->segment = (unsigned)strtoul(text + length, NULL, 10);
			return 0;
		}
	}
	fprintf(stderr, "head_check: %s is no source\n", text);
	return -1;
}

static void print_bytes(const char *bytes, size_t length)
{
	putchar(' ');
	for (size_t i = 0; i < length; i++)
		printf("%02x", (unsigned char)bytes[i]);
}

static void check(const char *bytes, size_t length, const struct sticky_source *sources, size_t count)
{
	static struct sticky_scratch scratch;
	static struct request_head head;
	enum head_result result = request_head_parse(&head, bytes, length);
	struct address client = {0};

	fputs(results[result], stdout);
	if (result == HEAD_DONE) {
		printf(" %zu", head.length);
		print_bytes(head.target.at, head.target.length);
		for (size_t i = 0; i < count; i++) {
			struct sticky_key key;

			sticky_key_find(&key, &sources[i], 1, &head, &client, &scratch);
			if (key.source == 0)
				print_bytes(key.bytes, key.length);
			else
				fputs(" -", stdout);
		}
	}
	putchar('\n');
}

int main(int argc, char **argv)
{
	size_t count = (size_t)argc - 1;
	struct sticky_source sources[STICKY_SOURCES_MAX] = {0};
	uint32_t length;

	if (count > STICKY_SOURCES_MAX)
		return 2;
	for (size_t i = 0; i < count; i++)
		if (read_source(&sources[i], argv[i + 1]) < 0)
			return 2;
	while (fread(&length, sizeof(length), 1, stdin) == 1) {
		char *bytes;

		length = ntohl(length);
		/* Of exactly this size, so that the sanitizers see a read past the end. */
		bytes = length <= HEAD_MAX ? malloc(length ? length : 1) : NULL;
		if (!bytes)
			return 1;
		if (fread(bytes, 1, length, stdin) != length) {
			free(bytes);
			return 1;
		}
		check(bytes, length, sources, count);
		free(bytes);
	}
	return ferror(stdin) || fflush(stdout) ? 1 : 0;
}
