/* loginnote.c: see loginnote.h. */
#include "lib/loginnote.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

void
loginnote_worked(struct loginnote *note)
{
    int fd;

    if (note->worked)
        return;
    note->worked = true;
    if (note->path == NULL)
        return;
    fd = open(note->path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0)
        close(fd);
}

static bool
has_worked(const struct loginnote *note)
{
    return note->worked || (note->path != NULL && access(note->path, F_OK) == 0);
}

bool
loginnote_forgives(const struct loginnote *note, struct err *err)
{
    char remedy[sizeof err->hint];

    if (err->code != EXIT_REFUSED || !has_worked(note))
        return false;
    err->code = EXIT_PEER;
    snprintf(remedy, sizeof remedy, "%s", err->hint);
    err_hint(err,
             "this login worked before: correct it on the server, or correct password_file, which "
             "each attempt reads again, or correct the config and restart walpipe%s%s",
             remedy[0] == '\0' ? "" : ": ", remedy);
    return true;
}
