/* seen.c: see seen.h. */
#include "sink-ch/seen.h"

#include <stdlib.h>
#include <string.h>

const struct seen_name *
seen_find(const struct seen *seen, const char *name)
{
    for (uint32_t i = 0; i < seen->count; i++)
        if (strcmp(seen->names[i].name, name) == 0)
            return &seen->names[i];
    return NULL;
}

const struct seen_name *
seen_current(const struct seen *seen, uint32_t attnum)
{
    for (uint32_t i = 0; attnum != 0 && i < seen->count; i++)
        if (seen->names[i].current && seen->names[i].attnum == attnum)
            return &seen->names[i];
    return NULL;
}

void
seen_age(struct seen *seen)
{
    for (uint32_t i = 0; i < seen->count; i++)
        seen->names[i].current = false;
}

static void
forget_old(struct seen *seen)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < seen->count; i++)
        if (seen->names[i].current)
            seen->names[kept++] = seen->names[i];
        else
            free(seen->names[i].name);
    seen->count = kept;
}

/* Room for one more. */
static int
reserve(struct seen *seen)
{
    uint32_t size = seen->size == 0 ? 16 : 2 * seen->size;
    struct seen_name *more;

    if (seen->count >= SEEN_MAX)
        forget_old(seen);
    if (seen->count < seen->size)
        return 0;
    more = realloc(seen->names, size * sizeof *more);
    if (more == NULL)
        return -1;
    seen->names = more;
    seen->size = size;
    return 0;
}

int
seen_note(struct seen *seen, const char *name, uint32_t attnum, struct err *err)
{
    struct seen_name *found = (struct seen_name *)seen_find(seen, name);

    if (found == NULL) {
        char *copy = strdup(name);

        if (copy == NULL || reserve(seen) != 0) {
            free(copy);
            return err_set(err, EXIT_PEER, "out of memory for a table's columns");
        }
        found = &seen->names[seen->count++];
        *found = (struct seen_name){.name = copy};
    }
    found->current = true;
    if (attnum != 0)
        found->attnum = attnum;
    return 0;
}

void
seen_free(struct seen *seen)
{
    for (uint32_t i = 0; i < seen->count; i++)
        free(seen->names[i].name);
    free(seen->names);
    *seen = (struct seen){0};
}
