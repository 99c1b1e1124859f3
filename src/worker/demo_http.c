/* Requests for the demo worker, read with http-parser in its strict mode, and responses. */
#include "worker/demo_http.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static void append(char *text, size_t size, const char *bytes, size_t length)
{
	size_t have = strlen(text);
	size_t room = size - 1 - have;
	size_t take = length < room ? length : room;

	memcpy(text + have, bytes, take);
	text[have + take] = '\0';
}

static int on_message_begin(http_parser *parser)
{
	struct demo_http *http = parser->data;

	http->request = (struct demo_request){0};
	http->value = NULL;
	http->field[0] = '\0';
	http->field_length = 0;
	http->in_value = false;
	http->websocket_upgrade = false;
	http->body = 0;
	return 0;
}

static int on_url(http_parser *parser, const char *bytes, size_t length)
{
	struct demo_http *http = parser->data;

	if (strlen(http->request.target) + length >= sizeof(http->request.target)) {
		http->refusal = DEMO_HTTP_URL_TOO_LONG;
		return -1;
	}
	append(http->request.target, sizeof(http->request.target), bytes, length);
	return 0;
}

static int on_header_field(http_parser *parser, const char *bytes, size_t length)
{
	struct demo_http *http = parser->data;

	if (http->in_value) {
		http->in_value = false;
		http->field[0] = '\0';
		http->field_length = 0;
	}
	append(http->field, sizeof(http->field), bytes, length);
	http->field_length += length;
	return 0;
}

/* Names longer than the buffer are never ours, even if their beginning is. */
static bool field_is(const struct demo_http *http, const char *name)
{
	return http->field_length == strlen(name) && !strcasecmp(http->field, name);
}

static void choose_value(struct demo_http *http)
{
	struct demo_request *request = &http->request;

	http->value = NULL;
	http->value_size = 0;
	if (field_is(http, "Cookie") && !request->cookie[0]) {
		http->value = request->cookie;
		http->value_size = sizeof(request->cookie);
	} else if (field_is(http, "Sec-WebSocket-Key") && !request->websocket_key[0]) {
		http->value = request->websocket_key;
		http->value_size = sizeof(request->websocket_key);
	} else if (field_is(http, "Sec-WebSocket-Version") && !request->websocket_version[0]) {
		http->value = request->websocket_version;
		http->value_size = sizeof(request->websocket_version);
	} else if (field_is(http, "Upgrade")) {
		http->websocket_upgrade = true;
	}
}

static int on_header_value(http_parser *parser, const char *bytes, size_t length)
{
	struct demo_http *http = parser->data;

	if (!http->in_value) {
		http->in_value = true;
		choose_value(http);
	}
	if (http->value)
		append(http->value, http->value_size, bytes, length);
	return 0;
}

static int on_headers_complete(http_parser *parser)
{
	struct demo_http *http = parser->data;
	struct demo_request *request = &http->request;

	request->head_only = parser->method == HTTP_HEAD;
	request->get = parser->method == HTTP_GET || parser->method == HTTP_HEAD;
	if (parser->content_length != UINT64_MAX && parser->content_length > DEMO_BODY_MAX) {
		http->refusal = DEMO_HTTP_BODY_TOO_BIG;
		return -1;
	}
	return 0;
}

static int on_body(http_parser *parser, const char *bytes, size_t length)
{
	struct demo_http *http = parser->data;

	(void)bytes;
	http->body += length;
	if (http->body > DEMO_BODY_MAX) {
		http->refusal = DEMO_HTTP_BODY_TOO_BIG;
		return -1;
	}
	return 0;
}

static int on_message_complete(http_parser *parser)
{
	struct demo_http *http = parser->data;

	http->request.keep_alive = http_should_keep_alive(parser);
	http->request.websocket = parser->upgrade && http->websocket_upgrade && parser->method == HTTP_GET;
	/* One request at a time: the next one is not looked at before this one is answered. */
	http_parser_pause(parser, 1);
	return 0;
}

static const http_parser_settings settings = {
    .on_message_begin = on_message_begin,
    .on_url = on_url,
    .on_header_field = on_header_field,
    .on_header_value = on_header_value,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

void demo_http_init(struct demo_http *http)
{
	*http = (struct demo_http){.refusal = DEMO_HTTP_NEED_MORE};
	http_parser_set_max_header_size(DEMO_HEAD_MAX);
	http_parser_init(&http->parser, HTTP_REQUEST);
	http->parser.data = http;
}

enum demo_http_result demo_http_read(
    struct demo_http *http, const char *bytes, size_t length, size_t *consumed)
{
	if (HTTP_PARSER_ERRNO(&http->parser) == HPE_PAUSED)
		http_parser_pause(&http->parser, 0);
	*consumed = http_parser_execute(&http->parser, &settings, bytes, length);
	switch (HTTP_PARSER_ERRNO(&http->parser)) {
	case HPE_OK:
		return DEMO_HTTP_NEED_MORE;
	case HPE_PAUSED:
		return DEMO_HTTP_REQUEST;
	case HPE_HEADER_OVERFLOW:
		return DEMO_HTTP_HEAD_TOO_BIG;
	default:
		return http->refusal != DEMO_HTTP_NEED_MORE ? http->refusal : DEMO_HTTP_INVALID;
	}
}

bool demo_http_find(const char *list, char separator, const char *name, char *value, size_t size)
{
	size_t name_length = strlen(name);

	value[0] = '\0';
	while (*list) {
		const char *end = strchrnul(list, separator);

		list += strspn(list, " \t");
		if (list < end && !strncmp(list, name, name_length) && list[name_length] == '=') {
			const char *start = list + name_length + 1;

			append(value, size, start, (size_t)(end - start));
			return true;
		}
		list = *end ? end + 1 : end;
	}
	return false;
}

size_t demo_http_path_length(const char *target)
{
	return strcspn(target, "?#");
}

const char *demo_http_query(const char *target)
{
	const char *mark = strchr(target, '?');

	return mark ? mark + 1 : "";
}

char *demo_http_response(const struct demo_request *request, int status, const char *type,
    const char *headers, const char *body, size_t body_length, bool close, size_t *length)
{
	size_t sent_body = request && request->head_only ? 0 : body_length;
	char *response = NULL;
	int head;

	head = asprintf(&response,
	    "HTTP/1.1 %d %s\r\n"
	    "Server: limpet-demo\r\n"
	    "Cache-Control: no-store\r\n"
	    "X-Content-Type-Options: nosniff\r\n"
	    "Content-Type: %s\r\n"
	    "Content-Length: %zu\r\n"
	    "%s"
	    "Connection: %s\r\n\r\n",
	    status, http_status_str((enum http_status)status), type, body_length, headers,
	    close ? "close" : "keep-alive");
	if (head < 0)
		return NULL;
	if (sent_body) {
		char *whole = realloc(response, (size_t)head + sent_body);

		if (!whole) {
			free(response);
			return NULL;
		}
		response = whole;
		memcpy(response + head, body, sent_body);
	}
	*length = (size_t)head + sent_body;
	return response;
}
