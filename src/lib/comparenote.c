/* comparenote.c: see comparenote.h. */
#include "lib/comparenote.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/lsn.h"
#include "lib/statefile.h"

#define PATH_SIZE 4096

static void
make_path(char path[PATH_SIZE], const char *directory, const char *sink)
{
    snprintf(path, PATH_SIZE, "%s/" COMPARENOTE_PREFIX "%s", directory, sink);
}

int
comparenote_write(const char *directory, const char *sink, const struct comparenote *note,
                  struct err *err)
{
    char path[PATH_SIZE], text[160];

    make_path(path, directory, sink);
    snprintf(text, sizeof text, "%" PRIu64 " %s %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
             note->time, lsn_format(note->lsn).text, note->tables, note->rows, note->differences,
             note->not_compared);
    return statefile_write(path, text, err);
}

bool
comparenote_read(const char *directory, const char *sink, struct comparenote *note)
{
    char path[PATH_SIZE], lsn[24], *text = NULL;
    struct err ignored;
    int fields = 0;

    make_path(path, directory, sink);
    if (statefile_read(path, &text, &ignored) == 0 && text != NULL)
        fields = sscanf(text, "%" SCNu64 " %23s %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64,
                        &note->time, lsn, &note->tables, &note->rows, &note->differences,
                        &note->not_compared);
    free(text);
    return fields == 6 && lsn_parse(lsn, &note->lsn);
}
