/* log.c: see log.h. A line is built in memory and written by one write(2), so that the lines of
 * many programs on one stderr do not mix (up to PIPE_BUF; longer messages are cut to fit). */
#include "lib/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/jsontext.h"
#include "lib/lsn.h"
#include "lib/utctime.h"

#define LINE_SIZE 4096 /* PIPE_BUF */

static const char *const level_names[] = {"debug", "info", "warning", "error"};

struct line {
    size_t len;
    char text[LINE_SIZE];
};

bool
log_level_parse(const char *name, enum log_level *level)
{
    for (size_t i = 0; i < sizeof level_names / sizeof *level_names; i++)
        if (strcmp(name, level_names[i]) == 0) {
            *level = (enum log_level)i;
            return true;
        }
    return false;
}

const char *
log_level_name(enum log_level level)
{
    return level_names[level];
}

/* Room is always kept for the closing `"}` and newline. */
static void
add(struct line *line, const char *s, size_t n)
{
    size_t room = LINE_SIZE - 4 - line->len;

    if (n > room)
        n = room;
    memcpy(line->text + line->len, s, n);
    line->len += n;
}

static void
add_cstr(struct line *line, const char *s)
{
    add(line, s, strlen(s));
}

static void
add_json_string(struct line *line, const char *text)
{
    struct bytes rest = {.data = (const uint8_t *)text, .len = strlen(text)};
    char piece[JSONTEXT_MAX] = "";

    add(line, "\"", 1);
    /* A character stands there as a whole or not at all. */
    while (rest.len > 0 && line->len + 16 <= LINE_SIZE)
        add(line, piece, jsontext_take(&rest, piece));
    add(line, "\"", 1);
}

static void
add_member(struct line *line, const char *name, const char *value)
{
    add(line, ",\"", 2);
    add_cstr(line, name);
    add(line, "\":", 2);
    add_json_string(line, value);
}

static void
add_number(struct line *line, const char *name, uint64_t number)
{
    char text[64];

    snprintf(text, sizeof text, ",\"%s\":%llu", name, (unsigned long long)number);
    add_cstr(line, text);
}

static void
add_time(struct line *line)
{
    add_cstr(line, "{\"time\":\"");
    add_cstr(line, utctime_now().text);
    add_cstr(line, "\"");
}

static void
write_line(struct line *line)
{
    size_t done = 0;

    /* add() kept room for these. */
    line->text[line->len++] = '}';
    line->text[line->len++] = '\n';
    while (done < line->len) {
        ssize_t n = write(STDERR_FILENO, line->text + done, line->len - done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return; /* there is nobody left to tell */
        done += (size_t)n;
    }
}

static void
emit(const struct log *log, enum log_level level, const struct log_field *fields,
     size_t fields_count, const char *fmt, va_list ap)
{
    struct line line = {0};
    char message[LINE_SIZE / 2];

    if (level < log->level)
        return;
    vsnprintf(message, sizeof message, fmt, ap);
    add_time(&line);
    add_member(&line, "level", level_names[level]);
    add_member(&line, "program", log->program);
    if (log->sink != NULL) {
        add_member(&line, "sink", log->sink);
        add_number(&line, "shard", log->shard);
    }
    add_member(&line, "message", message);
    for (size_t i = 0; i < fields_count; i++)
        if (fields[i].text != NULL)
            add_member(&line, fields[i].name, fields[i].text);
        else
            add_number(&line, fields[i].name, fields[i].number);
    write_line(&line);
}

void
log_write(const struct log *log, enum log_level level, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    emit(log, level, NULL, 0, fmt, ap);
    va_end(ap);
}

void
log_write_fields(const struct log *log, enum log_level level, const struct log_field *fields,
                 size_t fields_count, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    emit(log, level, fields, fields_count, fmt, ap);
    va_end(ap);
}

static void
put_line(int fd, const char *text)
{
    char line[LINE_SIZE];
    int len = snprintf(line, sizeof line, "%s\n", text);

    for (int i = 0; i + 1 < len; i++)
        if (line[i] == '\n')
            line[i] = ' ';
    if (write(fd, line, (size_t)len) < 0)
        return; /* walpipe does without */
}

static void
leave_last_words(const struct err *err)
{
    const char *path = getenv(LOG_LAST_WORDS);
    int fd =
        path == NULL ? -1 : open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        return;
    put_line(fd, err->neighbour ? "neighbour" : "own");
    put_line(fd, err->message);
    put_line(fd, err->hint);
    close(fd);
}

int
log_failure(const struct log *log, const struct err *err)
{
    struct log_field fields[4];
    size_t n = 0;
    struct lsn_text lsn = lsn_format(err->lsn);

    if (err->hint[0] != '\0')
        fields[n++] = (struct log_field){.name = "hint", .text = err->hint};
    if (err->relation[0] != '\0')
        fields[n++] = (struct log_field){.name = "relation", .text = err->relation};
    if (err->lsn != 0)
        fields[n++] = (struct log_field){.name = "lsn", .text = lsn.text};
    fields[n++] = (struct log_field){.name = "exit_code", .number = (uint64_t)err->code};
    leave_last_words(err);
    log_write_fields(log, LOG_ERROR, fields, n, "%s", err->message);
    return (int)err->code;
}
