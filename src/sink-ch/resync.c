/* resync.c: see resync.h.
 *
 * Copied rows have higher versions than older ones, so a resync needs no second table. Rows that
 * neither the copy nor a change has written since it began are surplus, and have lower versions.
 * Their tombstones get the version of the beginning. This is higher than every version before, and
 * lower than every later version of the key. */
#include "sink-ch/resync.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/copyresync.h"
#include "lib/lsn.h"
#include "sink-ch/history.h"
#include "sink-ch/resyncnotes.h"
#include "sink-ch/tables.h"

/* No worker is so far ahead of another one. */
#define FAR_AHEAD (UINT64_C(1) << 40)

/* An insert into a table that answers early may be counted late. */
#define SURPLUS_TRIES 3

#define EXAMPLE_MAX 100

/* ---- versions that the source has not reached ---- */

static struct version
version_at(const struct table *table, uint64_t lsn)
{
    return version_make(table->version_width, table->mark.offset + lsn, 0);
}

static void
put_condition(const struct worker *w, const struct table *table, const char *compare,
              struct version version, struct buf *sql)
{
    server_put_name(sql, w->options->version_column);
    server_put_text(sql, compare);
    table_put_version(table->version_width, version, sql);
}

static void
put_key_names(const struct table *table, struct buf *sql)
{
    for (uint32_t i = 0; i < table->keys_count; i++) {
        server_put_text(sql, i == 0 ? "" : ", ");
        server_put_name(sql, table->columns[i].name);
    }
}

/* The answer is a line of text, without its end. Returns NULL with err. */
static const char *
ask(struct worker *w, const struct table *table, const char *what, struct buf *sql, struct err *err)
{
    struct buf *answer = &w->server.answer.body;
    char *text;

    if (server_query(&w->server, what, sql, err) != 0) {
        table_error(table, 0, err);
        return NULL;
    }
    buf_append(answer, "", 1);
    if (answer->failed) {
        err_set(err, EXIT_PEER, "could not %s: out of memory", what);
        return NULL;
    }
    text = (char *)answer->data + answer->start;
    text[strcspn(text, "\n")] = '\0';
    return text;
}

static int
find_example(struct worker *w, const struct table *table, struct version from,
             char example[EXAMPLE_MAX], struct err *err)
{
    struct buf sql = {0};
    const char *text;

    server_put_text(&sql, "SELECT ");
    put_key_names(table, &sql);
    server_put_text(&sql, " FROM ");
    server_put_text(&sql, table->target_sql);
    server_put_text(&sql, " WHERE ");
    put_condition(w, table, " >= ", from, &sql);
    server_put_text(&sql, " LIMIT 1 FORMAT TabSeparated");
    text = ask(w, table, "look for a row", &sql, err);
    if (text == NULL)
        return -1;
    snprintf(example, EXAMPLE_MAX, "%s", text);
    return 0;
}

static int
count_from(struct worker *w, const struct table *table, struct version from, uint64_t *count,
           struct err *err)
{
    struct buf sql = {0};
    const char *text;

    server_put_text(&sql, "SELECT count() FROM ");
    server_put_text(&sql, table->target_sql);
    server_put_text(&sql, " WHERE ");
    put_condition(w, table, " >= ", from, &sql);
    server_put_text(&sql, " FORMAT TabSeparated");
    text = ask(w, table, "count rows", &sql, err);
    *count = text == NULL ? 0 : strtoull(text, NULL, 10);
    return text == NULL ? -1 : 0;
}

/* No change and no copy has written these rows. */
static int
refuse_from(struct worker *w, const struct table *table, uint64_t lsn, struct err *err)
{
    const struct version from = version_at(table, lsn);
    char example[EXAMPLE_MAX];
    struct buf condition = {0};
    uint64_t count;

    if (count_from(w, table, from, &count, err) != 0 ||
        find_example(w, table, from, example, err) != 0)
        return -1;
    put_condition(w, table, " >= ", from, &condition);
    buf_append(&condition, "", 1);
    if (condition.failed)
        return err_set(err, EXIT_PEER, "out of memory for a message");
    err_set(err, EXIT_REFUSED,
            "%s cannot be copied again: %" PRIu64
            " of its rows have versions that the source has not reached (%s), and hide the "
            "source's rows; one has the key %s",
            table->target_sql, count, lsn_format(lsn).text, example);
    err_hint(err,
             "if nothing else writes to it, run in ClickHouse ALTER TABLE %s DELETE WHERE %s; when "
             "system.mutations shows it as done, try again",
             table->target_sql, (const char *)condition.data + condition.start);
    buf_free(&condition);
    return table_error(table, 0, err);
}

/* ---- whether the target takes it ---- */

static int
refuse_shared(const struct worker *w, const struct table *table, struct err *err)
{
    for (const struct copypart *part = w->copies.copying.parts; part != NULL; part = part->next) {
        struct target_name other;

        if (part->gone || part->relid == table->relation.relid ||
            mapping_target(&w->options->map, w->options->database, part->schema, part->name,
                           &other) != 0)
            continue;
        if (strcmp(other.database, table->target.database) == 0 &&
            strcmp(other.table, table->target.table) == 0)
            return copyresync_refuse_shared(table->source_name, err);
    }
    return 0;
}

/* The end reads the keys, the version and the deleted flag. */
static int
try_to_read(struct worker *w, const struct table *table, struct err *err)
{
    struct buf sql = {0};

    server_put_text(&sql, "SELECT ");
    put_key_names(table, &sql);
    server_put_text(&sql, ", ");
    server_put_name(&sql, w->options->version_column);
    server_put_text(&sql, ", ");
    server_put_name(&sql, w->options->deleted_column);
    server_put_text(&sql, " FROM ");
    server_put_text(&sql, table->target_sql);
    server_put_text(&sql, " FINAL WHERE 1 = 0 FORMAT TabSeparated");
    return ask(w, table, "read the table that is to be copied again", &sql, err) == NULL ? -1 : 0;
}

int
resync_check(void *context, const struct relation *relation, struct err *err)
{
    struct worker *w = context;
    char label[sizeof err->relation];
    struct table *table;
    uint64_t highest, known = state_position(w);

    snprintf(label, sizeof label, "%s.%s", relation->schema, relation->name);
    if (copyresync_require_key(label, relation, err) != 0)
        return -1;
    table = tables_of_range(w, relation, err);
    if (table == NULL || refuse_shared(w, table, err) != 0 || try_to_read(w, table, err) != 0 ||
        history_highest(w, table, &highest, err) != 0)
        return -1;
    if (known < w->journal.highest)
        known = w->journal.highest;
    return known > 0 && highest > table->mark.offset + known + FAR_AHEAD
               ? refuse_from(w, table, known + FAR_AHEAD, err)
               : 0;
}

void
resync_serve(struct worker *w)
{
    w->copies.copying.check_resync = resync_check;
    w->copies.copying.context = w;
    w->copies.copying.noted_hint =
        "or, if it was streaming before walpipe resync, ALTER TABLE walpipe_tables UPDATE state = "
        "'streaming' WHERE ... in ClickHouse, and when system.mutations shows it as done, start "
        "again";
}

/* ---- while it is copied ---- */

uint64_t
resync_since(const struct copying *c, uint32_t relid)
{
    uint64_t since = 0;

    if (!copyparts_resyncs(c, relid))
        return 0;
    for (const struct copypart *at = copyparts_first(c, relid); at != NULL; at = at->table_next)
        if (!at->gone && at->state == COPY_RESYNC && at->l0 != 0 && (since == 0 || at->l0 < since))
            since = at->l0;
    return since > COPIES_BELOW_POSITION ? since - COPIES_BELOW_POSITION : since;
}

/* The rows that are there now have positions below the floor of the life's ranges, which
 * pg-table-read asks the source for when all workers have answered. */
int
resync_begin(struct worker *w, struct err *err)
{
    for (struct copypart *part = w->copies.copying.parts; part != NULL; part = part->next) {
        const struct table *table;

        if (!part->stages)
            continue;
        table = tables_of_described(w, &part->described, err);
        if (table == NULL || history_highest(w, table, &part->highest, err) != 0)
            return -1;
    }
    return 0;
}

/* A merge may have removed copied rows in favour of the rows that hide them. So all rows are read
 * again. */
static int
refuse_planted(struct worker *w, const struct table *table, uint64_t lsn, struct err *err)
{
    if (resyncnotes_restart(&w->copies.notes, table->relation.relid, err) != 0)
        return -1;
    return refuse_from(w, table, lsn, err);
}

/* The ranges of this life contain everything that committed below the floor, and their rows are
 * written at positions that are not below it. So versions from the floor on are of this resync,
 * unless finished ranges of an earlier life are kept. */
int
resync_range(struct worker *w, struct copypart *part, const struct heldrange *range,
             struct err *err)
{
    const uint64_t floor = range->range.floor;
    const struct table *table;

    if (part->state != COPY_RESYNC)
        return 0;
    if (range->range.mark < floor)
        return err_set(err, EXIT_BUG,
                       "a range's mark lies before its floor: its rows would count as surplus rows "
                       "of %s.%s",
                       part->schema, part->name);
    if (part->highest != 0) {
        table = tables_of_described(w, &part->described, err);
        if (table == NULL)
            return -1;
        if (part->highest >= table->mark.offset + floor)
            return refuse_planted(w, table, floor, err);
        part->highest = 0;
    }
    if (part->reads_all && floor > part->l0) {
        part->l0 = floor;
        copyparts_changed(&w->copies.copying, part);
    }
    part->reads_all = false;
    return 0;
}

/* ---- the end ---- */

static void
put_surplus(const struct worker *w, const struct table *table, uint64_t since, struct buf *sql)
{
    server_put_text(sql, " FROM ");
    server_put_text(sql, table->target_sql);
    server_put_text(sql, " FINAL WHERE ");
    put_condition(w, table, " < ", version_at(table, since), sql);
    server_put_text(sql, " AND ");
    server_put_name(sql, w->options->deleted_column);
    server_put_text(sql, " = 0");
}

static int
count_surplus(struct worker *w, const struct table *table, uint64_t since, uint64_t *count,
              struct err *err)
{
    struct buf sql = {0};
    const char *text;

    server_put_text(&sql, "SELECT count()");
    put_surplus(w, table, since, &sql);
    server_put_text(&sql, " FORMAT TabSeparated");
    text = ask(w, table, "count surplus rows", &sql, err);
    *count = text == NULL ? 0 : strtoull(text, NULL, 10);
    return text == NULL ? -1 : 0;
}

/* As for a delete, the tombstone has no values in the other columns. */
static int
bury(struct worker *w, const struct table *table, uint64_t since, struct err *err)
{
    struct buf sql = {0};

    server_put_text(&sql, "INSERT INTO ");
    server_put_text(&sql, table->target_sql);
    server_put_text(&sql, " (");
    put_key_names(table, &sql);
    server_put_text(&sql, ", ");
    server_put_name(&sql, w->options->version_column);
    server_put_text(&sql, ", ");
    server_put_name(&sql, w->options->deleted_column);
    server_put_text(&sql, ") SELECT ");
    put_key_names(table, &sql);
    server_put_text(&sql, ", ");
    table_put_version(table->version_width, version_at(table, since), &sql);
    server_put_text(&sql, ", 1");
    put_surplus(w, table, since, &sql);
    return server_statement(&w->server, "remove surplus rows", &sql, err) == 0
               ? 0
               : table_error(table, 0, err);
}

static int
remove_surplus(struct worker *w, const struct table *table, uint64_t since, uint64_t *removed,
               struct err *err)
{
    uint64_t left;

    if (count_surplus(w, table, since, removed, err) != 0)
        return -1;
    left = *removed;
    for (int i = 0; i < SURPLUS_TRIES && left > 0; i++)
        if (bury(w, table, since, err) != 0 || count_surplus(w, table, since, &left, err) != 0)
            return -1;
    if (left == 0)
        return 0;
    err_set(err, EXIT_PEER, "could not remove surplus rows of %s: %" PRIu64 " are still there",
            table->target_sql, left);
    return table_error(table, 0, err);
}

/* Worker 0 does this, while the others wait. */
static int
finish(struct worker *w, const struct copypart *ended, struct err *err)
{
    struct copynotes *notes = &w->copies.notes;
    const struct table *table = tables_of_described(w, &ended->described, err);
    uint64_t since, removed, count;

    if (table == NULL || resyncnotes_since(notes, ended->relid, &since, err) != 0)
        return -1;
    if (since <= COPIES_BELOW_POSITION)
        return copyparts_unstage(&w->copies.copying, ended, "its notes were changed", err);
    since -= COPIES_BELOW_POSITION;
    if (count_from(w, table, version_at(table, state_position(w)), &count, err) != 0)
        return -1;
    if (count > 0)
        return refuse_planted(w, table, state_position(w), err);
    if (remove_surplus(w, table, since, &removed, err) != 0 ||
        resyncnotes_end(notes, ended->relid, err) != 0)
        return -1;
    log_write(w->log, LOG_INFO, "%s is copied again: %" PRIu64 " rows were surplus",
              table->source_name, removed);
    return 0;
}

static int
settle_table(struct worker *w, const struct copypart *ended, bool *done, struct err *err)
{
    bool missing = false;

    if (w->intake.hello.shard != 0)
        return resyncnotes_are_done(&w->copies.notes, ended->relid, done, err);
    if (copymissing_any_of(&w->copies.missing, ended->relid, &missing, err) != 0)
        return -1;
    *done = !missing;
    return missing ? 0 : finish(w, ended, err);
}

static int
set_states(struct worker *w, struct copypart *first, bool done, struct err *err)
{
    copyresync_set(first, done);
    for (struct copypart *at = first; at != NULL; at = at->table_next) {
        if (done && !at->gone)
            copyparts_changed(&w->copies.copying, at);
        if (!done && !at->gone && !at->out && at->ended_life != 0 &&
            copymissing_list(&w->copies.missing, at->relid, &at->missing, err) != 0)
            return -1;
    }
    return 0;
}

int
resync_settle(struct worker *w, struct err *err)
{
    struct copying *c = &w->copies.copying;

    for (struct copypart *part = c->parts; part != NULL; part = part->next) {
        const struct copypart *ended =
            part == copyparts_first(c, part->relid) ? copyresync_last_ended(part) : NULL;
        bool done = false;

        if (ended == NULL)
            continue;
        if (settle_table(w, ended, &done, err) != 0 || set_states(w, part, done, err) != 0)
            return -1;
    }
    return 0;
}

void
resync_failed(struct worker *w)
{
    const uint32_t relid = w->copies.copying.unstage;
    struct err ignored = {0};

    if (relid != 0 && resyncnotes_restart(&w->copies.notes, relid, &ignored) != 0)
        log_write(w->log, LOG_WARNING, "%s", ignored.message);
}
