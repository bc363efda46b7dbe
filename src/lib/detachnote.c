/* detachnote.c: see detachnote.h. */
#include "lib/detachnote.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/lsn.h"
#include "lib/statefile.h"

#define PATH_SIZE 4096

/* A Unix time with more digits is not one. */
#define DIGITS_MAX 12

static const char *
path_of(const char *dir, const char *sink, char path[PATH_SIZE])
{
    snprintf(path, PATH_SIZE, "%s/" DETACHNOTE_PREFIX "%s", dir, sink);
    return path;
}

/* Takes the line "NAME=VALUE" at *at. Returns false if it is another one, or does not fit. */
static bool
take_line(const char **at, const char *name, char *value, size_t size)
{
    size_t len = strlen(name), end;

    if (strncmp(*at, name, len) != 0 || (*at)[len] != '=')
        return false;
    *at += len + 1;
    end = strcspn(*at, "\n");
    if (end >= size || (*at)[end] != '\n')
        return false;
    memcpy(value, *at, end);
    value[end] = '\0';
    *at += end + 1;
    return true;
}

static bool
parse(const char *text, struct detachnote *note)
{
    char since[DIGITS_MAX + 1], lsn[32];

    if (!take_line(&text, "since", since, sizeof since) ||
        !take_line(&text, "lsn", lsn, sizeof lsn) ||
        !take_line(&text, "why", note->why, sizeof note->why) || *text != '\0' ||
        strspn(since, "0123456789") != strlen(since) || !lsn_parse(lsn, &note->lsn))
        return false;
    note->since = strtoull(since, NULL, 10);
    return note->since != 0;
}

int
detachnote_read(const char *dir, const char *sink, struct detachnote *note, struct err *err)
{
    char path[PATH_SIZE], *text = NULL;
    int rc = statefile_read(path_of(dir, sink, path), &text, err);

    *note = (struct detachnote){0};
    if (rc == 0 && text != NULL && !parse(text, note)) {
        rc = err_set(err, EXIT_REFUSED, "\"%.600s\" does not have the form of a detached sink",
                     path);
        *note = (struct detachnote){0};
    }
    free(text);
    return rc;
}

int
detachnote_write(const char *dir, const char *sink, const struct detachnote *note, struct err *err)
{
    char path[PATH_SIZE], text[256];

    snprintf(text, sizeof text, "since=%" PRIu64 "\nlsn=%s\nwhy=%s\n", note->since,
             lsn_format(note->lsn).text, note->why);
    return statefile_write(path_of(dir, sink, path), text, err);
}

int
detachnote_remove(const char *dir, const char *sink, struct err *err)
{
    char path[PATH_SIZE];

    return statefile_remove(path_of(dir, sink, path), err);
}
