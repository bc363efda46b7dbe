/* skipnotes.c: see skipnotes.h. */
#include "sink-pg/skipnotes.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/copynote.h"
#include "lib/lsn.h"
#include "sink-pg/owntables.h"
#include "sink-pg/progress.h"

static const char create_tables[] =
    "CREATE TABLE IF NOT EXISTS walpipe.skips ("
    "pipeline text NOT NULL, sink text NOT NULL, lsn pg_lsn NOT NULL,"
    "schema text NOT NULL, name text NOT NULL, met boolean NOT NULL DEFAULT false,"
    "asked_at timestamptz NOT NULL DEFAULT pg_catalog.now(),"
    "PRIMARY KEY (pipeline, sink, lsn, schema, name));"
    "CREATE TABLE IF NOT EXISTS walpipe.lacks ("
    "pipeline text NOT NULL, sink text NOT NULL, relid oid NOT NULL, lsn pg_lsn NOT NULL,"
    "shard integer NOT NULL, schema text NOT NULL, name text NOT NULL, changes bigint NOT NULL,"
    "skipped_at timestamptz NOT NULL DEFAULT pg_catalog.now(),"
    "PRIMARY KEY (pipeline, sink, relid, lsn, shard))";

/* The table was copied from a position behind the transaction on, in all its parts and workers. */
#define COPIED_SINCE                                                                               \
    "(SELECT pg_catalog.bool_and(t.state IN ('streaming', 'out-streaming') AND t.l0 > k.lsn) "     \
    "FROM walpipe.tables AS t WHERE t.pipeline = k.pipeline AND t.sink = k.sink "                  \
    "AND t.relid = k.relid)"

static int
exist(struct session *s, const char *names, bool *there, struct err *err)
{
    return owntables_exist(s, names, there, err);
}

/* ---- a worker ---- */

static void
tell_end(const struct session *s, const PGresult *rows, int row)
{
    const char *lsn = PQgetvalue(rows, row, 0), *schema = PQgetvalue(rows, row, 1);
    bool met = PQgetvalue(rows, row, 3)[0] == 't', lacks = PQgetvalue(rows, row, 4)[0] == 't';

    if (!met)
        log_write(s->log, LOG_WARNING,
                  "nothing was skipped for %s: no transaction with changes for this sink has "
                  "committed there",
                  lsn);
    else if (!lacks)
        log_write(s->log, LOG_WARNING,
                  "nothing was skipped for %s: the transaction has no change of %s%s%s that had "
                  "to be applied",
                  lsn, schema[0] == '\0' ? "a table" : schema, schema[0] == '\0' ? "" : ".",
                  PQgetvalue(rows, row, 2));
    else
        log_write(s->log, LOG_INFO, "all workers have passed the transaction at %s that is skipped",
                  lsn);
}

/* Also a part of it counts as not passed. */
static const char remove_passed[] =
    "DELETE FROM walpipe.skips AS k WHERE pipeline = $1 AND sink = $2 AND NOT EXISTS (SELECT "
    "FROM walpipe.progress AS p WHERE p.pipeline = k.pipeline AND p.sink = k.sink "
    "AND p.lsn <= k.lsn) RETURNING lsn, schema, name, met, EXISTS (SELECT FROM walpipe.lacks AS l "
    "WHERE l.pipeline = k.pipeline AND l.sink = k.sink AND l.lsn = k.lsn AND (k.schema = '' "
    "OR (l.schema = k.schema AND l.name = k.name)))";

static int
remove_skips(const struct skipnotes *n, struct session *s, struct err *err)
{
    const char *params[] = {n->pipeline, n->sink};
    PGresult *rows =
        session_ask(s, "delete from walpipe.skips", remove_passed, 2, params, "vvvvv", err);

    if (rows == NULL)
        return -1;
    for (int i = 0; i < PQntuples(rows); i++)
        tell_end(s, rows, i);
    PQclear(rows);
    return 0;
}

static int
remove_lacks(const struct skipnotes *n, struct session *s, struct err *err)
{
    const char *params[] = {n->pipeline, n->sink};
    bool copies;

    if (exist(s, "tables", &copies, err) != 0)
        return -1;
    if (!copies)
        return 0;
    return session_run(
        s, "delete from walpipe.lacks",
        "DELETE FROM walpipe.lacks AS k WHERE pipeline = $1 AND sink = $2 AND " COPIED_SINCE, 2,
        params, err);
}

static int
take_skips(const PGresult *rows, struct skips *skips, struct err *err)
{
    for (int i = 0; i < PQntuples(rows); i++) {
        struct skip skip = {.met = PQgetvalue(rows, i, 3)[0] == 't'};

        snprintf(skip.table.schema, sizeof skip.table.schema, "%s", PQgetvalue(rows, i, 1));
        snprintf(skip.table.table, sizeof skip.table.table, "%s", PQgetvalue(rows, i, 2));
        if (!lsn_parse(PQgetvalue(rows, i, 0), &skip.lsn))
            return err_set(err, EXIT_REFUSED, "cannot read the rows of walpipe.skips");
        if (skips_add(skips, &skip, err) != 0)
            return -1;
    }
    return 0;
}

static int
load_skips(const struct skipnotes *n, struct session *s, struct skips *skips, struct err *err)
{
    const char *params[] = {n->pipeline, n->sink};
    PGresult *rows = session_ask(s, "read walpipe.skips",
                                 "SELECT lsn, schema, name, met FROM walpipe.skips "
                                 "WHERE pipeline = $1 AND sink = $2 ORDER BY lsn",
                                 2, params, "vvvv", err);
    int rc = rows == NULL ? -1 : take_skips(rows, skips, err);

    PQclear(rows);
    return rc;
}

/* Every start says so, until the table is repaired. */
static int
warn_of_lacks(const struct skipnotes *n, struct session *s, struct err *err)
{
    const char *params[] = {n->pipeline, n->sink};
    PGresult *rows =
        session_ask(s, "read walpipe.lacks",
                    "SELECT lsn, pg_catalog.sum(changes), schema, name FROM walpipe.lacks "
                    "WHERE pipeline = $1 AND sink = $2 GROUP BY relid, lsn, schema, name "
                    "ORDER BY schema, name, lsn LIMIT 20",
                    2, params, "vvvv", err);

    if (rows == NULL)
        return -1;
    for (int i = 0; i < PQntuples(rows); i++)
        log_write(
            s->log, LOG_WARNING,
            "the target lacks %s changes of %s.%s, of the transaction at %s that was skipped; "
            "walpipe resync copies the table again",
            PQgetvalue(rows, i, 1), PQgetvalue(rows, i, 2), PQgetvalue(rows, i, 3),
            PQgetvalue(rows, i, 0));
    PQclear(rows);
    return 0;
}

int
skipnotes_load(const struct skipnotes *n, struct session *s, struct skips *skips, struct err *err)
{
    bool there;

    if (exist(s, "skips,lacks", &there, err) != 0)
        return -1;
    if (!there)
        return 0;
    if (remove_skips(n, s, err) != 0 || remove_lacks(n, s, err) != 0 ||
        load_skips(n, s, skips, err) != 0)
        return -1;
    return n->shard == 0 ? warn_of_lacks(n, s, err) : 0;
}

static int
note_lack(const struct skipnotes *n, struct session *s, const struct lack *lack, struct err *err)
{
    struct lsn_text lsn = lsn_format(lack->lsn);
    char relid[16], shard[16], changes[24];
    const char *params[] = {n->pipeline,        n->sink,           relid,  lsn.text, shard,
                            lack->table.schema, lack->table.table, changes};

    snprintf(relid, sizeof relid, "%" PRIu32, lack->relid);
    snprintf(shard, sizeof shard, "%" PRIu32, n->shard);
    snprintf(changes, sizeof changes, "%" PRIu64, lack->changes);
    return session_run(
        s, "write walpipe.lacks",
        "INSERT INTO walpipe.lacks AS k (pipeline, sink, relid, lsn, shard, schema, name, "
        "changes) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) "
        "ON CONFLICT (pipeline, sink, relid, lsn, shard) DO UPDATE "
        "SET changes = k.changes + EXCLUDED.changes, skipped_at = pg_catalog.now()",
        8, params, err);
}

static int
note_met(const struct skipnotes *n, struct session *s, const struct skip *skip, struct err *err)
{
    struct lsn_text lsn = lsn_format(skip->lsn);
    const char *params[] = {n->pipeline, n->sink, lsn.text};

    return session_run(
        s, "write walpipe.skips",
        "UPDATE walpipe.skips SET met = true WHERE pipeline = $1 AND sink = $2 AND lsn = $3 "
        "AND NOT met",
        3, params, err);
}

int
skipnotes_write(const struct skipnotes *n, struct session *s, const struct skips *skips,
                const struct position *to, struct err *err)
{
    for (size_t i = 0; i < skips->count; i++)
        if (skips->list[i].met &&
            skips_passes(skips->list[i].lsn, to->lsn, to->partial_commit_lsn) &&
            note_met(n, s, &skips->list[i], err) != 0)
            return -1;
    for (size_t i = 0; i < skips->lacks_count; i++)
        if (skips_passes(skips->lacks[i].lsn, to->lsn, to->partial_commit_lsn) &&
            note_lack(n, s, &skips->lacks[i], err) != 0)
            return -1;
    return 0;
}

int
skipnotes_settle(const struct skipnotes *n, struct session *s, uint64_t lsn, bool *left,
                 struct err *err)
{
    static const char what[] = "read walpipe.skips";
    struct lsn_text passed = lsn_format(lsn);
    const char *params[] = {n->pipeline, n->sink, passed.text};
    PGresult *row;

    if (remove_skips(n, s, err) != 0)
        return -1;
    row = pqx_shaped(pqx_exec_params(s->conn, what,
                                     "SELECT pg_catalog.count(*) > 0 FROM walpipe.skips "
                                     "WHERE pipeline = $1 AND sink = $2 AND lsn < $3",
                                     3, params, err),
                     what, 1, 1, "v", err);
    if (row == NULL)
        return -1;
    *left = PQgetvalue(row, 0, 0)[0] == 't';
    PQclear(row);
    return 0;
}

/* ---- a person ---- */

/* How the workers stand to a transaction. */
struct standing {
    int workers;
    int passed;
    int begun; /* have a part of it, or have passed it */
    char lowest[LSN_TEXT_SIZE];
};

static const char read_standing[] =
    "SELECT pg_catalog.count(*), pg_catalog.count(*) FILTER (WHERE p.lsn > $3::pg_lsn), "
    "pg_catalog.count(*) FILTER (WHERE p.lsn > $3::pg_lsn OR p.partial_commit_lsn = $3::pg_lsn), "
    "coalesce(pg_catalog.min(p.lsn), '0/0') FROM walpipe.progress AS p "
    "WHERE pipeline = $1 AND sink = $2";

static int
find_standing(const struct skipnotes *n, struct session *s, const char *lsn,
              struct standing *standing, struct err *err)
{
    static const char what[] = "read walpipe.progress";
    const char *params[] = {n->pipeline, n->sink, lsn};
    PGresult *row = pqx_shaped(pqx_exec_params(s->conn, what, read_standing, 3, params, err), what,
                               1, 1, "vvvv", err);

    if (row == NULL)
        return -1;
    standing->workers = (int)strtol(PQgetvalue(row, 0, 0), NULL, 10);
    standing->passed = (int)strtol(PQgetvalue(row, 0, 1), NULL, 10);
    standing->begun = (int)strtol(PQgetvalue(row, 0, 2), NULL, 10);
    snprintf(standing->lowest, sizeof standing->lowest, "%s", PQgetvalue(row, 0, 3));
    PQclear(row);
    return 0;
}

static int
judge(const struct skipnotes *n, const char *lsn, const struct standing *standing, struct err *err)
{
    if (standing->workers == 0) {
        err_set(err, EXIT_REFUSED,
                "sink \"%s\" has no progress in the target, so it has met no "
                "transaction yet",
                n->sink);
        return err_hint(err, "start the pipeline first");
    }
    if (standing->passed < standing->workers)
        return 0;
    err_set(err, EXIT_REFUSED,
            "the transaction at %s cannot be skipped: sink \"%s\" has passed it, and is at %s", lsn,
            n->sink, standing->lowest);
    return err_hint(err, "give the lsn that the sink's last error has");
}

static int
note_skip(const struct skipnotes *n, struct session *s, const char *lsn, const struct skip *skip,
          struct err *err)
{
    const char *params[] = {n->pipeline, n->sink, lsn, skip->table.schema, skip->table.table};

    return session_run(s, "write walpipe.skips",
                       "INSERT INTO walpipe.skips (pipeline, sink, lsn, schema, name) "
                       "VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
                       5, params, err);
}

static int
require_progress(const struct skipnotes *n, struct session *s, struct err *err)
{
    const struct standing none = {0};
    bool there;

    if (exist(s, "progress", &there, err) != 0)
        return -1;
    return there ? 0 : judge(n, "", &none, err);
}

static int
make_tables(struct session *s, struct err *err)
{
    bool there;

    if (exist(s, "skips,lacks", &there, err) != 0)
        return -1;
    if (there)
        return 0;
    return session_exec(s, "create walpipe.skips in the target", create_tables, err);
}

int
skipnotes_ask(const struct skipnotes *n, struct session *s, const struct skip *skip,
              struct err *err)
{
    struct lsn_text lsn = lsn_format(skip->lsn);
    struct standing standing;

    if (require_progress(n, s, err) != 0 ||
        session_exec(s, "lock walpipe.progress",
                     "BEGIN; SET LOCAL lock_timeout = '10s'; "
                     "SELECT pg_catalog.pg_advisory_xact_lock("
                     "pg_catalog.hashtextextended('walpipe.progress', 0))",
                     err) != 0 ||
        progress_fence(s, n->pipeline, n->sink, err) != 0 ||
        find_standing(n, s, lsn.text, &standing, err) != 0 ||
        judge(n, lsn.text, &standing, err) != 0 || make_tables(s, err) != 0 ||
        note_skip(n, s, lsn.text, skip, err) != 0 ||
        session_exec(s, "commit walpipe.skips", "COMMIT", err) != 0)
        return -1;
    printf("noted in the target: the transaction at %s is skipped%s%s%s%s in sink %s\n", lsn.text,
           skip->table.schema[0] == '\0' ? "" : ", of ", skip->table.schema,
           skip->table.schema[0] == '\0' ? "" : ".", skip->table.table, n->sink);
    if (standing.begun > 0)
        printf("%d of its %d workers have applied a part of it already, which stays\n",
               standing.begun, standing.workers);
    return 0;
}

static const char delete_lacks[] =
    "DELETE FROM walpipe.lacks WHERE pipeline = $1 AND sink = $2 AND lsn = $3 "
    "AND ($4 = '' OR (schema = $4 AND name = $5))";

int
skipnotes_repaired(const struct skipnotes *n, struct session *s, const struct skip *skip,
                   struct err *err)
{
    struct lsn_text lsn = lsn_format(skip->lsn);
    const char *params[] = {n->pipeline, n->sink, lsn.text, skip->table.schema, skip->table.table};
    PGresult *result;
    bool there, any = false;

    if (exist(s, "lacks", &there, err) != 0)
        return -1;
    if (there) {
        result =
            pqx_exec_params(s->conn, "delete from walpipe.lacks", delete_lacks, 5, params, err);
        if (result == NULL)
            return -1;
        any = strcmp(PQcmdTuples(result), "0") != 0;
        PQclear(result);
    }
    if (any)
        return 0;
    err_set(err, EXIT_REFUSED, "no table of sink \"%s\" lacks changes of a transaction at %s",
            n->sink, lsn.text);
    return err_hint(err, "walpipe tables lists the tables that do");
}

/* ---- lists ---- */

int
skipnotes_count(const struct skipnotes *n, struct session *s, struct ack_lacks *lacks,
                struct err *err)
{
#define COUNTED "SELECT pg_catalog.count(DISTINCT relid), coalesce(pg_catalog.sum(changes), 0) "
    const char *params[] = {n->pipeline, n->sink};
    bool there, copies;
    PGresult *row;

    *lacks = (struct ack_lacks){0};
    if (exist(s, "lacks", &there, err) != 0 || exist(s, "tables", &copies, err) != 0)
        return -1;
    if (!there)
        return 0;
    row = session_ask(s, "read walpipe.lacks",
                      copies ? COUNTED "FROM walpipe.lacks AS k WHERE pipeline = $1 AND sink = $2 "
                                       "AND " COPIED_SINCE " IS NOT TRUE"
                             : COUNTED "FROM walpipe.lacks WHERE pipeline = $1 AND sink = $2",
                      2, params, "vv", err);
#undef COUNTED
    if (row == NULL)
        return -1;
    if (PQntuples(row) == 1)
        *lacks = (struct ack_lacks){.tables = strtoull(PQgetvalue(row, 0, 0), NULL, 10),
                                    .changes = strtoull(PQgetvalue(row, 0, 1), NULL, 10)};
    PQclear(row);
    return 0;
}

static int
list_lacks(const struct skipnotes *n, struct session *s, struct buf *out, struct err *err)
{
    const char *params[] = {n->pipeline, n->sink};
    PGresult *rows;
    bool copies;

    if (exist(s, "tables", &copies, err) != 0)
        return -1;
    rows = session_ask(s, "read walpipe.lacks",
                       copies ? "SELECT relid, lsn, pg_catalog.sum(changes), schema, name "
                                "FROM walpipe.lacks AS k WHERE pipeline = $1 AND sink = $2 "
                                "AND " COPIED_SINCE " IS NOT TRUE "
                                "GROUP BY relid, lsn, schema, name ORDER BY relid, lsn"
                              : "SELECT relid, lsn, pg_catalog.sum(changes), schema, name "
                                "FROM walpipe.lacks WHERE pipeline = $1 AND sink = $2 "
                                "GROUP BY relid, lsn, schema, name ORDER BY relid, lsn",
                       2, params, "vvvvv", err);
    if (rows == NULL)
        return -1;
    for (int i = 0; i < PQntuples(rows); i++) {
        struct copynote note = {.kind = COPYNOTE_LACKS,
                                .relid = (uint32_t)strtoul(PQgetvalue(rows, i, 0), NULL, 10),
                                .count = strtoull(PQgetvalue(rows, i, 2), NULL, 10),
                                .schema = PQgetvalue(rows, i, 3),
                                .name = PQgetvalue(rows, i, 4)};

        if (!lsn_parse(PQgetvalue(rows, i, 1), &note.lsn))
            note.lsn = 0;
        copynote_print(&note, out);
    }
    PQclear(rows);
    return 0;
}

static int
list_skips(const struct skipnotes *n, struct session *s, struct buf *out, struct err *err)
{
    struct skips skips = {0};
    int rc = load_skips(n, s, &skips, err);

    for (size_t i = 0; rc == 0 && i < skips.count; i++)
        copynote_print(&(struct copynote){.kind = COPYNOTE_SKIP,
                                          .lsn = skips.list[i].lsn,
                                          .schema = skips.list[i].table.schema,
                                          .name = skips.list[i].table.table},
                       out);
    skips_free(&skips);
    return rc;
}

int
skipnotes_list(const struct skipnotes *n, struct session *s, struct buf *out, struct err *err)
{
    bool there;

    if (exist(s, "skips,lacks", &there, err) != 0)
        return -1;
    if (!there)
        return 0;
    return list_lacks(n, s, out, err) != 0 ? -1 : list_skips(n, s, out, err);
}

int
skipnotes_drop(const struct skipnotes *n, struct session *s, struct err *err)
{
    const char *params[] = {n->pipeline, n->sink};
    bool there;

    if (exist(s, "skips,lacks", &there, err) != 0)
        return -1;
    if (!there)
        return 0;
    return session_run(s, "delete from walpipe.skips",
                       "DELETE FROM walpipe.skips WHERE pipeline = $1 AND sink = $2", 2, params,
                       err) != 0
               ? -1
               : session_run(s, "delete from walpipe.lacks",
                             "DELETE FROM walpipe.lacks WHERE pipeline = $1 AND sink = $2", 2,
                             params, err);
}
