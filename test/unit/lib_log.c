/* lib/log: one JSON object a line, whatever the message holds.
 * links: lib/log lib/lsn lib/err */
#include "lib/log.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"

static char line[8192];

/* What log_failure writes to stderr for this message. */
static const char *
logged(const char *message)
{
    struct log log = {.program = "prog", .level = LOG_INFO, .sink = "dst", .shard = 2};
    struct err err;
    int fds[2], saved = dup(STDERR_FILENO);
    ssize_t n;

    err_set(&err, EXIT_PEER, "%s", message);
    err.lsn = UINT64_C(0x16B374D848);
    memcpy(err.relation, "public.t", sizeof "public.t");
    err_hint(&err, "do\t\"that\"");
    if (saved < 0 || pipe(fds) != 0 || dup2(fds[1], STDERR_FILENO) < 0)
        abort();
    check(log_failure(&log, &err) == EXIT_PEER, "log_failure returns the exit code");
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(fds[1]);
    n = read(fds[0], line, sizeof line - 1);
    close(fds[0]);
    line[n < 0 ? 0 : n] = '\0';
    return line;
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
    test_levels();
    return check_done();
}
