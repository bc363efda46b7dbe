/* copytarget.c: see copytarget.h. */
#include "sink-pg/copytarget.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "sink-pg/mapping.h"
#include "sink-pg/sqltext.h"

/* $4 is the table, $5 the target of its present name. The target was renamed as well if the new
 * name is taken and the old one is free, or that of an empty table. */
static const char find[] =
    "SELECT t.part, t.target, t.state, t.target = $5 OR (pg_catalog.to_regclass(t.target) IS NULL "
    "AND pg_catalog.to_regclass($5) IS NOT NULL), pg_catalog.to_regclass(t.target) <> "
    "pg_catalog.to_regclass($5) FROM (SELECT part, state, "
    "coalesce(pg_catalog.to_jsonb(n) ->> 'target', '') AS target FROM walpipe.tables AS n "
    "WHERE pipeline = $1 AND sink = $2 AND shard = $3::integer AND relid = $4::oid "
    "AND schema <> '' AND state NOT LIKE 'out-%') AS t "
    "WHERE t.target <> ''";

enum { PART, TARGET, STATE, SAME, BOTH };

/* Both exist. If the noted one is empty, the table has no rows there. */
static int
look_for_rows(struct session *s, const char *noted, bool *same, struct err *err)
{
    static const char what[] = "look for rows of a renamed table";
    struct buf sql = {0};
    PGresult *row = NULL;

    sqltext_add(&sql, "SELECT NOT EXISTS (SELECT FROM %s)", noted);
    if (sqltext_get(&sql) == NULL)
        err_set(err, EXIT_PEER, "out of memory for a query");
    else
        row = pqx_shaped(pqx_exec_params(s->conn, what, sqltext_get(&sql), 0, NULL, err), what, 1,
                         1, "v", err);
    buf_free(&sql);
    if (row == NULL)
        return -1;
    *same = PQgetvalue(row, 0, 0)[0] == 't';
    PQclear(row);
    return 0;
}

static int
judge(struct session *s, const PGresult *rows, int row, struct copying *c,
      const struct relation *relation, const char *target, struct err *err)
{
    bool same = PQgetvalue(rows, row, SAME)[0] == 't';
    struct copypart noted = {.relid = relation->relid};
    uint32_t oid = (uint32_t)strtoul(PQgetvalue(rows, row, PART), NULL, 10);
    struct copypart *part = copyparts_find(c, relation->relid, oid);

    if (part == NULL) {
        part = &noted;
        snprintf(part->schema, sizeof part->schema, "%s", relation->schema);
        snprintf(part->name, sizeof part->name, "%s", relation->name);
        if (!copyparts_read_state(PQgetvalue(rows, row, STATE), part))
            return err_set(err, EXIT_REFUSED, "cannot read the state of %s.%s in walpipe.tables",
                           part->schema, part->name);
    }
    if (!same && PQgetvalue(rows, row, BOTH)[0] == 't' &&
        look_for_rows(s, PQgetvalue(rows, row, TARGET), &same, err) != 0)
        return -1;
    if (copyparts_renamed(c, part, same, PQgetvalue(rows, row, TARGET), target, err) == 0)
        return 0;
    err->culprit = relation->relid;
    return -1;
}

int
copytarget_check(const struct copytarget *t, struct session *s, struct copying *c,
                 const struct relation *relation, struct err *err)
{
    static const char what[] = "look at the target of a renamed table";
    struct buf target = {0};
    char shard[16], relid[16];
    const char *params[] = {t->pipeline, t->hello->sink, shard, relid, NULL};
    PGresult *rows;
    int rc = 0;

    mapping_target_sql(t->map, relation->schema, relation->name, &target);
    snprintf(shard, sizeof shard, "%" PRIu32, t->hello->shard);
    snprintf(relid, sizeof relid, "%" PRIu32, relation->relid);
    params[4] = sqltext_get(&target);
    if (params[4] == NULL)
        return err_set(err, EXIT_PEER, "out of memory for a table's name");
    rows = pqx_exec_params(s->conn, what, find, 5, params, err);
    rows = pqx_shaped(rows, what, 0, PQX_ROWS, "vvvv?", err);
    for (int i = 0; rows != NULL && i < PQntuples(rows) && rc == 0; i++)
        rc = judge(s, rows, i, c, relation, params[4], err);
    rc = rows == NULL ? -1 : rc;
    PQclear(rows);
    buf_free(&target);
    return rc;
}
