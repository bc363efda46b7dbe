/* resyncnotes.c: see resyncnotes.h. */
#include "sink-ch/resyncnotes.h"

#include <stdlib.h>
#include <string.h>

static bool
is_of(const struct note *note, uint32_t relid)
{
    return note->part.relid == relid && relid != 0;
}

/* ---- reading ---- */

/* The parts that were in the last list. */
static void
look_at(const struct copynotes *n, const struct notes *notes, uint32_t relid, uint64_t *since)
{
    const uint32_t shards = n->rows.table.hello->shards;
    uint32_t workers = 0, part = 0;
    bool all = true;

    *since = 0;
    for (size_t i = 0; i < notes->count; i++) {
        const struct note *note = &notes->list[i];

        if (!is_of(note, relid) || note->part.out || note->shard >= shards)
            continue;
        all = all && (workers % shards == 0 || note->part.part == part);
        part = note->part.part;
        workers++;
        all = all && note->part.state == COPY_RESYNC && note->part.l0 != 0;
        if (*since == 0 || note->part.l0 < *since)
            *since = note->part.l0;
    }
    if (!all || workers % shards != 0)
        *since = 0;
}

int
resyncnotes_since(struct copynotes *n, uint32_t relid, uint64_t *since, struct err *err)
{
    struct notes notes = {0};
    int rc = noterows_read(&n->rows, &notes, err);

    if (rc == 0)
        look_at(n, &notes, relid, since);
    notes_free(&notes);
    return rc;
}

int
resyncnotes_are_done(struct copynotes *n, uint32_t relid, bool *done, struct err *err)
{
    struct notes notes = {0};
    int rc = noterows_read(&n->rows, &notes, err);

    *done = true;
    for (size_t i = 0; i < notes.count; i++)
        if (is_of(&notes.list[i], relid) && notes.list[i].shard == n->rows.table.hello->shard)
            *done = *done && notes.list[i].part.state == COPY_STREAMING;
    notes_free(&notes);
    return rc;
}

/* ---- writing ---- */

static void
put(struct copynotes *n, const struct note *note)
{
    noterows_put(&n->rows, note, copyparts_state_text(&note->part));
}

static void
begin_again(struct note *note)
{
    note->part.state = COPY_RESYNC;
    note->part.done.count = 0;
    note->part.l0 = note->part.rows = note->part.file = 0;
}

/* Reads the notes, and sets the version of the notes that replace them. */
static int
read_all(struct copynotes *n, struct notes *notes, struct err *err)
{
    int rc = noterows_read(&n->rows, notes, err);

    n->rows.version += NOTEROWS_VERSIONS_AHEAD;
    return rc;
}

int
resyncnotes_end(struct copynotes *n, uint32_t relid, struct err *err)
{
    struct notes notes = {0};
    int rc = read_all(n, &notes, err);

    for (size_t i = 0; rc == 0 && i < notes.count; i++) {
        if (!is_of(&notes.list[i], relid))
            continue;
        notes.list[i].part.state = COPY_STREAMING;
        if (notes.list[i].part.out)
            noterows_put(&n->rows, &notes.list[i], noterows_gone);
        else
            put(n, &notes.list[i]);
    }
    notes_free(&notes);
    return rc == 0 ? noterows_write(&n->rows, err) : -1;
}

int
resyncnotes_restart(struct copynotes *n, uint32_t relid, struct err *err)
{
    struct notes notes = {0};
    int rc = read_all(n, &notes, err);

    for (size_t i = 0; rc == 0 && i < notes.count; i++) {
        if (!is_of(&notes.list[i], relid))
            continue;
        begin_again(&notes.list[i]);
        put(n, &notes.list[i]);
    }
    notes_free(&notes);
    return rc == 0 ? noterows_write(&n->rows, err) : -1;
}

/* ---- a pipeline that does not run ---- */

/* Its rows go to the present target of the present name. */
static int
ask_again(struct copynotes *n, struct note *note, const struct copypart *part, struct err *err)
{
    char *target = copynotes_target(n, part, err);

    if (target == NULL)
        return -1;
    free(note->target);
    note->target = target;
    memmove(note->part.schema, part->schema, sizeof note->part.schema);
    memmove(note->part.name, part->name, sizeof note->part.name);
    begin_again(note);
    put(n, note);
    return 0;
}

static int
ask_all(struct copynotes *n, const struct notes *notes, const struct copypart *part,
        struct err *err)
{
    struct note new = {.part = *part, .shard = n->rows.table.hello->shard};
    bool any = false;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < notes->count; i++) {
        struct note *note = &notes->list[i];

        if (is_of(note, part->relid)) {
            any = true;
            rc = ask_again(n, note, part, err);
        } else if (note->part.relid != 0 && strcmp(note->part.schema, part->schema) == 0 &&
                   strcmp(note->part.name, part->name) == 0) {
            noterows_put(&n->rows, note, noterows_gone);
        }
    }
    if (rc == 0 && !any)
        rc = ask_again(n, &new, part, err);
    free(new.target);
    return rc;
}

int
resyncnotes_ask(struct copynotes *n, const struct copypart *part, struct err *err)
{
    struct notes notes = {0};
    int rc = read_all(n, &notes, err);

    if (rc == 0)
        rc = ask_all(n, &notes, part, err);
    notes_free(&notes);
    return rc == 0 ? noterows_write(&n->rows, err) : -1;
}

static struct resyncnotes_table *
find_table(struct resyncnotes_table *tables, size_t count, uint32_t relid)
{
    for (size_t i = 0; i < count; i++)
        if (tables[i].part.relid == relid)
            return &tables[i];
    return NULL;
}

static bool
has_name(const struct resyncnotes_table *tables, size_t count, const struct note *note)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(tables[i].part.schema, note->part.schema) == 0 &&
            strcmp(tables[i].part.name, note->part.name) == 0)
            return true;
    return false;
}

/* The table of the note is not in the source, or not in the sink's tables. One that only waits has
 * nothing in the target. */
static void
leave_out(struct copynotes *n, struct note *note)
{
    if (note->part.out || note->part.state == COPY_WAITING)
        return;
    note->part.out = true;
    put(n, note);
}

static int
attach_note_of(struct copynotes *n, struct note *note, struct resyncnotes_table *tables,
               size_t count, struct err *err)
{
    struct resyncnotes_table *table = find_table(tables, count, note->part.relid);

    if (note->part.relid == 0)
        return 0;
    if (table != NULL && !table->anew) {
        table->noted = true;
        return ask_again(n, note, &table->part, err);
    }
    if (table != NULL || has_name(tables, count, note))
        noterows_put(&n->rows, note, noterows_gone);
    else
        leave_out(n, note);
    return 0;
}

static int
attach_new(struct copynotes *n, const struct resyncnotes_table *table, struct err *err)
{
    struct note new = {.part = table->part};
    int rc = ask_again(n, &new, &table->part, err);

    free(new.target);
    return rc;
}

int
resyncnotes_attach(struct copynotes *n, struct resyncnotes_table *tables, size_t count,
                   struct err *err)
{
    static char none[] = "";
    const struct note star = {.part = {.schema = "*", .name = "*"}, .target = none};
    struct notes notes = {0};
    int rc = read_all(n, &notes, err);

    for (size_t i = 0; rc == 0 && i < notes.count; i++)
        rc = attach_note_of(n, &notes.list[i], tables, count, err);
    for (size_t i = 0; rc == 0 && i < count; i++)
        if (!tables[i].anew && !tables[i].noted)
            rc = attach_new(n, &tables[i], err);
    if (rc == 0)
        noterows_put(&n->rows, &star, copyparts_state_name(COPY_RESYNC));
    notes_free(&notes);
    return rc == 0 ? noterows_write(&n->rows, err) : -1;
}
