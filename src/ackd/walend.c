/* walend.c: see walend.h. */
#include "ackd/walend.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/lsn.h"

#define NAME           "wal_end"
#define TEMPORARY_NAME "wal_end.tmp"

/* A 64-bit number, an LSN, a space, a newline and a NUL. */
#define LINE_SIZE 64

struct walend
walend_read(int dir)
{
    const struct walend unknown = {0};
    struct walend end;
    char line[LINE_SIZE] = "", *rest;
    int fd = openat(dir, NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t n;

    if (fd < 0)
        return unknown;
    n = read(fd, line, sizeof line - 1);
    close(fd);
    if (n <= 0 || line[n - 1] != '\n')
        return unknown;
    line[n - 1] = '\0';
    end.system_identifier = strtoull(line, &rest, 10);
    if (rest == line || *rest != ' ' || !lsn_parse(rest + 1, &end.lsn))
        return unknown;
    return end;
}

void
walend_write(int dir, const struct walend *end)
{
    char line[LINE_SIZE];
    int len = snprintf(line, sizeof line, "%" PRIu64 " %s\n", end->system_identifier,
                       lsn_format(end->lsn).text);
    int fd =
        openat(dir, TEMPORARY_NAME, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool ok;

    if (fd < 0)
        return;
    ok = write(fd, line, (size_t)len) == len;
    close(fd);
    if (!ok || renameat(dir, TEMPORARY_NAME, dir, NAME) != 0)
        unlinkat(dir, TEMPORARY_NAME, 0);
}
