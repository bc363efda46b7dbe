/* journal.c: see journal.h.
 *
 * A row records the progress of one of `shards` workers under one layout. Positions of another
 * cluster, timeline or slot have no meaning for this one. Under another layout other workers had
 * the rows of this one, so a new worker only has everything up to the lowest position of all old
 * workers. Older tables of walpipe have no column for the layout, and a position in them may be of
 * several layouts. It proves that the slot is right, but not that a worker may skip changes before
 * it. A row with 0 workers does not record progress. It records that rows up to its LSN may be in
 * ClickHouse. */
#include "sink-ch/journal.h"

#include <poll.h>

#include "sink-ch/notetable.h"

#define TABLE  POSITIONS_TABLE
#define LAYOUT POSITIONS_LAYOUT

/* Workers of a sink start at the same moment, and old servers answer the second CREATE TABLE IF NOT
 * EXISTS with an error while the first is carried out. */
#define OPEN_TRIES       3
#define OPEN_WAIT_MILLIS 200

/* How long a mutation may take. */
#define DROP_TRIES       300
#define DROP_WAIT_MILLIS 100

static int
make_table(struct journal *j, struct err *err)
{
    struct buf sql = {0};

    server_put_text(&sql, "CREATE TABLE IF NOT EXISTS ");
    positions_put_table(j, &sql);
    server_put_text(&sql, " (pipeline String, sink String, shard UInt32, shards UInt32, "
                          "system_identifier UInt64, timeline UInt32, slot String, lsn UInt64, "
                          "updated_at DateTime DEFAULT now(), " LAYOUT " UInt64) "
                          "ENGINE = ReplacingMergeTree(lsn) ORDER BY (pipeline, sink, "
                          "system_identifier, timeline, slot, shards, shard, " LAYOUT ")");
    return server_statement(j->server, "create " TABLE, &sql, err);
}

/* An old table has no column for the layout. Then the layout is not in its sorting key, so a row
 * may replace one of another layout. The rows that remain are still correct. */
static int
add_layout(struct journal *j, struct err *err)
{
    const struct notetable table = {.server = j->server, .database = j->database};

    if (layout_hash(j->layout, &j->layout_hash) != 0)
        return err_set(err, EXIT_PEER, "out of memory for the layout");
    j->has_layout = notetable_add_column(&table, TABLE, LAYOUT, "UInt64", err) == 0;
    if (j->has_layout)
        return 0;
    if (err->code != EXIT_REFUSED)
        return -1;
    if (j->hello->shards > 1)
        log_write(j->server->log, LOG_WARNING,
                  "%s; continuing without it: after a start, the positions of several workers "
                  "prove only that the slot is right; %s",
                  err->message, err->hint);
    *err = (struct err){0};
    return 0;
}

int
journal_open(struct journal *j, uint64_t *durable, struct err *err)
{
    uint64_t lsn = 0;
    int rc = -1;

    *durable = 0;
    for (int i = 0; i < OPEN_TRIES && rc != 0; i++) {
        if (i > 0)
            poll(NULL, 0, OPEN_WAIT_MILLIS);
        rc = make_table(j, err);
        if (rc == 0)
            rc = add_layout(j, err);
        if (rc == 0)
            rc = positions_read(j, &lsn, err);
        if (rc != 0 && err->code != EXIT_REFUSED)
            return -1;
    }
    if (rc != 0) {
        j->off = true;
        log_write(
            j->server->log, LOG_WARNING,
            "%s; continuing without it: a second walpipe, on another machine, could not take over "
            "from this one without its state directory",
            err->message);
        *err = (struct err){0};
        return 0;
    }
    j->found = *durable = lsn;
    return positions_judge(j, err) != 0 ? -1 : positions_look_before(j, durable, err);
}

int
journal_look(struct journal *j, struct err *why, struct err *err)
{
    const struct notetable table = {.server = j->server, .database = j->database};
    bool there;

    if (notetable_exists(&table, TABLE, &there, err) != 0)
        return -1;
    if (!there || positions_judge(j, why) == 0)
        return 0;
    if (why->code == EXIT_REFUSED)
        return 1;
    *err = *why;
    return -1;
}

/* ---- notes ---- */

/* One row of the table. */
static int
put_note(struct journal *j, const char *slot, uint32_t shard, uint32_t shards, uint64_t lsn,
         struct err *err)
{
    struct buf sql = {0};

    server_put_text(&sql, "INSERT INTO ");
    positions_put_table(j, &sql);
    server_put_text(&sql,
                    " (pipeline, sink, shard, shards, system_identifier, timeline, slot, lsn");
    server_put_text(&sql, j->has_layout ? ", " LAYOUT ") VALUES (" : ") VALUES (");
    server_put_literal(&sql, j->pipeline);
    server_put_text(&sql, ", ");
    server_put_literal(&sql, j->hello->sink);
    server_put_text(&sql, ", ");
    notetable_put_number(&sql, shard);
    server_put_text(&sql, ", ");
    notetable_put_number(&sql, shards);
    server_put_text(&sql, ", ");
    notetable_put_number(&sql, j->hello->system_identifier);
    server_put_text(&sql, ", ");
    notetable_put_number(&sql, j->hello->timeline);
    server_put_text(&sql, ", ");
    server_put_literal(&sql, slot);
    server_put_text(&sql, ", ");
    notetable_put_number(&sql, lsn);
    if (j->has_layout) {
        server_put_text(&sql, ", ");
        notetable_put_number(&sql, j->layout_hash);
    }
    server_put_text(&sql, ")");
    return server_statement(j->server, "note the progress in " TABLE, &sql, err);
}

/* Without the right to write notes, the worker does not try again. */
static int
note_as(struct journal *j, uint32_t shards, uint64_t lsn, struct err *err)
{
    if (j->off || put_note(j, j->hello->slot, j->hello->shard, shards, lsn, err) == 0)
        return 0;
    if (err->code != EXIT_REFUSED)
        return -1;
    log_write(j->server->log, LOG_WARNING, "%s; going on without", err->message);
    j->off = true;
    *err = (struct err){0};
    return 0;
}

int
journal_note(struct journal *j, uint64_t lsn, struct err *err)
{
    return note_as(j, j->hello->shards, lsn, err);
}

/* The transaction's commit record begins there, so rows beyond it contain more of it. */
int
journal_announce(struct journal *j, uint64_t commit_lsn, struct err *err)
{
    if (commit_lsn < j->announced)
        return 0;
    j->announced = commit_lsn + 1;
    return note_as(j, POSITIONS_ANNOUNCED, j->announced, err);
}

int
journal_claim(struct journal *j, struct err *err)
{
    if (j->off || j->known == JOURNAL_OURS)
        return 0;
    j->known = JOURNAL_OURS;
    return journal_note(j, 0, err);
}

/* ---- forgetting ---- */

enum forgotten {
    FORGET_ALL,     /* notes of the sink */
    FORGET_OTHERS,  /* of these, those of other histories than the source's */
    FORGET_PROGRESS /* of these, those that record progress */
};

static void
put_where_forgotten(const struct journal *j, const char *sink, enum forgotten which,
                    struct buf *sql)
{
    positions_put_where_sink(j, sink, sql);
    if (which == FORGET_PROGRESS)
        server_put_text(sql, " AND shards > 0");
    if (which != FORGET_OTHERS)
        return;
    server_put_text(sql, " AND NOT (system_identifier = ");
    notetable_put_number(sql, j->hello->system_identifier);
    server_put_text(sql, " AND timeline = ");
    notetable_put_number(sql, j->hello->timeline);
    server_put_text(sql, ")");
}

static int
count_notes(struct journal *j, const char *sink, enum forgotten which, bool *any, struct err *err)
{
    struct buf sql = {0}, *answer = &j->server->answer.body;

    server_put_text(&sql, "SELECT count() FROM ");
    positions_put_table(j, &sql);
    put_where_forgotten(j, sink, which, &sql);
    server_put_text(&sql, " FORMAT TabSeparated");
    if (server_query(j->server, "read " TABLE, &sql, err) != 0)
        return -1;
    *any = buf_len(answer) == 0 || answer->data[answer->start] != '0';
    return 0;
}

static int
forget(struct journal *j, const char *sink, enum forgotten which, struct err *err)
{
    struct buf sql = {0};
    bool any;

    if (count_notes(j, sink, which, &any, err) != 0)
        return -1;
    if (!any)
        return 0;
    server_put_text(&sql, "ALTER TABLE ");
    positions_put_table(j, &sql);
    server_put_text(&sql, " DELETE");
    put_where_forgotten(j, sink, which, &sql);
    if (server_statement(j->server, "delete from " TABLE, &sql, err) != 0)
        return -1;
    for (int i = 0; any && i < DROP_TRIES; i++) { /* it is carried out in the background */
        poll(NULL, 0, DROP_WAIT_MILLIS);
        if (count_notes(j, sink, which, &any, err) != 0)
            return -1;
    }
    if (!any)
        return 0;
    err_set(err, EXIT_PEER, "could not delete from " TABLE ": the rows are still there");
    return err_hint(
        err,
        "the reason is in the table system.mutations of ClickHouse: correct it, and try again");
}

int
journal_drop(struct journal *j, const char *sink, struct err *err)
{
    return make_table(j, err) != 0 ? -1 : forget(j, sink, FORGET_ALL, err);
}

int
journal_adopt(struct journal *j, struct err *err)
{
    return make_table(j, err) != 0 ? -1 : put_note(j, POSITIONS_ADOPTED_SLOT, 0, 0, 0, err);
}

int
journal_forget_others(struct journal *j, struct err *err)
{
    return forget(j, j->hello->sink, FORGET_OTHERS, err);
}

/* In the history of the last note, which journal_look has found to be the source's, or the one that
 * it came from. The rows up to there must not come to another history. */
static int
announce_last(struct journal *j, struct err *err)
{
    const struct hello *hello = j->hello;
    struct hello last = *hello;
    int rc;

    if (j->before == 0)
        return 0;
    last.timeline = j->last_timeline;
    j->hello = &last;
    rc = put_note(j, hello->slot, 0, POSITIONS_ANNOUNCED, j->before, err);
    j->hello = hello;
    return rc;
}

int
journal_begin_anew(struct journal *j, struct err *err)
{
    return make_table(j, err) != 0 || announce_last(j, err) != 0
               ? -1
               : forget(j, j->hello->sink, FORGET_PROGRESS, err);
}
