/* The demo worker's answers. The page is src/worker/demo.html, built in. */
#include "worker/demo_answer.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "demo_page.h" /* made from demo.html by the build: demo_page_before, demo_page_after and their lengths */
#include "worker/demo_websocket.h"

static json_t *about_json(const struct demo_about *about)
{
	return json_pack("{s:s, s:s, s:i, s:s, s:s, s:s, s:i}", "pool", about->pool, "slot", about->slot,
	    "pid", (int)about->pid, "generation", about->generation, "key", about->key, "client",
	    about->client, "connections", (int)about->connections);
}

/* '<' would end the script element that the page carries this in. */
static char *escape_for_html(const char *text)
{
	char *escaped = NULL;
	size_t size;
	FILE *out = open_memstream(&escaped, &size);
	bool failed;

	if (!out)
		return NULL;
	for (; *text; text++)
		if (*text == '<')
			fputs("\\u003c", out);
		else
			fputc(*text, out);
	failed = ferror(out);
	if (fclose(out) || failed) {
		free(escaped);
		return NULL;
	}
	return escaped;
}

static char *about_text(const struct demo_about *about)
{
	json_t *json = about_json(about);
	char *text = json ? json_dumps(json, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;

	json_decref(json);
	return text;
}

static char *answer_page(
    const struct demo_about *about, const struct demo_request *request, bool close, size_t *length)
{
	static const char headers[] =
	    "Content-Security-Policy: default-src 'none'; script-src 'unsafe-inline'; style-src "
	    "'unsafe-inline'; "
	    "connect-src 'self' ws: wss:; img-src data:; base-uri 'none'; form-action 'none'\r\n"
	    "Referrer-Policy: no-referrer\r\n";
	char *text = about_text(about);
	char *escaped = text ? escape_for_html(text) : NULL;
	char *body = NULL, *response = NULL;
	size_t size = 0;

	if (escaped) {
		size_t middle = strlen(escaped);

		size = demo_page_before_length + middle + demo_page_after_length;
		body = malloc(size);
		if (body) {
			memcpy(body, demo_page_before, demo_page_before_length);
			memcpy(body + demo_page_before_length, escaped, middle);
			memcpy(
			    body + demo_page_before_length + middle, demo_page_after, demo_page_after_length);
		}
	}
	if (body)
		response = demo_http_response(
		    request, 200, "text/html; charset=utf-8", headers, body, size, close, length);
	free(body);
	free(escaped);
	free(text);
	return response;
}

static char *answer_status(
    const struct demo_about *about, const struct demo_request *request, bool close, size_t *length)
{
	char *text = about_text(about);
	char *response = NULL;

	if (text)
		response = demo_http_response(
		    request, 200, "application/json", "", text, strlen(text), close, length);
	free(text);
	return response;
}

static char *answer_plain(const struct demo_request *request, int status, const char *headers,
    const char *text, bool close, size_t *length)
{
	return demo_http_response(
	    request, status, "text/plain; charset=utf-8", headers, text, strlen(text), close, length);
}

char *demo_answer(
    const struct demo_about *about, const struct demo_request *request, bool *close, size_t *length)
{
	size_t path = demo_http_path_length(request->target);

	if (path == 1 && request->target[0] == '/')
		return answer_page(about, request, *close, length);
	if (path == strlen("/status.json") && !strncmp(request->target, "/status.json", path))
		return answer_status(about, request, *close, length);
	if (path == strlen("/ws") && !strncmp(request->target, "/ws", path))
		return answer_plain(
		    request, 426, "Upgrade: websocket\r\n", "This is a WebSocket.\n", *close, length);
	if (path == 0 || request->target[0] != '/')
		*close = true;
	return answer_plain(
	    request, 404, "", "There are /, /status.json and the WebSocket /ws.\n", *close, length);
}

char *demo_answer_error(enum demo_http_result error, size_t *length)
{
	switch (error) {
	case DEMO_HTTP_HEAD_TOO_BIG:
		return answer_plain(NULL, 431, "", "The request's head is too big.\n", true, length);
	case DEMO_HTTP_BODY_TOO_BIG:
		return answer_plain(NULL, 413, "", "The request's body is too big.\n", true, length);
	case DEMO_HTTP_URL_TOO_LONG:
		return answer_plain(NULL, 414, "", "The request's URL is too long.\n", true, length);
	default:
		return answer_plain(NULL, 400, "", "This is not an HTTP request.\n", true, length);
	}
}

char *demo_answer_again(const struct demo_request *request, size_t *length)
{
	char headers[sizeof(request->target) + 32];

	/* http-parser lets no control character through, so the target cannot end the header line. */
	snprintf(headers, sizeof(headers), "Location: %s\r\n", request->target);
	return answer_plain(request, 307, headers, "Another visitor: another connection.\n", true, length);
}

char *demo_answer_websocket(const struct demo_request *request, bool *accepted, size_t *length)
{
	char accept[DEMO_ACCEPT_SIZE];
	char *response = NULL;
	int written;

	*accepted = false;
	if (strcmp(request->websocket_version, "13"))
		return answer_plain(request, 426, "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
		    "WebSocket version 13, please.\n", true, length);
	if (!demo_websocket_accept(request->websocket_key, accept))
		return answer_plain(
		    request, 400, "", "Sec-WebSocket-Key is not 16 bytes in base64.\n", true, length);
	written = asprintf(&response,
	    "HTTP/1.1 101 Switching Protocols\r\n"
	    "Upgrade: websocket\r\n"
	    "Connection: Upgrade\r\n"
	    "Sec-WebSocket-Accept: %s\r\n\r\n",
	    accept);
	if (written < 0)
		return NULL;
	*accepted = true;
	*length = (size_t)written;
	return response;
}

char *demo_answer_echo(
    const struct demo_about *about, const char *message, size_t length, bool text, size_t *answer_length)
{
	json_t *json = about_json(about);
	json_t *echo = text ? json_stringn(message, length) : json_null();
	char *answer = NULL;

	if (json && echo && !json_object_set(json, "echo", echo) &&
	    !json_object_set_new(json, "bytes", json_integer((json_int_t)length)))
		answer = json_dumps(json, JSON_COMPACT);
	json_decref(echo);
	json_decref(json);
	*answer_length = answer ? strlen(answer) : 0;
	return answer;
}
