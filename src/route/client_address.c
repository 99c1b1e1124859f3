/* Walks the chain of proxies back to the client.
 *
 * Lists are read from their right end: what a trusted proxy appended there cannot be changed by what a client
 * wrote to the left of it, an opened and never closed quote for instance.
 */
#include "route/client_address.h"

#include <stdint.h>
#include <string.h>

static bool is_trusted(
    const struct address *address, const struct address_prefix *trusted, size_t trusted_count)
{
	for (size_t i = 0; i < trusted_count; i++)
		if (address_prefix_contains(&trusted[i], address))
			return true;
	return false;
}

/* Is the quote at this index preceded by an odd number of backslashes? */
static bool is_escaped(struct span text, size_t index)
{
	size_t first = index;

	while (first > 0 && text.at[first - 1] == '\\')
		first--;
	return (index - first) % 2 == 1;
}

/* Takes the text behind the last comma off the end of *rest, the comma too. quoting: commas between quotes do
 * not count. */
static struct span last_entry(struct span *rest, bool quoting)
{
	struct span entry;
	bool quoted = false;
	size_t i = rest->length;

	for (; i > 0; i--) {
		char c = rest->at[i - 1];

		if (quoting && c == '"' && !is_escaped(*rest, i - 1))
			quoted = !quoted;
		if (c == ',' && !quoted)
			break;
	}
	entry.at = rest->at + i;
	entry.length = rest->length - i;
	rest->length = i > 0 ? i - 1 : 0;
	return span_trim(entry);
}

static bool parse_port(struct span text, uint16_t *port)
{
	unsigned value = 0;

	if (text.length == 0 || text.length > 5)
		return false;
	for (size_t i = 0; i < text.length; i++) {
		if (text.at[i] < '0' || text.at[i] > '9')
			return false;
		value = value * 10 + (unsigned)(text.at[i] - '0');
	}
	*port = (uint16_t)value;
	return value <= 65535;
}

/* "192.0.2.1", "192.0.2.1:80", "2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:80"; RFC 7239 also has
 * ":_obfuscated" ports, which are no port. */
static bool parse_node(struct address *address, struct span text)
{
	const char *colon, *bracket;
	struct span ip = text, port_text = {NULL, 0};
	uint16_t port = 0;

	if (text.length == 0)
		return false;
	if (text.at[0] == '[') {
		bracket = memchr(text.at, ']', text.length);
		if (!bracket)
			return false;
		ip = (struct span){text.at + 1, (size_t)(bracket - text.at) - 1};
		port_text = (struct span){bracket + 1, text.length - ip.length - 2};
		if (port_text.length && port_text.at[0] != ':')
			return false;
	} else {
		colon = memchr(text.at, ':', text.length);
		if (colon && !memchr(colon + 1, ':', text.length - (size_t)(colon - text.at) - 1)) {
			ip.length = (size_t)(colon - text.at);
			port_text = (struct span){colon, text.length - ip.length};
		}
	}
	if (address_parse_ip(address, ip.at, ip.length) < 0)
		return false;
	if (text.at[0] == '[' && address_family(address) != AF_INET6)
		return false;
	if (port_text.length > 1 && port_text.at[1] == '_')
		port_text.length = 0;
	if (port_text.length) {
		port_text.at++;
		port_text.length--;
		if (!parse_port(port_text, &port))
			return false;
	}
	address_set_port(address, port);
	address_unmap(address);
	return true;
}

/* The quote that closes the string that begins at text.at[0]; NULL: none does. */
static const char *closing_quote(struct span text)
{
	for (size_t i = 1; i < text.length; i++) {
		if (text.at[i] == '"')
			return text.at + i;
		if (text.at[i] == '\\')
			i++;
	}
	return NULL;
}

/* Takes one value off the front of *rest: a quoted string (without its quotes, its escapes as they are, which
 * no address has), or what stands before the next ';'. */
static bool next_value(struct span *rest, struct span *value)
{
	const char *end;

	if (rest->length && rest->at[0] == '"') {
		end = closing_quote(*rest);
		if (!end)
			return false;
		*value = (struct span){rest->at + 1, (size_t)(end - rest->at) - 1};
		rest->length -= value->length + 2;
		rest->at = end + 1;
		*rest = span_trim(*rest);
		return rest->length == 0 || rest->at[0] == ';';
	}
	end = rest->length ? memchr(rest->at, ';', rest->length) : NULL;
	*value = *rest;
	if (end)
		value->length = (size_t)(end - rest->at);
	rest->at += value->length;
	rest->length -= value->length;
	*value = span_trim(*value);
	return value->length && !memchr(value->at, '"', value->length);
}

/* Finds the value of for= in one forwarded-element: pairs "name=value", a ';' between them. */
static bool find_for(struct span element, struct span *node)
{
	bool found = false;

	for (;;) {
		const char *equals;
		struct span name, value;

		while (element.length && element.at[0] == ';') {
			element.at++;
			element.length--;
			element = span_trim(element);
		}
		if (element.length == 0)
			return found;
		equals = memchr(element.at, '=', element.length);
		if (!equals)
			return false;
		name = span_trim((struct span){element.at, (size_t)(equals - element.at)});
		element.length -= (size_t)(equals + 1 - element.at);
		element.at = equals + 1;
		element = span_trim(element);
		if (name.length == 0 || memchr(name.at, ';', name.length) ||
		    memchr(name.at, '"', name.length))
			return false;
		if (!next_value(&element, &value))
			return false;
		if (span_equal_nocase(name, "for")) {
			if (found)
				return false;
			found = true;
			*node = value;
		}
	}
}

/* Walks all fields of one name. Returns whether there was any entry. */
static bool walk(struct address *client, const struct request_head *head, const char *name, bool forwarded,
    const struct address_prefix *trusted, size_t trusted_count)
{
	unsigned entries = 0;

	for (size_t i = head->fields_count; i > 0; i--) {
		struct span rest = head->fields[i - 1].value;

		if (!span_equal_nocase(head->fields[i - 1].name, name))
			continue;
		while (rest.length) {
			struct span node = last_entry(&rest, forwarded);
			struct address address;

			if (entries == CLIENT_ADDRESS_ENTRIES_MAX)
				return true;
			if (node.length == 0)
				continue;
			entries++;
			if (forwarded && !find_for(node, &node))
				return true;
			if (!parse_node(&address, node))
				return true;
			*client = address;
			if (!is_trusted(client, trusted, trusted_count))
				return true;
		}
	}
	return entries > 0;
}

void client_address_find(struct address *client, const struct address *peer, const struct proxy_header *proxy,
    const struct request_head *head, const struct address_prefix *trusted, size_t trusted_count)
{
	*client = proxy && !proxy->local ? proxy->source : *peer;
	address_unmap(client);
	if (!head || !is_trusted(client, trusted, trusted_count))
		return;
	if (!walk(client, head, "x-forwarded-for", false, trusted, trusted_count))
		walk(client, head, "forwarded", true, trusted, trusted_count);
}
