/* copynotes.c: see copynotes.h. Must not decide the next step of a copy. */
#include "sink-ch/copynotes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/copyresync.h"
#include "sink-ch/table.h"

/* ---- a new table ---- */

static int
refuse_missing(const struct copypart *part, const char *target_sql, struct err *err)
{
    err_set(err, EXIT_REFUSED, "table %s for rows of \"%s.%s\" does not exist in ClickHouse",
            target_sql, part->schema, part->name);
    return err_hint(err, "create it, set map to send the table to another, leave it out of the "
                         "sink's tables, or set create_tables");
}

static int
refuse_rows(const struct copypart *part, const char *target_sql, struct err *err)
{
    err_set(err, EXIT_REFUSED, "%s is to be copied from \"%s.%s\" and has rows already", target_sql,
            part->schema, part->name);
    return err_hint(err,
                    "if nothing else writes to it, run TRUNCATE TABLE %s in ClickHouse and start "
                    "again, or let walpipe resync replace its rows; or, if the sink's tables have "
                    "the source's rows as of the creation of the slot, set copy = no in the sink",
                    target_sql);
}

static int
look_at_target(const struct copynotes *n, const struct copypart *part, const char *target_sql,
               struct err *err)
{
    enum { UNKNOWN_TABLE = 60 };
    struct server *server = n->rows.table.server;
    struct buf sql = {0};

    server_put_text(&sql, "SELECT 1 FROM ");
    server_put_text(&sql, target_sql);
    server_put_text(&sql, " LIMIT 1 FORMAT TabSeparated");
    if (server_query(server, "look whether a table is empty", &sql, err) != 0) {
        if (err->code != EXIT_REFUSED || server->answer.code != UNKNOWN_TABLE)
            return -1;
        *err = (struct err){0};
        return n->options->create_tables ? 0 : refuse_missing(part, target_sql, err);
    }
    return buf_len(&server->answer.body) == 0 ? 0 : refuse_rows(part, target_sql, err);
}

int
copynotes_require_empty(const struct copynotes *n, const struct copypart *part,
                        const char *target_sql, struct err *err)
{
    if (look_at_target(n, part, target_sql, err) == 0)
        return 0;
    snprintf(err->relation, sizeof err->relation, "%s.%s", part->schema, part->name);
    err->culprit = part->relid;
    return -1;
}

/* ---- rows of the table ---- */

static void
put_row(struct copynotes *n, const struct copypart *part, uint32_t shard, const char *state,
        char *target)
{
    const struct note note = {
        .part = *part, .shard = shard, .layout = n->layout_hash, .target = target};

    noterows_put(&n->rows, &note, state);
}

static void
put_star(struct copynotes *n, bool streaming)
{
    const struct copypart star = {.schema = "*", .name = "*"};

    put_row(n, &star, 0, copyparts_state_name(streaming ? COPY_STREAMING : COPY_WAITING), "");
}

char *
copynotes_target(const struct copynotes *n, const struct copypart *part, struct err *err)
{
    struct target_name target;
    char source[sizeof err->relation], *target_sql;

    snprintf(source, sizeof source, "%s.%s", part->schema, part->name);
    if (mapping_target(&n->options->map, n->options->database, part->schema, part->name, &target) !=
        0) {
        err_set(err, EXIT_REFUSED, "the name of table \"%s\" is too long", source);
    } else if (table_check_own(source, target.table, err) == 0) {
        target_sql = table_target_sql(&target);
        if (target_sql != NULL)
            return target_sql;
        err_set(err, EXIT_PEER, "out of memory for a table");
    }
    snprintf(err->relation, sizeof err->relation, "%s", source);
    return NULL;
}

/* A part of this worker. */
static int
put_part(struct copynotes *n, const struct copypart *part, struct err *err)
{
    char *target = copynotes_target(n, part, err);

    if (target == NULL)
        return -1;
    if (part->state == COPY_NEW && !part->out &&
        copynotes_require_empty(n, part, target, err) != 0) {
        free(target);
        return -1;
    }
    put_row(n, part, n->rows.table.hello->shard, copyparts_state_text(part), target);
    free(target);
    return 0;
}

/* ---- the notes of one worker ---- */

/* Rows of one table and part, or of one table. */
struct group {
    const struct note *first, *end;
};

static struct group
group_at(const struct notes *notes, size_t at, bool by_part)
{
    const struct note *first = &notes->list[at], *end = first;

    while (end < notes->list + notes->count && end->part.relid == first->part.relid &&
           (!by_part || end->part.part == first->part.part))
        end++;
    return (struct group){first, end};
}

static bool
all_stream(struct group g)
{
    for (const struct note *note = g.first; note < g.end; note++)
        if (note->part.state != COPY_STREAMING)
            return false;
    return true;
}

static bool
all_wait(struct group g)
{
    for (const struct note *note = g.first; note < g.end; note++)
        if (note->part.state != COPY_WAITING)
            return false;
    return true;
}

/* A crash may have left notes of other workers, or of other parts, as they were before the resync:
 * no range was finished then. */
static bool
any_resyncs(struct group g)
{
    for (const struct note *note = g.first; note < g.end; note++)
        if (note->part.state == COPY_RESYNC && !note->part.out)
            return true;
    return false;
}

/* A single worker may have skipped changes of it, and this worker may not exist any more. */
static bool
any_is_out(struct group g)
{
    for (const struct note *note = g.first; note < g.end; note++)
        if (note->part.out)
            return true;
    return false;
}

static const struct note *
of_shard(struct group g, uint32_t shard)
{
    for (const struct note *note = g.first; note < g.end; note++)
        if (note->shard == shard)
            return note;
    return NULL;
}

/* Sets the target of a note that names another one. */
static int
look_at_note(const struct copynotes *n, const struct copying *c, struct copypart *part,
             const struct note *note, struct err *err)
{
    char *target = copynotes_target(n, part, err);
    int rc = target == NULL ? -1 : copyparts_target(c, part, note->target, target, err);

    free(target);
    return rc;
}

/* The rows of a table without a key may have gone to another worker earlier. */
static void
take_keyless(struct copypart *copy, struct group part)
{
    for (const struct note *note = part.first; note < part.end; note++) {
        if (!note->part.keyless)
            continue;
        copy->keyless = true;
        if (note->part.l0 > copy->l0)
            copy->l0 = note->part.l0;
    }
}

static bool
is_parked(const struct copynotes *n, uint32_t relid)
{
    for (size_t i = 0; i < n->parked.count; i++)
        if (n->parked.relids[i] == relid)
            return true;
    return false;
}

/* Under another layout a worker has other rows. A physical table that some worker has not finished
 * is not finished. It is not known which of its rows belong to the present workers. If one worker
 * applies the table's changes, the others must not skip them. */
static int
take_part(struct copynotes *n, struct copying *c, struct group table, struct group part,
          struct err *err)
{
    const struct note *own = of_shard(part, n->rows.table.hello->shard);
    struct copypart copy = own != NULL ? own->part : part.first->part;
    bool same = own != NULL && own->layout == n->layout_hash, begins = false;
    /* A person who has emptied the target may have set all notes to waiting. */
    bool parked = is_parked(n, part.first->part.relid) && !all_wait(table);

    copy.done = (struct spans){0};
    if (own == NULL)
        copy.rows = 0;
    copy.out = any_is_out(part);
    if (!same && copy.state == COPY_STREAMING && !all_stream(part))
        copy.state = COPY_COPYING;
    if (parked || (copy.state != COPY_RESYNC && !copy.out && any_resyncs(table))) {
        copy.state = COPY_RESYNC;
        copy.l0 = copy.rows = copy.file = 0;
        begins = true;
    } else if (copy.state == COPY_WAITING && !all_wait(table)) {
        copy.state = COPY_COPYING;
        copy.l0 = n->found;
    }
    if (!parked)
        take_keyless(&copy, part);
    copy.parked = parked;
    copy.changed = !same || copy.state != own->part.state || copy.out != own->part.out ||
                   (parked && own->part.l0 != 0);
    if (look_at_note(n, c, &copy, own != NULL ? own : part.first, err) != 0)
        return -1;
    for (size_t i = 0;
         own != NULL && !begins && (same || all_stream(part)) && i < own->part.done.count; i++)
        if (spans_add(&copy.done, own->part.done.list[i]) != 0)
            return err_set(err, EXIT_PEER, "out of memory for finished ranges");
    if (copyparts_add(c, &copy) == NULL)
        return err_set(err, EXIT_PEER, "out of memory for the tables that are copied");
    c->pending = c->pending || copy.changed;
    return copy.changed ? put_part(n, &copy, err) : 0;
}

/* Notes of workers that do not exist any more have no meaning, and neither has the note for a table
 * whose parts are known by now. */
static void
remove_old(struct copynotes *n, struct group part, bool stand_in)
{
    const struct hello *hello = n->rows.table.hello;

    for (const struct note *note = part.first; note < part.end; note++)
        if ((hello->shard == 0 && note->shard >= hello->shards) ||
            (stand_in && note->shard == hello->shard))
            put_row(n, &note->part, note->shard, noterows_gone, note->target);
}

static int
take_table(struct copynotes *n, struct copying *c, const struct notes *notes, struct group table,
           struct err *err)
{
    size_t at = (size_t)(table.first - notes->list), end = (size_t)(table.end - notes->list);

    while (at < end) {
        struct group part = group_at(notes, at, true);
        bool stand_in = part.first->part.part == 0 && part.end < table.end;

        if (!stand_in && take_part(n, c, table, part, err) != 0)
            return -1;
        remove_old(n, part, stand_in);
        at = (size_t)(part.end - notes->list);
    }
    return 0;
}

static int
take_notes(struct copynotes *n, struct copying *c, const struct notes *notes, bool followed,
           struct err *err)
{
    bool known = notes->count > 0 && notes->list[0].part.relid == 0;
    size_t at = known;

    n->rows.version++;
    c->carried_over = known ? notes->list[0].part.state == COPY_STREAMING : followed;
    c->attached = known && notes->list[0].part.state == COPY_RESYNC;
    if (!known)
        put_star(n, followed);
    while (at < notes->count) {
        struct group table = group_at(notes, at, false);

        if (take_table(n, c, notes, table, err) != 0)
            return -1;
        at = (size_t)(table.end - notes->list);
    }
    if (noterows_write(&n->rows, err) != 0)
        return -1;
    copying_committed(c);
    return 0;
}

int
copynotes_load(struct copynotes *n, struct copying *c, bool followed, struct err *err)
{
    struct notes notes = {0};
    int rc;

    if (layout_hash(n->layout, &n->layout_hash) != 0)
        return err_set(err, EXIT_PEER, "out of memory for the layout");
    rc = noterows_make(&n->rows, err);
    if (rc == 0)
        rc = noterows_read(&n->rows, &notes, err);
    if (rc == 0)
        rc = take_notes(n, c, &notes, followed, err);
    notes_free(&notes);
    return rc;
}

/* Tables that appear from now on are not copied, so they are streaming. */
static int
forget_default(struct copynotes *n, const struct notes *notes, struct err *err)
{
    if (notes->count == 0 || notes->list[0].part.relid != 0)
        return 0;
    n->rows.version++;
    put_row(n, &notes->list[0].part, 0, noterows_gone, "");
    return noterows_write(&n->rows, err);
}

static int
require_all_streaming(const struct notes *notes, struct err *err)
{
    for (size_t i = 0; i < notes->count; i++) {
        const struct copypart *part = &notes->list[i].part;

        if (part->out || part->state == COPY_STREAMING ||
            (part->relid == 0 && part->state != COPY_RESYNC))
            continue;
        return copyresync_refuse_unfinished(part->schema, part->name, err);
    }
    return 0;
}

/* As copying_begin does it, where a list never comes. */
static int
begin_read(struct copynotes *n, struct notes *notes, struct err *err)
{
    char read[COPYDEFINITION_READ_LEN + 1];

    copying_name_read(n->rows.table.hello, read);
    n->rows.version++;
    for (size_t i = 0; i < notes->count; i++) {
        struct note *note = &notes->list[i];

        if (note->part.relid != 0 && copying_begin_read(&note->part, read))
            noterows_put(&n->rows, note, copyparts_state_text(&note->part));
    }
    return noterows_write(&n->rows, err);
}

int
copynotes_require_none(struct copynotes *n, struct err *err)
{
    struct notes notes = {0};
    bool exists;
    int rc;

    if (notetable_exists(&n->rows.table, NOTETABLE_TABLES, &exists, err) != 0)
        return -1;
    n->exist = exists;
    if (!exists)
        return 0;
    rc = noterows_add_columns(&n->rows, err);
    if (rc == 0)
        rc = noterows_read(&n->rows, &notes, err);
    if (rc == 0)
        rc = require_all_streaming(&notes, err);
    if (rc == 0)
        rc = forget_default(n, &notes, err);
    if (rc == 0)
        rc = begin_read(n, &notes, err);
    notes_free(&notes);
    return rc;
}

/* Each worker does it, with the same rows. */
static void
put_out(struct noterows *rows, struct note *note)
{
    note->part.out = true;
    noterows_put(rows, note, copyparts_state_text(&note->part));
}

int
copynotes_leave_out(struct copynotes *n, uint32_t relid, struct err *err)
{
    struct notes notes = {0};
    int rc;

    if (!n->exist)
        return 0;
    rc = noterows_read(&n->rows, &notes, err);
    n->rows.version++;
    for (size_t i = 0; i < notes.count && rc == 0; i++)
        if (notes.list[i].part.relid == relid && !notes.list[i].part.out)
            put_out(&n->rows, &notes.list[i]);
    notes_free(&notes);
    return rc == 0 ? noterows_write(&n->rows, err) : -1;
}

/* ---- notes that have changed ---- */

/* Its table has no other part with a note. */
static bool
is_last(const struct copypart *part, const struct copying *c)
{
    const struct copypart *at = copyparts_first(c, part->relid);

    while (at != NULL && (at->gone || !at->noted))
        at = at->table_next;
    return at == NULL;
}

static bool
table_is_gone(const struct copying *c, uint32_t relid)
{
    const struct copypart *at = copyparts_first(c, relid);

    while (at != NULL && !(at->changed && at->gone && is_last(at, c)))
        at = at->table_next;
    return at != NULL;
}

/* With a table's last note the notes of the other workers are removed. If the table comes back,
 * they must not be valid for it, even if a slower worker writes another one. If a worker has
 * already noted the new table, its note has no definition yet. */
static int
forget_gone(struct copynotes *n, const struct copying *c, struct err *err)
{
    struct notes notes = {0};
    int rc = noterows_read(&n->rows, &notes, err);

    n->rows.version += NOTEROWS_VERSIONS_AHEAD;
    for (size_t i = 0; i < notes.count && rc == 0; i++) {
        const struct note *note = &notes.list[i];

        if (note->part.definition[0] != '\0' && table_is_gone(c, note->part.relid))
            put_row(n, &note->part, note->shard, noterows_gone, "");
    }
    notes_free(&notes);
    return rc;
}

/* The notes of a table that was not known may follow those of one that is gone, which another
 * worker has removed. */
static int
look_at_others(struct copynotes *n, const struct copying *c, struct err *err)
{
    const struct copypart *part = c->parts;

    while (part != NULL && !(part->changed && (part->gone || !part->noted)))
        part = part->next;
    return part == NULL ? 0 : forget_gone(n, c, err);
}

int
copynotes_write(struct copynotes *n, struct copying *c, struct err *err)
{
    const uint32_t shard = n->rows.table.hello->shard;

    if (look_at_others(n, c, err) != 0)
        return -1;
    n->rows.version++;
    /* A table that was gone may have come back with the same key, and then the new note is valid.
     */
    for (const struct copypart *part = c->parts; part != NULL; part = part->next)
        if (part->changed && part->gone)
            put_row(n, part, shard, noterows_gone, "");
    n->rows.version++;
    for (const struct copypart *part = c->parts; part != NULL; part = part->next)
        if (part->changed && !part->gone && put_part(n, part, err) != 0)
            return -1;
    /* Every table has a note of its own now. */
    if (c->listed && (c->carried_over || c->attached) && shard == 0)
        put_star(n, false);
    return noterows_write(&n->rows, err);
}

void
copynotes_free(struct copynotes *n)
{
    buf_free(&n->rows.rows);
    free(n->parked.relids);
}
