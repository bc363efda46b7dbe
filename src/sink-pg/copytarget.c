/* copytarget.c: see copytarget.h. */
#include "sink-pg/copytarget.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "sink-pg/mapping.h"
#include "sink-pg/ownrows.h"
#include "sink-pg/sqltext.h"

/* $4 is the table, $5 the target of its present name. A target table that is gone was dropped, or
 * it was dumped and restored. */
static const char find[] =
    "SELECT t.part, t.target = $5, CASE WHEN c.oid IS NULL THEN t.target = $5 "
    "ELSE c.oid IS NOT DISTINCT FROM pg_catalog.to_regclass($5)::oid END, "
    "CASE WHEN c.oid IS NULL THEN t.target "
    "ELSE pg_catalog.format('\"%s\".\"%s\"', n.nspname, c.relname) END, t.state, "
    "c.oid IS NULL AND t.target_oid <> 0 AND t.target = $5 "
    "AND pg_catalog.to_regclass($5) IS NOT NULL AND t.state IN ('streaming', 'copying') "
    "FROM walpipe.tables AS t LEFT JOIN pg_catalog.pg_class AS c ON c.oid = t.target_oid "
    "LEFT JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace "
    "WHERE pipeline = $1 AND sink = $2 AND shard = $3::integer AND t.relid = $4::oid "
    "AND target <> ''";

enum { PART, AS_NOTED, SAME, HOLDER, STATE, MADE_AGAIN };

static int
judge(const PGresult *rows, int row, struct copying *c, const struct relation *relation,
      const char *target, struct err *err)
{
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
    if (copyparts_renamed(c, part, PQgetvalue(rows, row, SAME)[0] == 't',
                          PQgetvalue(rows, row, HOLDER), target, err) != 0) {
        err->culprit = relation->relid;
        return -1;
    }
    if (part != &noted && PQgetvalue(rows, row, MADE_AGAIN)[0] == 't')
        copyparts_changed(c, part); /* the note gets the new oid */
    return 0;
}

static int
refuse_empty(const struct relation *relation, const char *target, struct err *err)
{
    snprintf(err->relation, sizeof err->relation, "%s.%s", relation->schema, relation->name);
    err->culprit = relation->relid;
    err_set(err, EXIT_REFUSED,
            "%s was made again in the target and is empty, and the rows of %s.%s were in the one "
            "before",
            target, relation->schema, relation->name);
    return err_hint(err,
                    "stop walpipe, and in one transaction of the target delete the table's "
                    "rows from walpipe.held, and set state = 'waiting', done = '' and rows = "
                    "0 in its rows of walpipe.tables; after the next start it is copied again");
}

/* With rows it was restored. */
static int
require_rows(const struct copytarget *t, struct session *s, const struct relation *relation,
             const char *target, struct err *err)
{
    static const char what[] = "look whether a table is empty";
    const char *schema, *name;
    struct buf sql = {0};
    PGresult *answer = NULL;
    int rc;

    mapping_target(t->map, relation->schema, relation->name, &schema, &name);
    sqltext_add(&sql, "SELECT EXISTS (SELECT FROM ");
    rc = ownrows_name(s, schema, name, &sql, err);
    sqltext_add(&sql, ")");
    if (rc == 0 && sqltext_get(&sql) == NULL)
        rc = err_set(err, EXIT_PEER, "out of memory for a query");
    if (rc == 0) {
        answer = pqx_exec_params(s->conn, what, sqltext_get(&sql), 0, NULL, err);
        answer = pqx_shaped(answer, what, 1, 1, "v", err);
        rc = answer == NULL ? -1 : 0;
    }
    if (rc == 0 && PQgetvalue(answer, 0, 0)[0] != 't')
        rc = refuse_empty(relation, target, err);
    PQclear(answer);
    buf_free(&sql);
    return rc;
}

int
copytarget_check(const struct copytarget *t, struct session *s, struct copying *c,
                 const struct relation *relation, bool listed, struct err *err)
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
    rows = pqx_shaped(rows, what, 0, PQX_ROWS, "vvvvvv", err);
    for (int i = 0; rows != NULL && i < PQntuples(rows) && rc == 0; i++) {
        if (listed && PQgetvalue(rows, i, AS_NOTED)[0] == 't')
            continue;
        if (PQgetvalue(rows, i, MADE_AGAIN)[0] == 't')
            rc = require_rows(t, s, relation, params[4], err);
        if (rc == 0)
            rc = judge(rows, i, c, relation, params[4], err);
    }
    rc = rows == NULL ? -1 : rc;
    PQclear(rows);
    buf_free(&target);
    return rc;
}
