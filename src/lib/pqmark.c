/* pqmark.c: see pqmark.h. A walsender takes no parameters, so the key, a number, is written into
 * the command. */
#include "lib/pqmark.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/pqx.h"

static uint64_t
key_of(const struct run_id *run_id)
{
    uint64_t key;

    memcpy(&key, run_id->bytes, sizeof key);
    return key;
}

int
pqmark_set(PGconn *conn, const struct run_id *run_id, struct err *err)
{
    char sql[128];
    PGresult *result;

    snprintf(sql, sizeof sql, "SELECT pg_catalog.pg_advisory_lock_shared(%" PRId64 ")",
             (int64_t)key_of(run_id));
    result = pqx_exec(conn, "mark the database", sql, err);
    PQclear(result);
    return result == NULL ? -1 : 0;
}

int
pqmark_find(PGconn *conn, const struct run_id *run_id, bool *marked, struct err *err)
{
    static const char what[] = "look whether the target is the source";
    uint64_t key = key_of(run_id);
    PGresult *result;
    char sql[512];

    /* A bigint advisory lock stands in pg_locks as its two halves. */
    snprintf(sql, sizeof sql,
             "SELECT pg_catalog.count(*) > 0 FROM pg_catalog.pg_locks WHERE locktype = 'advisory' "
             "AND granted AND objsubid = 1 AND classid::bigint = %" PRIu64
             " AND objid::bigint = %" PRIu64 " AND database = (SELECT oid FROM "
             "pg_catalog.pg_database WHERE datname = pg_catalog.current_database())",
             key >> 32, key & UINT32_MAX);
    result = pqx_shaped(pqx_exec(conn, what, sql, err), what, 1, 1, "v", err);
    if (result == NULL)
        return -1;
    *marked = PQgetvalue(result, 0, 0)[0] == 't';
    PQclear(result);
    return 0;
}
