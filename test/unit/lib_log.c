/* lib_log.c: one JSON object per line for any message, and text for people.
 * links: lib/log lib/lsn lib/err */
#include "lib/log.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"

static char line[8192];

/* The line that log_failure writes to fd for this message, as the other end reads it. */
static const char *
logged_to(int fd, int other_end, enum log_format format, const char *message)
{
    struct log log = {.program = "prog", .sink = "dst", .shard = 2};
    struct err err;
    int saved = dup(STDERR_FILENO);
    ssize_t n;

    err_set(&err, EXIT_PEER, "%s", message);
    err.lsn = UINT64_C(0x16B374D848);
    memcpy(err.relation, "public.t", sizeof "public.t");
    err_hint(&err, "do\t\"that\"");
    if (saved < 0 || dup2(fd, STDERR_FILENO) < 0)
        abort();
    log_begin(&log, LOG_INFO, format);
    check(log_failure(&log, &err) == EXIT_PEER, "log_failure returns the exit code");
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(fd);
    n = read(other_end, line, sizeof line - 1);
    close(other_end);
    line[n < 0 ? 0 : n] = '\0';
    return line;
}

static const char *
logged_as(enum log_format format, const char *message)
{
    int fds[2];

    if (pipe(fds) != 0)
        abort();
    return logged_to(fds[1], fds[0], format, message);
}

static const char *
logged(const char *message)
{
    return logged_as(LOG_AUTO, message);
}

static void
test_fields(void)
{
    logged("could not do it");
    check(strncmp(line, "{\"time\":\"20", 11) == 0, "begins with the time: %s", line);
    check(strstr(line, "\"level\":\"error\",\"program\":\"prog\",\"sink\":\"dst\",\"shard\":2,"
                       "\"message\":\"could not do it\"") != NULL,
          "who and what");
    check(strstr(line, "\"hint\":\"do\\u0009\\\"that\\\"\",\"relation\":\"public.t\","
                       "\"lsn\":\"16/B374D848\",\"exit_code\":111}\n") != NULL,
          "and the fields");
}

static void
test_hostile_text(void)
{
    logged("a\"b\\c\nd\x01\xff\xc3\xa9\xed\xa0\x80");
    check(strstr(line, "\"a\\\"b\\\\c\\u000ad\\u0001\\ufffd\xc3\xa9\\ufffd\\ufffd\\ufffd\"") !=
              NULL,
          "quotes, controls and bytes that are not UTF-8: %s", line);
}

static void
test_long_text(void)
{
    char message[1024];
    size_t len;

    memset(message, '\x01', sizeof message - 1); /* six bytes each in JSON */
    message[sizeof message - 1] = '\0';
    logged(message);
    len = strlen(line);
    check(len <= 4096 && len > 3000, "a line never passes PIPE_BUF: %zu bytes", len);
    check(line[len - 1] == '\n' && line[len - 2] == '}', "and still ends as one");
    check(strchr(line, '\n') == line + len - 1, "and is one line");
}

static void
test_text(void)
{
    logged_as(LOG_TEXT, "could not do \"it\"");
    check(strcmp(line + strlen("2026-11-26T05:10:11.123Z"),
                 " prog dst/2: error: could not do \"it\" (relation public.t, lsn 16/B374D848, "
                 "exit_code 111)\n    hint: do \"that\"\n") == 0,
          "text: %s", line);
    logged_as(LOG_TEXT, "a\x1b[2Jb\nc\xc2\x9b\xc3\xa9\xff");
    check(strstr(line, "a [2Jb c \xc3\xa9?") != NULL, "no control reaches a terminal: %s", line);
}

static void
test_long_text_line(void)
{
    char message[1024];

    memset(message, 'x', sizeof message - 1);
    message[sizeof message - 1] = '\0';
    logged_as(LOG_TEXT, message);
    check(strlen(line) > 1024 && line[strlen(line) - 1] == '\n', "a long text ends as a line");
}

/* A terminal's own end writes "\r\n". */
static void
test_terminal(void)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY), slave;

    if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0)
        abort();
    slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    if (slave < 0)
        abort();
    logged_to(slave, master, LOG_AUTO, "on a terminal");
    check(strstr(line, "Z prog dst/2: error: on a terminal (") != NULL, "auto: %s", line);
}

static void
test_levels(void)
{
    enum log_level level;

    check(log_level_parse("warning", &level) && level == LOG_WARNING, "warning");
    check(!log_level_parse("warn", &level) && !log_level_parse("", &level), "nothing else");
}

int
main(void)
{
    test_fields();
    test_hostile_text();
    test_long_text();
    test_text();
    test_long_text_line();
    test_terminal();
    test_levels();
    return check_done();
}
