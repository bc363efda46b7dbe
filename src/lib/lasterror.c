/* lasterror.c: see lasterror.h. */
#include "lib/lasterror.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/limits.h"
#include "lib/utctime.h"

#define NAME "last_error"

static void
put_line(FILE *file, const char *text)
{
    for (; *text != '\0'; text++)
        fputc(*text == '\n' || *text == '\r' ? ' ' : *text, file);
    fputc('\n', file);
}

static bool
write_lines(int fd, const char *program, const struct err *err)
{
    FILE *file = fdopen(fd, "w");
    char code[16];

    if (file == NULL) {
        close(fd);
        return false;
    }
    snprintf(code, sizeof code, "%d", (int)err->code);
    put_line(file, utctime_now().text);
    put_line(file, program);
    put_line(file, code);
    put_line(file, err->message);
    put_line(file, err->hint);
    return fclose(file) == 0;
}

/* walpipe and ackd may write at the same time, so each has a temporary file of its own. */
void
lasterror_write(const char *path, const char *program, const struct err *err)
{
    char place[SOCKET_PATH_MAX + 32], made[sizeof place + 16];
    int fd;

    snprintf(place, sizeof place, "%s/" NAME, path);
    snprintf(made, sizeof made, "%s.%d", place, (int)getpid());
    fd = open(made, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return;
    if (!write_lines(fd, program, err) || rename(made, place) != 0)
        (void)unlink(made);
}

static bool
read_line(FILE *file, char *line, int size)
{
    if (fgets(line, size, file) == NULL || strchr(line, '\n') == NULL)
        return false;
    line[strcspn(line, "\n")] = '\0';
    return true;
}

bool
lasterror_read(const char *path, struct lasterror *out)
{
    char place[SOCKET_PATH_MAX + 32];
    char code[16] = "";
    FILE *file;
    bool whole;

    *out = (struct lasterror){0};
    snprintf(place, sizeof place, "%s/" NAME, path);
    file = fopen(place, "re");
    if (file == NULL)
        return false;
    whole = read_line(file, out->time, sizeof out->time) &&
            read_line(file, out->program, sizeof out->program) &&
            read_line(file, code, sizeof code) &&
            read_line(file, out->message, sizeof out->message) &&
            read_line(file, out->hint, sizeof out->hint);
    fclose(file);
    out->exit_code = strtoull(code, NULL, 10);
    return whole;
}
