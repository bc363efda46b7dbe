/* copyback.c: see copyback.h. */
#include "lib/copyback.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/copydefinition.h"

static int
refuse_back(const struct copying *c, const struct copypart *part, struct err *err)
{
    snprintf(err->relation, sizeof err->relation, "%s.%s", part->schema, part->name);
    if (part->part != 0 && part->part != part->relid)
        err_set(err, EXIT_REFUSED,
                "a partition of %s.%s (oid %" PRIu32 ") was truncated or detached, or was left out "
                "of the sink's tables or of the publication, or was published otherwise or "
                "unlogged, and its changes of that time are lost",
                part->schema, part->name, part->part);
    else
        err_set(err, EXIT_REFUSED,
                "%s.%s was left out of the sink's tables or of the publication, or was published "
                "otherwise or unlogged, and its changes of that time are lost",
                part->schema, part->name);
    err->culprit = part->relid;
    return err_hint(err, "%s", c->back_hint);
}

/* Changes of a table that is unlogged for a time are not sent. True: some are lost, or a resync
 * must begin again. The reader tells of the file of a partition that is copied. */
static bool
look_at_storage(struct copypart *part, const char *definition)
{
    switch (copydefinition_storage(part->definition, definition)) {
    case COPYDEFINITION_STORAGE_LOST:
        return part->state != COPY_WAITING && part->state != COPY_NEW;
    case COPYDEFINITION_STORAGE_OTHER:
        if (part->state == COPY_RESYNC)
            return part->l0 != 0;
        part->refiled = part->refiled || part->part == part->relid || part->state == COPY_COPYING;
        return false;
    case COPYDEFINITION_STORAGE_SAME:
        return false;
    }
    return false;
}

/* It may have left and come back while nobody looked. */
static void
look_whether_stayed(struct copying *c, uint32_t relid, uint32_t oid, const char *definition)
{
    struct copypart *part = copyparts_find(c, relid, oid);

    if (part == NULL || part->out)
        return;
    if (!look_at_storage(part, definition) && copydefinition_stayed(part->definition, definition))
        return;
    part->out = true;
    copyparts_changed(c, part);
}

void
copyback_published(struct copying *c, struct copypart *part, const char *definition)
{
    const char *before = copydefinition_publishers(part->definition);
    const char *now = copydefinition_publishers(definition);
    size_t kept = strcspn(part->definition, " ");

    part->ahead = part->ahead || copydefinition_refiled(part->definition, definition);
    if (part->out || now == NULL || (before != NULL && strcmp(before, now) == 0) ||
        (kept == 0 && part->state != COPY_STREAMING))
        return;
    if (kept == 0)
        snprintf(part->definition, sizeof part->definition, "%s", definition);
    else
        snprintf(part->definition + kept, sizeof part->definition - kept, " %s", now);
    copyparts_changed(c, part);
}

/* The table was in the last list, and the sink has rows of it. */
static bool
is_followed(const struct copying *c, uint32_t relid)
{
    const struct copypart *at = copyparts_first(c, relid);

    while (at != NULL &&
           (at->gone || at->out || at->state == COPY_NEW || at->state == COPY_WAITING))
        at = at->table_next;
    return at != NULL;
}

/* It left its table, which has stayed, and is not the one that is asked about. So it is not back.
 */
static bool
is_elsewhere(const struct copying *c, const struct copypart *part, uint32_t asked)
{
    return part->state == COPY_STREAMING && part->part != 0 && part->part != part->relid &&
           part->part != asked && is_followed(c, part->relid);
}

/* Of a table that waits the ranges bring all. Its target may be another one by now. */
int
copyback_take(struct copying *c, uint32_t relid, uint32_t asked, struct err *err)
{
    for (struct copypart *at = copyparts_first(c, relid); at != NULL; at = at->table_next) {
        if (!at->out || at->gone || is_elsewhere(c, at, asked))
            continue;
        if (at->state == COPY_RESYNC && at->l0 != 0)
            return copyparts_unstage(c, at, "its changes were not published for a time", err);
        if (at->state != COPY_WAITING && at->state != COPY_RESYNC)
            return refuse_back(c, at, err);
        at->out = false;
        if (at->state == COPY_WAITING)
            at->state = COPY_NEW;
        copyparts_changed(c, at);
    }
    return 0;
}

int
copyback_listed(struct copying *c, uint32_t relid, uint32_t part, const char *definition,
                struct err *err)
{
    look_whether_stayed(c, relid, part, definition);
    for (struct copypart *at = copyparts_first(c, relid); at != NULL; at = at->table_next)
        at->met = false;
    return copyback_take(c, relid, part, err);
}
