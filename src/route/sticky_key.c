/* Looks for sticky keys in request heads and addresses. */
#include "route/sticky_key.h"

#include <string.h>

/* Takes the text up to the next separator off the front of *rest, which loses the separator too. */
static struct span next_part(struct span *rest, char separator)
{
	struct span part = *rest;
	const char *end;

	if (rest->length == 0)
		return part;
	end = memchr(rest->at, separator, rest->length);
	if (!end) {
		rest->at += rest->length;
		rest->length = 0;
		return part;
	}
	part.length = (size_t)(end - rest->at);
	rest->at = end + 1;
	rest->length -= part.length + 1;
	return part;
}

static struct span find_cookie(const struct request_head *head, const char *name)
{
	const struct request_field *field;
	size_t index = 0;

	while ((field = request_head_next_field(head, "cookie", &index))) {
		struct span rest = field->value;

		while (rest.length) {
			struct span value = next_part(&rest, ';');
			bool has_value = value.length && memchr(value.at, '=', value.length);
			struct span found = next_part(&value, '=');

			if (has_value && span_equal(span_trim(found), name))
				return span_trim(value);
		}
	}
	return (struct span){NULL, 0};
}

static struct span find_header(const struct request_head *head, const char *name)
{
	const struct request_field *field;
	size_t index = 0;

	while ((field = request_head_next_field(head, name, &index)))
		if (field->value.length)
			return field->value;
	return (struct span){NULL, 0};
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Takes one decoded character off the front of *text, which is not empty. */
static char next_decoded(struct span *text)
{
	char c = *text->at;
	size_t used = 1;

	if (c == '+') {
		c = ' ';
	} else if (c == '%' && text->length >= 3) {
		int high = hex_digit(text->at[1]), low = hex_digit(text->at[2]);

		if (high >= 0 && low >= 0) {
			c = (char)(high << 4 | low);
			used = 3;
		}
	}
	text->at += used;
	text->length -= used;
	return c;
}

static bool decoded_equal(struct span text, const char *name)
{
	for (; text.length; name++)
		if (*name == '\0' || next_decoded(&text) != *name)
			return false;
	return *name == '\0';
}

/* The result is never longer than the text, and so fits the scratch. */
static struct span decode(struct span text, struct sticky_scratch *scratch)
{
	struct span value = {scratch->bytes, 0};

	while (text.length && value.length < sizeof(scratch->bytes))
		scratch->bytes[value.length++] = next_decoded(&text);
	return value;
}

static struct span find_parameter(
    const struct request_head *head, const char *name, struct sticky_scratch *scratch)
{
	struct span query = head->target;

	query = next_part(&query, '#');
	next_part(&query, '?');
	while (query.length) {
		struct span value = next_part(&query, '&');
		struct span found = next_part(&value, '=');

		if (decoded_equal(found, name))
			return decode(value, scratch);
	}
	return (struct span){NULL, 0};
}

/* The path of the origin form, or of the absolute form ("http://host/path"); nothing of the other forms. */
static struct span path_of(struct span target)
{
	struct span rest = next_part(&target, '#');
	struct span path = next_part(&rest, '?');
	const char *slash;

	if (path.length == 0 || path.at[0] == '/')
		return path;
	next_part(&path, ':');
	if (path.length < 2 || path.at[0] != '/' || path.at[1] != '/')
		return (struct span){NULL, 0};
	slash = memchr(path.at + 2, '/', path.length - 2);
	if (!slash)
		return (struct span){NULL, 0};
	return (struct span){slash, (size_t)(path.at + path.length - slash)};
}

static struct span find_segment(const struct request_head *head, unsigned number)
{
	struct span path = path_of(head->target), segment;

	next_part(&path, '/');
	for (unsigned i = 1; path.length; i++) {
		segment = next_part(&path, '/');
		if (i == number)
			return segment;
	}
	return (struct span){NULL, 0};
}

static struct span find_address(
    const struct address *client, unsigned v4_prefix, unsigned v6_prefix, struct sticky_scratch *scratch)
{
	struct span value;
	int family;

	scratch->address = *client;
	address_mask(&scratch->address, v4_prefix, v6_prefix);
	family = address_family(&scratch->address);
	if (family != AF_INET && family != AF_INET6)
		return (struct span){"unix", 4};
	value.at = address_bytes(&scratch->address, &value.length);
	return value;
}

static struct span find_value(const struct sticky_source *source, const struct request_head *head,
    const struct address *client, struct sticky_scratch *scratch)
{
	if (source->type == STICKY_IP)
		return find_address(client, source->v4_prefix, source->v6_prefix, scratch);
	if (head == NULL)
		return (struct span){NULL, 0};
	switch (source->type) {
	case STICKY_COOKIE:
		return find_cookie(head, source->name);
	case STICKY_HEADER:
		return find_header(head, source->name);
	case STICKY_QUERY:
		return find_parameter(head, source->name, scratch);
	case STICKY_PATH:
		return find_segment(head, source->segment);
	case STICKY_IP:
		break;
	}
	return (struct span){NULL, 0};
}

bool sticky_needs_head(const struct sticky_source *sources, size_t count)
{
	return count > 0 && sources[0].type != STICKY_IP;
}

void sticky_key_find(struct sticky_key *key, const struct sticky_source *sources, size_t count,
    const struct request_head *head, const struct address *client, struct sticky_scratch *scratch)
{
	struct sticky_source last = {.type = STICKY_IP, .v4_prefix = 32, .v6_prefix = 64};
	struct span value = {NULL, 0};
	size_t i;

	for (i = 0; i < count && value.length == 0; i++) {
		value = find_value(&sources[i], head, client, scratch);
		key->type = sources[i].type;
		key->source = (unsigned)i;
	}
	if (value.length == 0) {
		value = find_value(&last, NULL, client, scratch);
		key->type = STICKY_IP;
		key->source = (unsigned)count;
	}
	key->bytes = value.at;
	key->length = value.length;
}
