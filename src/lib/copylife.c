/* copylife.c: see copylife.h. */
#include "lib/copylife.h"

#include <stdio.h>
#include <string.h>

#include "lib/copyback.h"
#include "lib/copydefinition.h"
#include "lib/keylesscopy.h"

static int
out_of_memory(struct err *err)
{
    return err_set(err, EXIT_PEER, "out of memory for the tables that are copied");
}

static int
not_in_order(const char *what, struct err *err)
{
    return err_set(err, EXIT_BUG, "the event stream is not in order: %s", what);
}

/* ---- a table begins ---- */

/* The entry for a table whose parts were not known becomes the first of them. */
static void
replace_stand_in(struct copying *c, struct copypart *part)
{
    struct copypart *stand_in = copyparts_find(c, part->relid, 0);

    if (stand_in == NULL)
        return;
    part->state = stand_in->state;
    part->behind = stand_in->behind;
    part->parked = stand_in->parked;
    part->parked_noted = stand_in->parked_noted;
    stand_in->gone = true;
    copyparts_changed(c, stand_in);
}

int
copylife_ask(struct copying *c, const struct copytable_event *table, struct err *err)
{
    struct copypart *part = copyparts_find(c, table->relation.relid, table->part);

    copyparts_rename(c, &table->relation, true);
    if (table->life == 0 &&
        copyback_listed(c, table->relation.relid, table->part, table->definition, err) != 0)
        return -1;
    if (part == NULL) {
        part = copyparts_new(c, &table->relation, table->part, err);
        if (part == NULL)
            return -1;
        replace_stand_in(c, part);
    }
    if (table->life == 0)
        copyback_published(c, part, table->definition);
    c->pending = true;
    if (table->life != 0) {
        part->asked_begun = true;
        part->asked_life = table->life;
        return 0;
    }
    part->asked = part->in_list = c->listing = true;
    return 0;
}

/* ---- a table that is copied again ---- */

/* All parts of a table that is streaming, or set aside, are to be copied again. */
static void
resync_all(struct copying *c, uint32_t relid)
{
    for (struct copypart *at = copyparts_first(c, relid); at != NULL; at = at->table_next) {
        if (at->gone || (at->out && !at->parked) || (at->state == COPY_RESYNC && !at->parked))
            continue;
        at->before = (struct copybefore){
            .known = true, .parked = at->parked, .l0 = at->l0, .rows = at->rows, .file = at->file};
        at->parked = false;
        memcpy(at->before.definition, at->definition, sizeof at->definition);
        at->state = COPY_RESYNC;
        at->done.count = 0;
        at->l0 = at->rows = at->file = 0;
        at->all_read = false;
        copyparts_changed(c, at);
    }
}

static bool
was_parked(const struct copypart *first)
{
    const struct copypart *at = first;

    while (at != NULL && (at->gone || at->state != COPY_RESYNC || !at->before.parked))
        at = at->table_next;
    return at != NULL;
}

/* A part that came since was not copied yet. */
static int
keep_part(struct copying *c, struct copypart *part, bool parked, struct err *err)
{
    const struct copybefore *before = &part->before;

    part->parked = parked;
    part->state = parked ? COPY_RESYNC : before->known ? COPY_STREAMING : COPY_WAITING;
    part->l0 = before->l0;
    part->rows = before->rows;
    part->file = before->file;
    memcpy(part->definition, before->definition, sizeof part->definition);
    part->done.count = 0;
    part->stages = part->begins_staging = part->all_read = false;
    part->staging = 0;
    copyparts_changed(c, part);
    return !before->known || parked || spans_add(&part->done, (struct span){.open = true}) == 0
               ? 0
               : out_of_memory(err);
}

/* Some worker has refused to copy the table again, so all parts are as they were. */
static int
keep_all(struct copying *c, uint32_t relid, struct err *err)
{
    struct copypart *first = copyparts_first(c, relid);
    bool parked = was_parked(first);

    for (struct copypart *at = first; at != NULL; at = at->table_next)
        if (!at->gone && at->state == COPY_RESYNC && !at->parked &&
            keep_part(c, at, parked, err) != 0)
            return -1;
    if (first != NULL)
        first->undone = c->pending = c->urgent = true;
    return 0;
}

/* A table that is streaming, or set aside, is to be copied again. *kept: the sink does not take it,
 * which is no failure. */
static int
begin_resync(struct copying *c, struct copypart *part, const struct copytable_event *table,
             bool *kept, struct err *err)
{
    static const char none[] = "the sink cannot copy a table again";

    c->kept = (struct err){0};
    if (c->check_resync == NULL)
        err_set(&c->kept, EXIT_REFUSED, "%s", none);
    else if (c->check_resync(c->context, &table->relation, &c->kept) == 0) {
        resync_all(c, part->relid);
        return 0;
    }
    *kept = part->kept = true;
    *err = c->kept;
    if (c->kept.code != EXIT_REFUSED)
        return -1;
    *err = (struct err){0};
    return 0;
}

static void
begin_staging(struct copying *c, struct copypart *part, uint64_t position)
{
    part->begins_staging = part->l0 == 0 || (part->stages && part->begins_staging);
    if (part->l0 == 0)
        part->l0 = position > 0 ? position : 1;
    part->stages = c->urgent = true;
    part->reads_all = part->done.count == 0;
    part->all_read = false;
}

/* Something may have come into the way since the resync was noted. The state before it is not
 * known, so the table cannot be called streaming. */
static int
check_noted(struct copying *c, const struct copypart *part, const struct copytable_event *table,
            struct err *err)
{
    char hint[sizeof err->hint];

    if (part->state != COPY_RESYNC || copyparts_stages(c, part->relid) || c->check_resync == NULL ||
        c->check_resync(c->context, &table->relation, err) == 0)
        return 0;
    err->culprit = part->relid;
    if (err->code != EXIT_REFUSED || copyparts_is_behind(c, part->relid))
        return -1;
    memcpy(hint, err->hint, sizeof hint);
    return err_hint(err, "%s; %s", hint, c->noted_hint);
}

/* Another worker, which has loaded its notes later or earlier, knows of no parking. */
static int
begin_noted(struct copying *c, const struct copypart *part, const struct copytable_event *table,
            struct err *err)
{
    for (struct copypart *at = copyparts_first(c, part->relid); at != NULL; at = at->table_next)
        at->parked = false;
    return check_noted(c, part, table, err);
}

int
copylife_begin(struct copying *c, const struct copytable_event *table, uint64_t position,
               struct err *err)
{
    struct copypart *part = copyparts_find(c, table->relation.relid, table->part);
    bool kept = false;

    if (part == NULL)
        return not_in_order("a life of a table that was not asked about", err);
    if (part->life != 0)
        return not_in_order("a life begins before the one before has ended", err);
    if (table->resync && (part->state == COPY_STREAMING || part->parked)) {
        if (begin_resync(c, part, table, &kept, err) != 0)
            return -1;
        if (kept)
            return copylife_ask(c, table, err);
    } else if (begin_noted(c, part, table, err) != 0) {
        return -1;
    }
    if (part->state == COPY_RESYNC && !copyparts_has_key(&table->relation))
        return copyparts_refuse(&table->relation, "it has lost its key during its resync",
                                "give it the key again, and start again", err);
    if (keylesscopy_begin(c, part, copyparts_has_key(&table->relation), err) != 0)
        return -1;
    buf_reset(&part->described, 1u << 16);
    if (relation_encode(&part->described, &table->relation) != 0)
        return out_of_memory(err);
    if (part->state != COPY_RESYNC) {
        if (part->l0 == 0 || part->state == COPY_WAITING)
            part->l0 = position;
        part->state = COPY_COPYING;
    } else {
        begin_staging(c, part, position);
    }
    part->life = table->life;
    part->began = position;
    if (!copydefinition_same(part->definition, table->definition)) {
        part->done.count = 0;
        part->file = 0;
        part->rows = 0;
        snprintf(part->definition, sizeof part->definition, "%s", table->definition);
    }
    copyparts_changed(c, part);
    return copylife_ask(c, table, err);
}

/* ---- the end of the list ---- */

static bool
is_in_list(const struct copying *c, uint32_t relid)
{
    const struct copypart *at = copyparts_first(c, relid);

    while (at != NULL && !at->in_list)
        at = at->table_next;
    return at != NULL;
}

/* A table of which no part was asked about keeps its notes, and is treated as before: the stream
 * may be behind, and bring changes of it still. */
static void
leave_out(struct copying *c, struct copypart *part)
{
    if (part->out || part->met)
        return;
    part->out = true;
    copyparts_changed(c, part);
}

/* The table no longer has it, and the stream takes no rows of it away. Nothing is left to copy. If
 * it comes back, its file says nothing. */
static void
leave_partition(struct copying *c, struct copypart *part)
{
    if (part->out)
        return;
    if (part->part == 0 || part->state == COPY_NEW || part->state == COPY_WAITING ||
        part->state == COPY_RESYNC) {
        part->gone = true;
    } else {
        part->out = true;
        part->state = COPY_STREAMING;
        part->file = 0;
    }
    copyparts_changed(c, part);
}

/* Nobody tells which of the rows that are staged were those of this part. */
static int
lose_part(struct copying *c, const struct copypart *part, struct err *err)
{
    const struct copypart *at = copyparts_first(c, part->relid);

    while (at != NULL && (at == part || at->gone))
        at = at->table_next;
    return at == NULL || !copyparts_stages(c, part->relid)
               ? 0
               : copyparts_unstage(c, part, "a partition of it is gone", err);
}

int
copylife_end_list(struct copying *c, struct err *err)
{
    for (struct copypart *part = c->parts; part != NULL; part = part->next) {
        if (part->in_list || part->gone || part->life != 0)
            continue;
        if (!is_in_list(c, part->relid))
            leave_out(c, part);
        else if (!part->out && lose_part(c, part, err) != 0)
            return -1;
        else
            leave_partition(c, part);
    }
    for (struct copypart *part = c->parts; part != NULL; part = part->next)
        part->in_list = false;
    c->listing = false;
    c->listed = c->pending = true;
    return 0;
}

/* ---- a life ends ---- */

static void
finish_table(struct copying *c, struct copypart *part)
{
    if (part->state == COPY_RESYNC)
        part->all_read = true; /* the sink decides behind the last part */
    else
        part->state = COPY_STREAMING;
    part->ended_life = part->life;
    part->done.count = 0;
    if (spans_add(&part->done, (struct span){.open = true}) != 0)
        part->done.count = 0; /* all would be read again */
    copyparts_changed(c, part);
}

/* Also for a worker that has refused it, since it may be the one that ends the resync. */
static int
keep_table(struct copying *c, uint64_t life, struct err *err)
{
    struct copypart *part = c->parts;

    while (part != NULL && part->asked_life != life)
        part = part->next;
    if (part == NULL)
        return 0;
    part->life = 0;
    return keep_all(c, part->relid, err);
}

int
copylife_end(struct copying *c, uint64_t life, enum life_end how, struct err *err)
{
    struct copypart *part = copyparts_of_life(c, life);

    heldranges_drop_life(&c->held, life);
    if (how == LIFE_KEPT && keep_table(c, life, err) != 0)
        return -1;
    if (part == NULL)
        return 0;
    if (how == LIFE_DONE)
        finish_table(c, part);
    if (how == LIFE_DONE && part->keyless)
        keylesscopy_end(c, part);
    part->life = 0;
    if (how == LIFE_GONE) {
        if (lose_part(c, part, err) != 0)
            return -1;
        part->gone = true;
        copyparts_changed(c, part);
    }
    copyparts_look(c);
    if (!copyparts_lives(c, part->relid))
        tracked_end(&c->tracked, part->relid);
    return 0;
}
