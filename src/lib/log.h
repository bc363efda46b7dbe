/* log.h: lines on stderr. Programs get {"time":...,"level":...,"program":...,"message":...,
 * fields}, people on a terminal get the same as plain text. No other file of src/lib calls this. */
#ifndef WALPIPE_LOG_H
#define WALPIPE_LOG_H

#include "lib/base.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR };

/* LOG_AUTO is text if stderr is a terminal, otherwise JSON. */
enum log_format { LOG_AUTO, LOG_TEXT, LOG_JSON };

/* The formats' names, in this order, with NULL at the end. */
extern const char *const log_format_names[];

/* A program has one. main owns it and lends it to the other files. sink may be NULL. */
struct log {
    const char *program;
    enum log_level level; /* below it nothing is written */
    enum log_format format;
    int last_words; /* see log_open_last_words(), 0 if not open */
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

/* Call it after the options are read. Sets level and format, and checks whether stderr is a
 * terminal, because a sandbox forbids that later. */
void log_begin(struct log *log, enum log_level level, enum log_format format);

void log_write(const struct log *log, enum log_level level, const char *fmt, ...) PRINTF_LIKE(3, 4);

void log_write_fields(const struct log *log, enum log_level level, const struct log_field *fields,
                      size_t fields_count, const char *fmt, ...) PRINTF_LIKE(5, 6);

/* The environment variable with the name of the file to which log_failure writes its reason, for
 * walpipe. The file has three lines, "own" or "neighbour" (see struct err), message and hint. */
#define LOG_LAST_WORDS "WALPIPE_LAST_WORDS"

/* Opens that file before it is needed, for a program that goes into a sandbox. */
void log_open_last_words(struct log *log);

/* Writes the last line of a program that fails, with err's message, hint, lsn and relation. Returns
 * the exit code, for `return log_failure(...)` in main. */
int log_failure(const struct log *log, const struct err *err);

#endif
