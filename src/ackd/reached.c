/* reached.c: see reached.h. */
#include "ackd/reached.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/limits.h"
#include "lib/lsn.h"
#include "lib/statefile.h"

#define PATH_SIZE 4096

static const char *
path_of(const char *dir_path, char path[PATH_SIZE])
{
    snprintf(path, PATH_SIZE, "%s/" REACHED_NAME, dir_path);
    return path;
}

/* Returns the LSN of the line, 0 if the line is another sink's. */
static uint64_t
parse(const char *line, size_t len, uint64_t system_identifier, const char *sink)
{
    char copy[NAME_MAX_BYTES + 64], *rest, *space;
    uint64_t lsn;

    if (len >= sizeof copy)
        return 0;
    memcpy(copy, line, len);
    copy[len] = '\0';
    if (strtoull(copy, &rest, 10) != system_identifier || rest == copy || *rest != ' ')
        return 0;
    space = strchr(rest + 1, ' ');
    if (space == NULL)
        return 0;
    *space = '\0';
    return strcmp(rest + 1, sink) == 0 && lsn_parse(space + 1, &lsn) ? lsn : 0;
}

/* prefix is that of the lines to look at. */
static uint64_t
find(const char *text, const char *prefix, uint64_t system_identifier, const char *sink)
{
    size_t skip = strlen(prefix);

    while (text != NULL && *text != '\0') {
        size_t len = strcspn(text, "\n");
        uint64_t lsn = strncmp(text, prefix, skip) == 0
                           ? parse(text + skip, len - skip, system_identifier, sink)
                           : 0;

        if (lsn != 0)
            return lsn;
        text += len + (text[len] == '\n');
    }
    return 0;
}

uint64_t
reached_find(const char *text, uint64_t system_identifier, const char *sink)
{
    return find(text, "", system_identifier, sink);
}

uint64_t
reached_find_kept(const char *text, uint64_t system_identifier, const char *sink)
{
    return find(text, REACHED_KEPT, system_identifier, sink);
}

int
reached_read(const char *dir_path, char **text, struct err *err)
{
    char path[PATH_SIZE];

    return statefile_read(path_of(dir_path, path), text, err);
}

int
reached_write(const char *dir_path, const char *text, struct err *err)
{
    char path[PATH_SIZE];

    return statefile_write(path_of(dir_path, path), text, err);
}
