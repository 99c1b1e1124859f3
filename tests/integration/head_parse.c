/* Tells test_parser_differences.py what limpet makes of request heads: records of a length (4 bytes, little-endian) and so many
 * bytes on standard input, one line of hexadecimal words each on standard output: result, method, target, then names and values. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "route/request_head.h"

static void print(struct span span)
{
	putchar(' ');
	putchar('.');
	for (size_t i = 0; i < span.length; i++)
		printf("%02x", (unsigned char)span.at[i]);
}

static void parse(const char *bytes, size_t length)
{
	static struct request_head head;
	enum head_result result = request_head_parse(&head, bytes, length);

	printf("%d", result);
	if (result == HEAD_DONE) {
		print(head.method);
		print(head.target);
		for (size_t i = 0; i < head.fields_count; i++) {
			print(head.fields[i].name);
			print(head.fields[i].value);
		}
	}
	putchar('\n');
}

int main(void)
{
	unsigned char prefix[4];

	while (fread(prefix, 1, 4, stdin) == 4) {
		size_t length = prefix[0] | (size_t)prefix[1] << 8 | (size_t)prefix[2] << 16 | (size_t)prefix[3] << 24;
		char *bytes = malloc(length ? length : 1);

		if (!bytes || fread(bytes, 1, length, stdin) != length)
			return 1;
		parse(bytes, length);
		free(bytes);
	}
	return 0;
}
