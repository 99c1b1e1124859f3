#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 4096

static struct {
	const char *who;
	enum log_level level;
	enum log_format format;
	int fd;
	char *path;
} current = {.who = "limpet", .level = LOG_LEVEL_INFO, .fd = STDERR_FILENO};

static const char *const level_names[] = {"error", "warning", "info", "debug"};

void log_configure(const char *who, enum log_level level, enum log_format format)
{
	current.who = who;
	current.level = level;
	current.format = format;
}

static int open_path(const char *path)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);

	return fd < 0 ? -errno : fd;
}

int log_open(const char *path)
{
	char *copy = NULL;
	int fd = STDERR_FILENO;

	if (path) {
		copy = strdup(path);
		if (!copy)
			return -ENOMEM;
		fd = open_path(path);
		if (fd < 0) {
			free(copy);
			return fd;
		}
	}
	if (current.fd != STDERR_FILENO)
		close(current.fd);
	free(current.path);
	current.fd = fd;
	current.path = copy;
	return 0;
}

int log_reopen(void)
{
	int fd;

	if (!current.path)
		return 0;
	fd = open_path(current.path);
	if (fd < 0)
		return fd;
	close(current.fd);
	current.fd = fd;
	return 0;
}

void log_adopt(int fd)
{
	if (current.fd != STDERR_FILENO)
		close(current.fd);
	current.fd = fd;
}

void log_adopt_inherited(int fd)
{
	current.fd = fd;
}

int log_fd(void)
{
	return current.fd;
}

bool log_enabled(enum log_level level)
{
	return level <= current.level;
}

/* The length of the UTF-8 character that text begins with (RFC 3629), 0 if it is none. */
static size_t utf8_length(const char *text)
{
	const unsigned char *c = (const unsigned char *)text;
	size_t length = c[0] < 0x80 ? 1 : c[0] < 0xc2 ? 0 : c[0] < 0xe0 ? 2 : c[0] < 0xf0 ? 3 : c[0] < 0xf5 ? 4 : 0;

	for (size_t i = 1; i < length; i++)
		if ((c[i] & 0xc0) != 0x80)
			return 0;
	/* Longer than needed, surrogates, beyond U+10FFFF. */
	if ((c[0] == 0xe0 && c[1] < 0xa0) || (c[0] == 0xed && c[1] > 0x9f) || (c[0] == 0xf0 && c[1] < 0x90) ||
	    (c[0] == 0xf4 && c[1] > 0x8f))
		return 0;
	return length;
}

/* Lines may hold bytes that a client or worker chose: control characters never reach a terminal as such, and JSON is UTF-8. */
static size_t append_escaped(char *line, size_t at, size_t size, const char *text, bool json)
{
	for (; *text && at + 8 < size; text++) {
		unsigned char c = (unsigned char)*text;
		size_t bytes = json ? utf8_length(text) : 1;

		if (c < 0x20 || c == 0x7f)
			at += (size_t)snprintf(line + at, size - at, json ? "\\u%04x" : "\\x%02x", c);
		else if (json && (c == '"' || c == '\\'))
			at += (size_t)snprintf(line + at, size - at, "\\%c", c);
		else if (bytes == 0)
			at += (size_t)snprintf(line + at, size - at, "\\ufffd");
		else {
			memcpy(line + at, text, bytes);
			at += bytes;
			text += bytes - 1;
		}
	}
	return at;
}

void log_write(enum log_level level, const char *format, ...)
{
	char message[LINE_MAX_BYTES - 512], line[LINE_MAX_BYTES], stamp[32];
	struct timespec now;
	struct tm tm;
	va_list arguments;
	size_t at = 0;
	int saved = errno;

	if (!log_enabled(level))
		return;
	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm);
	if (current.format == LOG_FORMAT_JSON) {
		at = (size_t)snprintf(line, sizeof(line),
		    "{\"time\":\"%s.%03ldZ\",\"level\":\"%s\",\"process\":\"%s\",\"pid\":%ld,\"message\":\"", stamp,
		    now.tv_nsec / 1000000, level_names[level], current.who, (long)getpid());
		at = append_escaped(line, at, sizeof(line) - 4, message, true);
		at += (size_t)snprintf(line + at, sizeof(line) - at, "\"}\n");
	} else {
		/* A terminal or a journal stamps lines itself; a file does not. */
		if (current.fd != STDERR_FILENO)
			at = (size_t)snprintf(line, sizeof(line), "%s.%03ldZ ", stamp, now.tv_nsec / 1000000);
		at += (size_t)snprintf(line + at, sizeof(line) - at, "%s: %s%s", current.who,
		    level <= LOG_LEVEL_WARNING ? level_names[level] : "", level <= LOG_LEVEL_WARNING ? ": " : "");
		at = append_escaped(line, at, sizeof(line) - 1, message, false);
		line[at++] = '\n';
	}
	/* A log that cannot be written must not stop the service; there is nowhere left to say so. */
	if (write(current.fd, line, at) < 0)
		errno = 0;
	errno = saved;
}
