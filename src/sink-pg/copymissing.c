/* copymissing.c: see copymissing.h. */
#include "sink-pg/copymissing.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/copydetail.h"
#include "sink-pg/sqltext.h"

/* The parameters of every statement: pipeline, sink, relid, shard, shards. Keys may follow, behind
 * the names of their columns. */
enum { PARAMS_OWN = 5, PARAMS_NAMES, PARAMS_KEYS };

struct params {
    const char *list[PARAMS_NAMES + KEYLIST_COLUMNS_MAX];
    char relid[16], shard[16], shards[16];
};

/* A statement need not use all of them, but must give all a type. */
#define PARAMS_TYPED "$3::oid IS NOT NULL AND $4::integer IS NOT NULL AND $5::integer IS NOT NULL "

static void
fill_params(const struct copymissing *m, uint32_t relid, struct params *p)
{
    snprintf(p->relid, sizeof p->relid, "%" PRIu32, relid);
    snprintf(p->shard, sizeof p->shard, "%" PRIu32, m->hello->shard);
    snprintf(p->shards, sizeof p->shards, "%" PRIu32, m->hello->shards);
    p->list[0] = m->pipeline;
    p->list[1] = m->hello->sink;
    p->list[2] = p->relid;
    p->list[3] = p->shard;
    p->list[4] = p->shards;
}

static int
run(struct session *s, const char *what, const char *sql, int count, const struct params *p,
    struct err *err)
{
    return session_run(s, what, sql, count, p->list, err);
}

int
copymissing_look(struct copymissing *m, struct session *s, struct err *err)
{
    static const char what[] = "read walpipe.missing";
    const char *params[] = {m->pipeline, m->hello->sink};
    PGresult *result = pqx_exec_params(
        s->conn, what,
        "SELECT EXISTS (SELECT FROM walpipe.missing WHERE pipeline = $1 AND sink = $2)", 2, params,
        err);

    result = pqx_shaped(result, what, 1, 1, "v", err);
    if (result == NULL)
        return -1;
    m->any = PQgetvalue(result, 0, 0)[0] == 't';
    PQclear(result);
    return 0;
}

/* That columns are those of $6. Older notes have no types. */
#define OF_COLUMNS                                                                                 \
    "m.columns IN ($6::text[], ($6::text[])[1:pg_catalog.cardinality($6::text[]) / 2]) "

/* Runs sql, which takes the keys behind the names of their columns. */
static int
run_with_keys(const struct copymissing *m, struct session *s, const char *what, const char *sql,
              uint32_t relid, struct keylist *keys, struct err *err)
{
    struct params p = {0};

    fill_params(m, relid, &p);
    p.list[PARAMS_OWN] = sqltext_get(&keys->names);
    if (sql == NULL || p.list[PARAMS_OWN] == NULL ||
        keylist_finish(keys, p.list + PARAMS_NAMES) != 0)
        return err_set(err, EXIT_PEER, "out of memory for missing keys");
    return run(s, what, sql, PARAMS_NAMES + (int)keys->columns, &p, err);
}

static int
add_keys(const struct copymissing *m, struct session *s, uint32_t relid, struct keylist *keys,
         struct err *err)
{
    struct buf sql = {0};
    int rc;

    sqltext_add(&sql, "INSERT INTO walpipe.missing (pipeline, sink, relid, shard, columns, key) "
                      "SELECT DISTINCT $1, $2, $3::oid, $4::integer, $6::text[], ");
    keylist_row(keys, &sql);
    sqltext_add(&sql, " FROM ");
    keylist_from(keys, &sql, PARAMS_KEYS);
    sqltext_add(&sql, " WHERE " PARAMS_TYPED "AND NOT EXISTS (SELECT FROM walpipe.missing AS m "
                      "WHERE m.pipeline = $1 AND m.sink = $2 AND m.relid = $3::oid AND " OF_COLUMNS
                      "AND m.key = ");
    keylist_row(keys, &sql);
    sqltext_add(&sql, ")");
    rc = run_with_keys(m, s, "write walpipe.missing", sqltext_get(&sql), relid, keys, err);
    buf_free(&sql);
    return rc;
}

/* The target's table of a resync may lack any row. Only the staging table counts. */
static bool
counts(const struct op *op)
{
    return op->missed && !op->table->tolerates;
}

/* The changes from *at on that are of one table. */
static int
add_table(const struct copymissing *m, struct session *s, const struct batch *batch, uint32_t to,
          uint32_t *at, struct row_values *values, struct keylist *keys, struct err *err)
{
    const struct table *table = batch->ops[*at].table;
    struct change change;

    if (keylist_start(keys, &table->relation, err) != 0)
        return -1;
    for (; *at < to && batch->ops[*at].table == table; ++*at)
        if (counts(&batch->ops[*at]) &&
            (change_decode(batch, &batch->ops[*at], values, &change, err) != 0 ||
             keylist_add(keys, &table->relation, change.new_row, err) != 0))
            return -1;
    return add_keys(m, s, table->relation.relid, keys, err);
}

int
copymissing_add(struct copymissing *m, struct session *s, const struct batch *batch, uint32_t to,
                struct row_values *values, struct err *err)
{
    struct keylist keys = {0};
    uint32_t at = 0;
    int rc = 0;

    while (at < to && rc == 0)
        if (counts(&batch->ops[at])) {
            m->any = true;
            rc = add_table(m, s, batch, to, &at, values, &keys, err);
        } else {
            at++;
        }
    keylist_free(&keys);
    return rc;
}

int
copymissing_remove(const struct copymissing *m, struct session *s, uint32_t relid,
                   struct keylist *keys, struct err *err)
{
    struct buf sql = {0};
    int rc;

    sqltext_add(&sql, "DELETE FROM walpipe.missing AS m USING ");
    keylist_from(keys, &sql, PARAMS_KEYS);
    sqltext_add(&sql, " WHERE m.pipeline = $1 AND m.sink = $2 AND m.relid = $3::oid AND " OF_COLUMNS
                      "AND " PARAMS_TYPED "AND m.key = ");
    keylist_row(keys, &sql);
    rc = run_with_keys(m, s, "delete from walpipe.missing", sqltext_get(&sql), relid, keys, err);
    buf_free(&sql);
    return rc;
}

int
copymissing_forget(const struct copymissing *m, struct session *s, const struct relation *relation,
                   struct err *err)
{
    struct keylist keys = {0};
    struct params p = {0};
    int rc = keylist_start(&keys, relation, err);

    if (rc == 0) {
        fill_params(m, relation->relid, &p);
        p.list[PARAMS_OWN] = sqltext_get(&keys.names);
        rc = run(s, "delete from walpipe.missing",
                 "DELETE FROM walpipe.missing AS m WHERE pipeline = $1 AND sink = $2 AND "
                 "relid = $3::oid AND " PARAMS_TYPED "AND NOT " OF_COLUMNS,
                 PARAMS_NAMES, &p, err);
    }
    keylist_free(&keys);
    return rc;
}

int
copymissing_drop(const struct copymissing *m, struct session *s, uint32_t relid, struct err *err)
{
    struct params p = {0};

    fill_params(m, relid, &p);
    return run(s, "delete from walpipe.missing",
               "DELETE FROM walpipe.missing WHERE pipeline = $1 AND sink = $2 AND "
               "relid = $3::oid AND " PARAMS_TYPED "AND NOT EXISTS (SELECT FROM walpipe.tables "
               "AS t WHERE t.pipeline = $1 AND t.sink = $2 AND t.relid = $3::oid)",
               PARAMS_OWN, &p, err);
}

/* Of one key the values come one behind the other. Worker 0 takes over the keys of workers that do
 * not exist any more. */
static const char read_missing[] =
    "SELECT m.n, k.value FROM (SELECT pg_catalog.row_number() OVER () AS n, key "
    "FROM walpipe.missing WHERE pipeline = $1 AND sink = $2 AND relid = $3::oid AND "
    "(shard = $4::integer OR ($4::integer = 0 AND shard >= $5::integer)) LIMIT 5000) AS m, "
    "pg_catalog.unnest(m.key) WITH ORDINALITY AS k(value, i) ORDER BY m.n, k.i";

/* The key that begins at row *at. */
static void
add_key(struct buf *keys, const PGresult *rows, int *at)
{
    struct value values[KEYLIST_COLUMNS_MAX];
    struct tuple key = {.values = values};
    const char *n = PQgetvalue(rows, *at, 0);

    for (; *at < PQntuples(rows) && strcmp(PQgetvalue(rows, *at, 0), n) == 0; ++*at)
        if (key.count < KEYLIST_COLUMNS_MAX)
            values[key.count++] = (struct value){.kind = VALUE_TEXT,
                                                 .len = (uint32_t)PQgetlength(rows, *at, 1),
                                                 .data = (const uint8_t *)PQgetvalue(rows, *at, 1)};
    copydetail_key_add(keys, &key);
}

int
copymissing_read(const struct copymissing *m, struct session *s, uint32_t relid, struct buf *keys,
                 struct err *err)
{
    static const char what[] = "read walpipe.missing";
    struct params p = {0};
    PGresult *rows;

    fill_params(m, relid, &p);
    rows = pqx_exec_params(s->conn, what, read_missing, PARAMS_OWN, p.list, err);
    rows = pqx_shaped(rows, what, 0, PQX_ROWS, "vv", err);
    if (rows == NULL)
        return -1;
    for (int at = 0; at < PQntuples(rows);) {
        size_t before = buf_len(keys);

        add_key(keys, rows, &at);
        if (buf_len(keys) > COPYMSG_OPAQUE_MAX) {
            keys->end = keys->start + before;
            break;
        }
    }
    PQclear(rows);
    return keys->failed ? err_set(err, EXIT_PEER, "out of memory for missing keys") : 0;
}
