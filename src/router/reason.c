#include "router/reason.h"

#include <string.h>

const struct close_reason_description close_reasons[CLOSE_REASON_COUNT] = {
#define REASON_DESCRIPTION(name, counter, status) [CLOSE_##name] = {#counter, COUNTER_##counter, status},
    CLOSE_REASONS(REASON_DESCRIPTION)
#undef REASON_DESCRIPTION
};

/* Content-Length is written out because every body is the status line and a newline. */
#define STATUS_TEXT(code, phrase, length, more)                                                                \
	"HTTP/1.1 " code " " phrase "\r\nServer: limpet\r\nConnection: close\r\n" more                         \
	"Content-Type: text/plain\r\nContent-Length: " length "\r\n\r\n" code " " phrase "\n"

static const struct {
	unsigned status;
	const char *text;
} answers[] = {
    {400, STATUS_TEXT("400", "Bad Request", "16", "")},
    {408, STATUS_TEXT("408", "Request Timeout", "20", "")},
    {429, STATUS_TEXT("429", "Too Many Requests", "22", "Retry-After: 1\r\n")},
    {431, STATUS_TEXT("431", "Request Header Fields Too Large", "36", "")},
    {503, STATUS_TEXT("503", "Service Unavailable", "24", "Retry-After: 2\r\n")},
};

const char *answer_text(unsigned status, size_t *length)
{
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		if (answers[i].status == status) {
			*length = strlen(answers[i].text);
			return answers[i].text;
		}
	}
	*length = 0;
	return "";
}
