/* log.h: JSON lines on stderr: {"time":...,"level":...,"program":...,"message":..., fields}.
 * Programs speak; no other file of src/lib calls this. */
#ifndef WALPIPE_LOG_H
#define WALPIPE_LOG_H

#include "lib/base.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR };

/* One a program, owned by main and lent to its rooms. sink may be NULL. */
struct log {
    const char *program;
    enum log_level level; /* below it nothing is written */
    const char *sink;
    uint32_t shard;
};

/* Extra members of the JSON object. A field whose text is NULL is a number. */
struct log_field {
    const char *name;
    const char *text;
    uint64_t number;
};

bool log_level_parse(const char *name, enum log_level *level) MUST_CHECK;
const char *log_level_name(enum log_level level);

void log_write(const struct log *log, enum log_level level, const char *fmt, ...) PRINTF_LIKE(3, 4);

void log_write_fields(const struct log *log, enum log_level level, const struct log_field *fields,
                      size_t fields_count, const char *fmt, ...) PRINTF_LIKE(5, 6);

/* The environment names here the file that log_failure leaves its reason in, for walpipe: three
 * lines, "own" or "neighbour" (see struct err), message and hint. */
#define LOG_LAST_WORDS "WALPIPE_LAST_WORDS"

/* The one line a program that fails ends with: err's message, hint, lsn and relation. Returns the
 * exit code, for `return log_failure(...)` in main. */
int log_failure(const struct log *log, const struct err *err);

#endif
