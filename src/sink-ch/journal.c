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

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/lsn.h"
#include "sink-ch/notetable.h"

#define TABLE  "walpipe_progress"
#define LAYOUT "layout"

/* The layout of a row that was written before layouts were noted. */
#define LAYOUT_UNKNOWN "0"

/* Workers of a sink start at the same moment, and old servers answer the second CREATE TABLE IF NOT
 * EXISTS with an error while the first is carried out. */
#define OPEN_TRIES       3
#define OPEN_WAIT_MILLIS 200

/* How long a node of a cluster may lack the last notes. */
#define BEHIND_TRIES       25
#define BEHIND_WAIT_MILLIS 200

/* How long a mutation may take. */
#define DROP_TRIES       300
#define DROP_WAIT_MILLIS 100

static void
put_number(struct buf *sql, uint64_t n)
{
    char text[24];

    snprintf(text, sizeof text, "%" PRIu64, n);
    server_put_text(sql, text);
}

static void
put_table(const struct journal *j, struct buf *sql)
{
    server_put_name(sql, j->database);
    server_put_text(sql, "." TABLE);
}

static int
make_table(struct journal *j, struct err *err)
{
    struct buf sql = {0};

    server_put_text(&sql, "CREATE TABLE IF NOT EXISTS ");
    put_table(j, &sql);
    server_put_text(&sql, " (pipeline String, sink String, shard UInt32, shards UInt32, "
                          "system_identifier UInt64, timeline UInt32, slot String, lsn UInt64, "
                          "updated_at DateTime DEFAULT now(), " LAYOUT " UInt64) "
                          "ENGINE = ReplacingMergeTree(lsn) ORDER BY (pipeline, sink, "
                          "system_identifier, timeline, slot, shards, shard, " LAYOUT ")");
    return server_statement(j->server, "create " TABLE, &sql, err);
}

static struct notetable
as_notetable(const struct journal *j)
{
    return (struct notetable){.server = j->server, .database = j->database};
}

/* An old table has no column for the layout. Then the layout is not in its sorting key, so a row
 * may replace one of another layout. The rows that remain are still correct. */
static int
add_layout(struct journal *j, struct err *err)
{
    struct notetable table = as_notetable(j);

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

static void
put_where_sink(const struct journal *j, const char *sink, struct buf *sql)
{
    server_put_text(sql, " WHERE pipeline = ");
    server_put_literal(sql, j->pipeline);
    server_put_text(sql, " AND sink = ");
    server_put_literal(sql, sink);
}

static void
put_where(const struct journal *j, uint32_t timeline, struct buf *sql)
{
    server_put_text(sql, " FROM ");
    put_table(j, sql);
    put_where_sink(j, j->hello->sink, sql);
    server_put_text(sql, " AND system_identifier = ");
    put_number(sql, j->hello->system_identifier);
    server_put_text(sql, " AND timeline = ");
    put_number(sql, timeline);
    server_put_text(sql, " AND slot = ");
    server_put_literal(sql, j->hello->slot);
}

/* The lowest position of each group of workers that is complete. */
static void
put_groups(const struct journal *j, uint32_t timeline, struct buf *sql)
{
    server_put_text(sql, "SELECT if(layout_ = " LAYOUT_UNKNOWN " AND shards > 1, least(min(l), ");
    put_number(sql, j->hello->start_lsn);
    server_put_text(sql, "), min(l)) AS x FROM (SELECT shards, shard, ");
    server_put_text(sql, j->has_layout ? LAYOUT : LAYOUT_UNKNOWN);
    server_put_text(sql, " AS layout_, max(lsn) AS l");
    put_where(j, timeline, sql);
    server_put_text(sql, " GROUP BY shards, shard, layout_) GROUP BY shards, layout_ "
                         "HAVING count() = shards");
}

/* That of this worker. */
static void
put_own(const struct journal *j, uint32_t timeline, struct buf *sql)
{
    server_put_text(sql, "SELECT max(lsn) AS x");
    put_where(j, timeline, sql);
    server_put_text(sql, " AND shards = ");
    put_number(sql, j->hello->shards);
    server_put_text(sql, " AND shard = ");
    put_number(sql, j->hello->shard);
    server_put_text(sql, " AND " LAYOUT " = ");
    put_number(sql, j->layout_hash);
}

static int
read_table(struct journal *j, uint32_t timeline, uint64_t *lsn, struct err *err)
{
    struct buf sql = {0}, *answer = &j->server->answer.body;

    server_put_text(&sql, "SELECT max(x) FROM (");
    put_groups(j, timeline, &sql);
    if (j->has_layout) {
        server_put_text(&sql, " UNION ALL ");
        put_own(j, timeline, &sql);
    }
    server_put_text(&sql, ") FORMAT TabSeparated");
    if (server_query(j->server, "read " TABLE, &sql, err) != 0)
        return -1;
    buf_append(answer, "", 1);
    if (answer->failed)
        return err_set(err, EXIT_PEER, "out of memory for an answer");
    *lsn = strtoull((const char *)answer->data + answer->start, NULL, 10);
    return 0;
}

/* Less than the confirmed LSN means that the changes between never came here: the sink was left out
 * of the config for a time, or the target is an older copy of itself. */
static int
read_settled(struct journal *j, uint64_t *lsn, struct err *err)
{
    for (int i = 0; i < BEHIND_TRIES; i++) {
        if (i > 0)
            poll(NULL, 0, BEHIND_WAIT_MILLIS);
        if (read_table(j, j->hello->timeline, lsn, err) != 0)
            return -1;
        if (*lsn == 0 || *lsn >= j->hello->start_lsn)
            return 0;
    }
    return 0;
}

/* A position of the timeline before is not used as one of this timeline. But if the slot is ahead
 * of it, the changes between never came here. */
static int
look_before(struct journal *j, uint64_t *durable, struct err *err)
{
    uint64_t lsn;

    if (*durable != 0 || j->hello->previous_timeline == 0)
        return 0;
    if (read_table(j, j->hello->previous_timeline, &lsn, err) != 0)
        return -1;
    if (lsn < j->hello->start_lsn)
        *durable = lsn;
    return 0;
}

/* ---- other histories ---- */

/* No slot has an empty name. Such a row records that a history was adopted. */
#define ADOPTED_SLOT ""

/* Marks a row that was written before the changes that it announces. */
#define ANNOUNCED_SHARDS 0

struct seen {
    uint64_t other_system;  /* 0 if none */
    uint32_t last_timeline; /* of this system, 0 if none */
    uint64_t last_lsn;      /* that was noted or announced there */
    bool announced;         /* it was not noted */
};

static int
read_seen(struct journal *j, struct seen *seen, struct err *err)
{
    struct buf sql = {0};
    uint64_t system, timeline, lsn, noted;
    char *at;

    server_put_text(&sql, "SELECT system_identifier, timeline, max(lsn), "
                          "maxIf(lsn, shards > 0), countIf(slot = '" ADOPTED_SLOT "') FROM ");
    put_table(j, &sql);
    put_where_sink(j, j->hello->sink, &sql);
    server_put_text(&sql, " GROUP BY system_identifier, timeline FORMAT TabSeparated");
    if (server_query(j->server, "read " TABLE, &sql, err) != 0)
        return -1;
    buf_append(&j->server->answer.body, "", 1);
    if (j->server->answer.body.failed)
        return err_set(err, EXIT_PEER, "out of memory for an answer");
    at = (char *)j->server->answer.body.data + j->server->answer.body.start;
    for (; *at != '\0'; at += *at == '\n') {
        system = strtoull(at, &at, 10);
        timeline = strtoull(at, &at, 10);
        lsn = strtoull(at, &at, 10);
        noted = strtoull(at, &at, 10);
        j->adopted = strtoull(at, &at, 10) > 0 || j->adopted;
        if (lsn > j->highest)
            j->highest = lsn;
        if (*at != '\n')
            return err_set(err, EXIT_PEER, "could not read " TABLE ": malformed answer");
        if (system != j->hello->system_identifier) {
            seen->other_system = system;
        } else if (timeline >= seen->last_timeline) {
            seen->last_timeline = (uint32_t)timeline;
            seen->last_lsn = lsn;
            seen->announced = lsn > noted;
        }
    }
    return 0;
}

static int
refuse_seen(const struct journal *j, const struct seen *seen, struct err *err)
{
    const struct hello *hello = j->hello;

    if (seen->last_timeline == 0)
        err_set(err, EXIT_REFUSED,
                "the target holds what sink %s wrote from another cluster: " TABLE
                " has system identifier %" PRIu64 ", the source %" PRIu64,
                hello->sink, seen->other_system, hello->system_identifier);
    else if (seen->last_timeline > hello->timeline)
        err_set(err, EXIT_REFUSED,
                "the source is on timeline %" PRIu32 ", and the target has what sink %s wrote from "
                "the later timeline %" PRIu32 ": this is the primary from before a promotion, or a "
                "backup",
                hello->timeline, hello->sink, seen->last_timeline);
    else if (seen->last_timeline == hello->previous_timeline)
        err_set(err, EXIT_REFUSED,
                "the source left timeline %" PRIu32 " at %s, and sink %s %s in its target changes "
                "of that timeline up to %s, which the source never had",
                seen->last_timeline, lsn_format(hello->switch_lsn).text, hello->sink,
                seen->announced ? "may have" : "has", lsn_format(seen->last_lsn).text);
    else
        err_set(err, EXIT_REFUSED,
                "the progress of sink %s is of timeline %" PRIu32 ", up to %s, the source is on "
                "timeline %" PRIu32 ", which branched off from timeline %" PRIu32,
                hello->sink, seen->last_timeline, lsn_format(seen->last_lsn).text, hello->timeline,
                hello->previous_timeline);
    return err_hint(
        err,
        "stop walpipe, run walpipe drop, empty the tables in the targets, set copy = yes, and "
        "start again; or correct the rows in ClickHouse where they are, and run \"walpipe adopt\"");
}

static int
judge_seen(struct journal *j, struct err *err)
{
    const struct hello *hello = j->hello;
    struct seen seen = {0};

    if (read_seen(j, &seen, err) != 0)
        return -1;
    j->last_timeline = seen.last_timeline;
    if (seen.last_timeline == hello->timeline ||
        (seen.last_timeline != 0 && seen.last_timeline == hello->previous_timeline))
        j->before = seen.last_lsn;
    if (seen.last_timeline == hello->timeline)
        j->known = JOURNAL_OURS;
    else if (seen.last_timeline != 0 && seen.last_timeline == hello->previous_timeline &&
             seen.last_lsn <= hello->switch_lsn)
        j->known = JOURNAL_PREVIOUS;
    else if (seen.last_timeline != 0 || seen.other_system != 0)
        return refuse_seen(j, &seen, err);
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
            rc = read_settled(j, &lsn, err);
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
    return judge_seen(j, err) != 0 ? -1 : look_before(j, durable, err);
}

static int
look_for_table(struct journal *j, bool *there, struct err *err)
{
    struct buf sql = {0};
    const struct buf *answer = &j->server->answer.body;

    server_put_text(&sql, "SELECT count() FROM system.tables WHERE database = ");
    server_put_literal(&sql, j->database);
    server_put_text(&sql, " AND name = '" TABLE "' FORMAT TabSeparated");
    if (server_query(j->server, "look for " TABLE, &sql, err) != 0)
        return -1;
    *there = buf_len(answer) > 0 && answer->data[answer->start] != '0';
    return 0;
}

int
journal_look(struct journal *j, struct err *why, struct err *err)
{
    bool there;

    if (look_for_table(j, &there, err) != 0)
        return -1;
    if (!there || judge_seen(j, why) == 0)
        return 0;
    if (why->code == EXIT_REFUSED)
        return 1;
    *err = *why;
    return -1;
}

/* ---- without a stream ---- */

/* A row for each source, timeline, slot, number of workers and layout, the latest first. */
static int
ask_groups(struct journal *j, struct err *err)
{
    struct buf sql = {0}, *answer = &j->server->answer.body;
    struct notetable table = as_notetable(j);
    bool has;

    if (notetable_has_column(&table, TABLE, LAYOUT, &has, err) != 0)
        return -1;
    server_put_text(&sql, "SELECT system_identifier, timeline, shards, count() = shards, min(l), "
                          "max(l), max(l) > 0 OR slot = '" ADOPTED_SLOT
                          "' FROM (SELECT system_identifier, timeline, slot, shards, shard, ");
    server_put_text(&sql, has ? LAYOUT : LAYOUT_UNKNOWN);
    server_put_text(&sql, " AS layout_, max(lsn) AS l, max(updated_at) AS u FROM ");
    put_table(j, &sql);
    put_where_sink(j, j->hello->sink, &sql);
    server_put_text(&sql, " GROUP BY system_identifier, timeline, slot, shards, shard, layout_) "
                          "GROUP BY system_identifier, timeline, slot, shards, layout_ ORDER BY "
                          "max(u) DESC, timeline DESC, max(l) DESC FORMAT TabSeparated");
    if (server_query(j->server, "read " TABLE, &sql, err) != 0)
        return -1;
    buf_append(answer, "", 1);
    return answer->failed ? err_set(err, EXIT_PEER, "out of memory for an answer") : 0;
}

struct group {
    uint64_t system, timeline, shards, complete, lowest, highest, any;
};

/* The result of all groups, besides the summary. */
struct positions {
    uint64_t common;  /* of all workers at the latest note, 0 if they differ */
    uint64_t highest; /* of any worker, announced ones included */
};

static void
add_group(struct journal_summary *s, struct positions *p, const struct group *g)
{
    s->any = g->any > 0 || s->any;
    if (s->system_identifier == 0)
        s->system_identifier = g->system;
    if (g->system != s->system_identifier)
        return;
    if (g->highest > p->highest)
        p->highest = g->highest;
    if (g->shards == ANNOUNCED_SHARDS)
        return;
    if (s->workers == 0) {
        s->workers = (uint32_t)g->shards;
        s->timeline = (uint32_t)g->timeline;
        p->common = g->complete > 0 && g->lowest == g->highest ? g->lowest : 0;
    }
    if (g->complete > 0 && g->lowest > s->durable)
        s->durable = g->lowest;
}

/* Reads the line at *at. */
static bool
read_group(char **at, struct group *g)
{
    uint64_t *const fields[] = {&g->system, &g->timeline, &g->shards, &g->complete,
                                &g->lowest, &g->highest,  &g->any};

    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        *fields[i] = strtoull(*at, at, 10);
    return *(*at)++ == '\n';
}

int
journal_sum_up(struct journal *j, struct journal_summary *s, struct err *err)
{
    struct positions positions = {0};
    struct group group;
    bool there;
    char *at;

    *s = (struct journal_summary){0};
    if (look_for_table(j, &there, err) != 0 || (there && ask_groups(j, err) != 0))
        return -1;
    if (!there)
        return 0;
    at = (char *)j->server->answer.body.data + j->server->answer.body.start;
    while (*at != '\0') {
        if (!read_group(&at, &group))
            return err_set(err, EXIT_PEER, "could not read " TABLE ": malformed answer");
        add_group(s, &positions, &group);
    }
    s->settled =
        positions.common != 0 && positions.common == s->durable && positions.highest <= s->durable;
    return 0;
}

/* ---- notes ---- */

/* One row of the table. */
static int
put_note(struct journal *j, const char *slot, uint32_t shard, uint32_t shards, uint64_t lsn,
         struct err *err)
{
    struct buf sql = {0};

    server_put_text(&sql, "INSERT INTO ");
    put_table(j, &sql);
    server_put_text(&sql,
                    " (pipeline, sink, shard, shards, system_identifier, timeline, slot, lsn");
    server_put_text(&sql, j->has_layout ? ", " LAYOUT ") VALUES (" : ") VALUES (");
    server_put_literal(&sql, j->pipeline);
    server_put_text(&sql, ", ");
    server_put_literal(&sql, j->hello->sink);
    server_put_text(&sql, ", ");
    put_number(&sql, shard);
    server_put_text(&sql, ", ");
    put_number(&sql, shards);
    server_put_text(&sql, ", ");
    put_number(&sql, j->hello->system_identifier);
    server_put_text(&sql, ", ");
    put_number(&sql, j->hello->timeline);
    server_put_text(&sql, ", ");
    server_put_literal(&sql, slot);
    server_put_text(&sql, ", ");
    put_number(&sql, lsn);
    if (j->has_layout) {
        server_put_text(&sql, ", ");
        put_number(&sql, j->layout_hash);
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
    return note_as(j, ANNOUNCED_SHARDS, j->announced, err);
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
    put_where_sink(j, sink, sql);
    if (which == FORGET_PROGRESS)
        server_put_text(sql, " AND shards > 0");
    if (which != FORGET_OTHERS)
        return;
    server_put_text(sql, " AND NOT (system_identifier = ");
    put_number(sql, j->hello->system_identifier);
    server_put_text(sql, " AND timeline = ");
    put_number(sql, j->hello->timeline);
    server_put_text(sql, ")");
}

static int
count_notes(struct journal *j, const char *sink, enum forgotten which, bool *any, struct err *err)
{
    struct buf sql = {0}, *answer = &j->server->answer.body;

    server_put_text(&sql, "SELECT count() FROM ");
    put_table(j, &sql);
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
    put_table(j, &sql);
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
    return make_table(j, err) != 0 ? -1 : put_note(j, ADOPTED_SLOT, 0, 0, 0, err);
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
    rc = put_note(j, hello->slot, 0, ANNOUNCED_SHARDS, j->before, err);
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
