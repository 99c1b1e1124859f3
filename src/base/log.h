/* The log: lines on stderr or in a file, as text or JSON. One process-wide log; every process of limpet writes its own
 * lines with single write() calls, so lines of several processes never mix.
 *
 * Levels: error (limpet cannot do its work), warning (degraded, or needs an administrator), info (life of workers,
 * reloads), debug (single clients and messages). A single bad client is never logged above debug: it is counted.
 */
#ifndef LIMPET_BASE_LOG_H
#define LIMPET_BASE_LOG_H

#include <stdbool.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

/* who: the process's name in each line ("limpet", "router"); borrowed, must stay. */
void log_configure(const char *who, enum log_level level, enum log_format format);

/* Writes to this file from now on, opened for appending and created 0640; NULL: stderr.
 * Returns 0, or a negative errno (the log then stays as it was). The path is copied. */
int log_open(const char *path);

/* Opens the same path again (after a rotation). 0 or a negative errno; on failure the old file stays. */
int log_reopen(void);

/* Writes to this fd from now on (consumed). */
void log_adopt(int fd);

/* After a fork, when the fds were arranged anew: the log is this one now; the former number is not closed. */
void log_adopt_inherited(int fd);

/* The fd that lines go to, for a process that cannot open the file itself; borrowed. */
int log_fd(void);

bool log_enabled(enum log_level level);

void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)                                                                                       \
	do {                                                                                                     \
		if (log_enabled(LOG_LEVEL_DEBUG))                                                                    \
			log_write(LOG_LEVEL_DEBUG, __VA_ARGS__);                                                         \
	} while (0)

#endif
