/* slotnote.c: see slotnote.h. */
#include "lib/slotnote.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/statefile.h"

static const char *const states[] = {
    [SLOTNOTE_NONE] = "", [SLOTNOTE_MAKING] = "making", [SLOTNOTE_MADE] = "made"};

static bool
parse(const char *text, struct slotnote *found)
{
    char state[8];
    int end = 0;

    if (sscanf(text, "1 %63s %" SCNu64 " %7s %32s%n", found->slot, &found->system_identifier, state,
               found->digest, &end) != 4 ||
        strcmp(text + end, "\n") != 0)
        return false;
    found->state = strcmp(state, states[SLOTNOTE_MAKING]) == 0 ? SLOTNOTE_MAKING
                   : strcmp(state, states[SLOTNOTE_MADE]) == 0 ? SLOTNOTE_MADE
                                                               : SLOTNOTE_NONE;
    return found->state != SLOTNOTE_NONE;
}

int
slotnote_read(const char *path, struct slotnote *note, struct err *err)
{
    struct slotnote found = {0};
    char *text;
    bool valid;

    note->state = SLOTNOTE_NONE;
    if (statefile_read(path, &text, err) != 0)
        return -1;
    if (text == NULL)
        return 0;
    valid = parse(text, &found);
    free(text);
    if (!valid) {
        err_set(err, EXIT_REFUSED, "cannot read the note about the slot in \"%s\"", path);
        return err_hint(err, "restore the file; or, if walpipe was not killed while it made the "
                             "slot, remove the file");
    }
    if (strcmp(found.slot, note->slot) == 0 &&
        (note->system_identifier == 0 || note->system_identifier == found.system_identifier))
        *note = found;
    return 0;
}

int
slotnote_write(const char *path, const struct slotnote *note, struct err *err)
{
    char text[256];

    if (note->state == SLOTNOTE_NONE)
        return statefile_remove(path, err);
    snprintf(text, sizeof text, "1 %s %" PRIu64 " %s %s\n", note->slot, note->system_identifier,
             states[note->state], note->digest);
    return statefile_write(path, text, err);
}
