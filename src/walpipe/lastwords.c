/* lastwords.c: see lastwords.h. */
#include "walpipe/lastwords.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

void
lastwords_forget(const char *path)
{
    if (path != NULL)
        (void)unlink(path);
}

static bool
read_line(FILE *file, char *line, int size)
{
    if (fgets(line, size, file) == NULL)
        return false;
    line[strcspn(line, "\n")] = '\0';
    return true;
}

void
lastwords_read(const char *path, struct err *words)
{
    FILE *file = path == NULL ? NULL : fopen(path, "re");
    char whose[16];

    *words = (struct err){0};
    if (file == NULL)
        return;
    /* A line that its program did not write to the end counts for nothing. */
    if (!read_line(file, whose, sizeof whose) ||
        !read_line(file, words->message, sizeof words->message) ||
        !read_line(file, words->hint, sizeof words->hint))
        *words = (struct err){0};
    else
        words->neighbour = strcmp(whose, "neighbour") == 0;
    fclose(file);
}
