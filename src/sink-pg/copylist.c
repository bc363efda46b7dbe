/* copylist.c: see copylist.h. Reads only, and creates nothing in a target that never had a copy. */
#include "sink-pg/copylist.h"

#include <stdlib.h>

#include "lib/copynote.h"
#include "lib/lsn.h"
#include "sink-pg/notetables.h"
#include "sink-pg/owntables.h"
#include "sink-pg/skipnotes.h"

static const char what[] = "read walpipe.tables";

/* All queries see the target at one time, and none waits long for a lock. */
static const char begin[] = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; "
                            "SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = '20s'";

static const char read_position[] =
    "SELECT pg_catalog.min(lsn), pg_catalog.max(lsn), pg_catalog.max(shards), "
    "pg_catalog.count(*) = pg_catalog.max(shards) AND pg_catalog.min(lsn) = pg_catalog.max(lsn) "
    "AND pg_catalog.count(partial_commit_lsn) = 0 "
    "AND pg_catalog.min(system_identifier) = pg_catalog.max(system_identifier), "
    "pg_catalog.max(system_identifier), pg_catalog.min(timeline) "
    "FROM walpipe.progress WHERE pipeline = $1 AND sink = $2";

/* Workers of another layout that were beyond the position that all have now. */
static const char read_beyond[] =
    "SELECT 1 FROM walpipe.progress_before AS b WHERE pipeline = $1 AND sink = $2 "
    "AND greatest(lsn, partial_commit_lsn) > (SELECT pg_catalog.min(lsn) FROM walpipe.progress AS "
    "p "
    "WHERE p.pipeline = b.pipeline AND p.sink = b.sink) LIMIT 1";

/* Tables of an older walpipe lack the column behind. There the name means that of `older`. */
static const char read_parts[] =
    "SELECT t.* FROM (SELECT false AS behind) AS older CROSS JOIN LATERAL (SELECT relid, part, "
    "shard, state, l0, file, rows, (pg_catalog.date_part('epoch', updated_at) * 1000000)::bigint, "
    "done, schema, name, behind FROM walpipe.tables WHERE pipeline = $1 AND sink = $2) AS t "
    "ORDER BY relid, part, shard";

static const char read_missing[] =
    "SELECT relid, pg_catalog.count(*) FROM walpipe.missing WHERE pipeline = $1 AND sink = $2 "
    "GROUP BY relid ORDER BY relid";

static const char read_parked[] =
    "SELECT relid, (pg_catalog.date_part('epoch', since) * 1000000)::bigint, lsn, reason, hint "
    "FROM walpipe.parked WHERE pipeline = $1 AND sink = $2 AND resumed_at IS NULL ORDER BY relid";

static uint64_t
number(const PGresult *rows, int row, int column)
{
    return strtoull(PQgetvalue(rows, row, column), NULL, 10);
}

static PGresult *
ask(struct session *s, const char *sql, const char *const params[2], int most, const char *columns,
    struct err *err)
{
    return pqx_shaped(pqx_exec_params(s->conn, what, sql, 2, params, err), what, 0, most, columns,
                      err);
}

static int
look_beyond(struct session *s, const char *const params[2], struct copynote *sink, struct err *err)
{
    PGresult *rows;
    bool exists;

    if (owntables_exist(s, "progress_before", &exists, err) != 0)
        return -1;
    if (!exists)
        return 0;
    rows = ask(s, read_beyond, params, 1, "v", err);
    if (rows == NULL)
        return -1;
    sink->settled = sink->settled && PQntuples(rows) == 0;
    PQclear(rows);
    return 0;
}

/* For tables without a note. A table of a sink that has applied a transaction is streaming, as it
 * is for a worker that begins to take copies. */
static int
fill_sink(struct session *s, const char *const params[2], struct copynote *sink, struct err *err)
{
    PGresult *rows = ask(s, read_position, params, 1, "??????", err);
    uint64_t highest = 0;

    if (rows == NULL)
        return -1;
    if (!PQgetisnull(rows, 0, 0) && (!lsn_parse(PQgetvalue(rows, 0, 0), &sink->lsn) ||
                                     !lsn_parse(PQgetvalue(rows, 0, 1), &highest)))
        sink->lsn = 0;
    sink->workers = (uint32_t)number(rows, 0, 2);
    sink->settled = sink->lsn != 0 && PQgetvalue(rows, 0, 3)[0] == 't';
    sink->system = number(rows, 0, 4);
    sink->timeline = (uint32_t)number(rows, 0, 5);
    sink->state = highest > 0 ? "streaming" : "waiting";
    PQclear(rows);
    return look_beyond(s, params, sink, err);
}

/* The first row may represent all tables. */
static void
print_parts(const PGresult *rows, struct copynote *sink, struct buf *out)
{
    for (int i = 0; i < PQntuples(rows); i++) {
        struct copynote part = {.kind = COPYNOTE_PART,
                                .relid = (uint32_t)number(rows, i, 0),
                                .part = (uint32_t)number(rows, i, 1),
                                .shard = (uint32_t)number(rows, i, 2),
                                .state = PQgetvalue(rows, i, 3),
                                .file = (uint32_t)number(rows, i, 5),
                                .count = number(rows, i, 6),
                                .updated = number(rows, i, 7),
                                .done = PQgetvalue(rows, i, 8),
                                .schema = PQgetvalue(rows, i, 9),
                                .name = PQgetvalue(rows, i, 10),
                                .behind = PQgetvalue(rows, i, 11)[0] == 't'};

        if (!lsn_parse(PQgetvalue(rows, i, 4), &part.lsn))
            part.lsn = 0;
        if (part.relid != 0) {
            copynote_print(&part, out);
            continue;
        }
        sink->state = part.state;
        sink->noted = true;
    }
}

static void
print_missing(const PGresult *rows, struct buf *out)
{
    for (int i = 0; i < PQntuples(rows); i++) {
        struct copynote missing = {.kind = COPYNOTE_MISSING,
                                   .relid = (uint32_t)number(rows, i, 0),
                                   .count = number(rows, i, 1)};

        copynote_print(&missing, out);
    }
}

static int
print_parked(struct session *s, const char *const params[2], struct buf *out, struct err *err)
{
    PGresult *rows;
    bool exists;

    if (owntables_exist(s, "parked", &exists, err) != 0)
        return -1;
    if (!exists)
        return 0;
    rows = ask(s, read_parked, params, PQX_ROWS, "vvvvv", err);
    if (rows == NULL)
        return -1;
    for (int i = 0; i < PQntuples(rows); i++) {
        struct copynote parked = {.kind = COPYNOTE_PARKED,
                                  .relid = (uint32_t)number(rows, i, 0),
                                  .updated = number(rows, i, 1),
                                  .message = PQgetvalue(rows, i, 3),
                                  .hint = PQgetvalue(rows, i, 4)};

        if (!lsn_parse(PQgetvalue(rows, i, 2), &parked.lsn))
            parked.lsn = 0;
        copynote_print(&parked, out);
    }
    PQclear(rows);
    return 0;
}

static int
print_notes(struct session *s, const char *const params[2], struct copynote *sink, struct buf *out,
            struct err *err)
{
    PGresult *parts = ask(s, read_parts, params, PQX_ROWS, "vvvvvvvvvvvv", err);
    PGresult *missing = parts == NULL ? NULL : ask(s, read_missing, params, PQX_ROWS, "vv", err);
    int rc = missing == NULL ? -1 : 0;

    if (rc == 0) {
        print_parts(parts, sink, out);
        copynote_print(sink, out);
        print_missing(missing, out);
    }
    PQclear(parts);
    PQclear(missing);
    return rc == 0 ? print_parked(s, params, out, err) : -1;
}

static int
look(struct session *s, const char *const params[2], struct buf *out, struct err *err)
{
    const struct skipnotes skips = {.pipeline = params[0], .sink = params[1]};
    struct copynote sink = {.kind = COPYNOTE_SINK, .state = "waiting"};
    bool progress, notes;

    if (session_open(s, err) != 0 || session_exec(s, what, begin, err) != 0)
        return -1;
    if (owntables_exist(s, "progress", &progress, err) != 0 ||
        notetables_exist(s, &notes, err) != 0)
        return -1;
    if (progress && fill_sink(s, params, &sink, err) != 0)
        return -1;
    if (notes && print_notes(s, params, &sink, out, err) != 0)
        return -1;
    if (!notes)
        copynote_print(&sink, out);
    return skipnotes_list(&skips, s, out, err);
}

int
copylist_print(struct session *s, const char *pipeline, const char *sink, FILE *out,
               struct err *err)
{
    const char *params[] = {pipeline, sink};
    struct buf lines = {0};
    int rc = copynote_answer(&lines, look(s, params, &lines, err), out, err);

    buf_free(&lines);
    return rc;
}
