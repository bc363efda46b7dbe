/* log.c: see log.h. A line is built in memory and written by one write(2), so that the lines of
 * many programs on one stderr do not mix. That holds up to PIPE_BUF, and longer messages are cut to
 * fit. Text has the hint on a second, indented line. */
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

const char *const log_format_names[] = {
    [LOG_AUTO] = "auto", [LOG_TEXT] = "text", [LOG_JSON] = "json", NULL};

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
    /* A character is written as a whole or not at all. */
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
write_line(const struct line *line)
{
    size_t done = 0;

    while (done < line->len) {
        ssize_t n = write(STDERR_FILENO, line->text + done, line->len - done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return; /* there is no other place to report it */
        done += (size_t)n;
    }
}

static void
build_json(struct line *line, const struct log *log, enum log_level level,
           const struct log_field *fields, size_t fields_count, const char *message)
{
    add_time(line);
    add_member(line, "level", level_names[level]);
    add_member(line, "program", log->program);
    if (log->sink != NULL) {
        add_member(line, "sink", log->sink);
        add_number(line, "shard", log->shard);
    }
    add_member(line, "message", message);
    for (size_t i = 0; i < fields_count; i++)
        if (fields[i].text != NULL)
            add_member(line, fields[i].name, fields[i].text);
        else
            add_number(line, fields[i].name, fields[i].number);
    /* add() kept room for these. */
    line->text[line->len++] = '}';
    line->text[line->len++] = '\n';
}

/* ---- text ---- */

/* A server's text must not control the terminal, so C0 and C1 controls become blanks. */
static void
add_plain(struct line *line, const char *text)
{
    struct bytes rest = {.data = (const uint8_t *)text, .len = strlen(text)};

    while (rest.len > 0 && line->len + 16 <= LINE_SIZE) {
        const uint8_t *s = rest.data;
        size_t n = utf8_sequence(s, rest.len);
        bool control = n != 0 && (s[0] < 0x20 || s[0] == 0x7f || (s[0] == 0xc2 && s[1] < 0xa0));

        if (n == 0)
            add(line, "?", 1);
        else if (control)
            add(line, " ", 1);
        else
            add(line, (const char *)s, n);
        n += n == 0;
        rest.data += n;
        rest.len -= n;
    }
}

static bool
is_hint(const struct log_field *field)
{
    return strcmp(field->name, "hint") == 0;
}

/* " (lsn 0/1, exit_code 100)" */
static void
add_fields(struct line *line, const struct log_field *fields, size_t count)
{
    const char *between = " (";
    char number[32];

    for (size_t i = 0; i < count; i++) {
        if (is_hint(&fields[i]))
            continue;
        add_cstr(line, between);
        add_cstr(line, fields[i].name);
        add_cstr(line, " ");
        snprintf(number, sizeof number, "%llu", (unsigned long long)fields[i].number);
        add_plain(line, fields[i].text == NULL ? number : fields[i].text);
        between = ", ";
    }
    if (between[0] == ',')
        add_cstr(line, ")");
}

static void
build_text(struct line *line, const struct log *log, enum log_level level,
           const struct log_field *fields, size_t fields_count, const char *message)
{
    char who[256];

    add_cstr(line, utctime_now().text);
    if (log->sink == NULL)
        snprintf(who, sizeof who, " %s: ", log->program);
    else
        snprintf(who, sizeof who, " %s %s/%u: ", log->program, log->sink, (unsigned)log->shard);
    add_cstr(line, who);
    if (level != LOG_INFO) {
        add_cstr(line, level_names[level]);
        add_cstr(line, ": ");
    }
    add_plain(line, message);
    add_fields(line, fields, fields_count);
    for (size_t i = 0; i < fields_count; i++)
        if (is_hint(&fields[i]) && fields[i].text != NULL) {
            add_cstr(line, "\n    hint: ");
            add_plain(line, fields[i].text);
        }
    line->text[line->len++] = '\n';
}

static bool
is_text(enum log_format format)
{
    return format == LOG_TEXT || (format == LOG_AUTO && isatty(STDERR_FILENO));
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
    if (is_text(log->format))
        build_text(&line, log, level, fields, fields_count, message);
    else
        build_json(&line, log, level, fields, fields_count, message);
    write_line(&line);
}

void
log_begin(struct log *log, enum log_level level, enum log_format format)
{
    log->level = level;
    log->format = is_text(format) ? LOG_TEXT : LOG_JSON;
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

static int
open_last_words(void)
{
    const char *path = getenv(LOG_LAST_WORDS);

    return path == NULL ? -1
                        : open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
}

/* An empty file counts as none. */
void
log_open_last_words(struct log *log)
{
    int fd = open_last_words();

    log->last_words = fd < 0 ? 0 : fd;
}

static void
leave_last_words(const struct log *log, const struct err *err)
{
    int fd = log->last_words > 0 ? log->last_words : open_last_words();

    if (fd < 0)
        return;
    put_line(fd, err->neighbour ? "neighbour" : "own");
    put_line(fd, err->message);
    put_line(fd, err->hint);
    if (fd != log->last_words)
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
    leave_last_words(log, err);
    log_write_fields(log, LOG_ERROR, fields, n, "%s", err->message);
    return (int)err->code;
}
