/* keyless.c: see keyless.h. */
#include "pg-table-read/keyless.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/clock.h"
#include "lib/pqx.h"

/* A snapshot that is exported. */
struct keyless {
    struct keyless *next;
    uint64_t life;
    PGconn *conn; /* in the transaction that exported it */
};

int
keyless_check(const struct life *life, struct err *err)
{
    const struct relation *relation = life->relation;

    if (!life_is_keyless(life) || !life->part->whole)
        return 0;
    err_set(err, EXIT_REFUSED,
            "%s.%s has no key and is published through its root: its partitions cannot be copied "
            "under one snapshot",
            relation->schema, relation->name);
    snprintf(err->relation, sizeof err->relation, "%s.%s", relation->schema, relation->name);
    return err_hint(
        err,
        "give it a primary key that is not DEFERRABLE, and set REPLICA IDENTITY DEFAULT "
        "for it and for each partition; or publish it with publish_via_partition_root = false");
}

bool
keyless_may_begin(const struct life *life)
{
    return clock_micros() >= life->again_at;
}

void
keyless_rest(struct life *life)
{
    if (!life->keyless || life->state == LIFE_COPIED)
        backoff_forget(&life->again);
    else
        life->again_at = clock_micros() + backoff_next(&life->again, backoff_random()) * 1000;
}

/* ---- the snapshot ---- */

static PGresult *
ask(PGconn *conn, const char *sql, const char *columns, struct err *err)
{
    static const char what[] = "export a snapshot";

    return pqx_shaped(pqx_exec(conn, what, sql, err), what, 1, 1, columns, err);
}

/* Reads the file's number before the snapshot is taken, and without keeping a lock. If a range
 * finds the same number under its lock, the table was not rewritten in between. 0 means that the
 * table is gone. */
static int
read_file(PGconn *conn, struct life *life, struct err *err)
{
    char sql[100];
    PGresult *result;

    snprintf(sql, sizeof sql, "SELECT coalesce(pg_catalog.pg_relation_filenode(%" PRIu32 "), 0)",
             life->part->oid);
    result = ask(conn, sql, "v", err);
    if (result == NULL)
        return -1;
    life->file = (uint32_t)strtoul(PQgetvalue(result, 0, 0), NULL, 10);
    PQclear(result);
    return 0;
}

static int
take_snapshot(PGconn *conn, struct life *life, struct err *err)
{
    PGresult *result =
        pqx_exec(conn, "begin", "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", err);

    PQclear(result);
    if (result == NULL)
        return -1;
    result = ask(conn, "SELECT pg_catalog.pg_export_snapshot()", "v", err);
    if (result == NULL)
        return -1;
    snprintf(life->snapshot, sizeof life->snapshot, "%s", PQgetvalue(result, 0, 0));
    PQclear(result);
    return 0;
}

int
keyless_export(struct copy *copy, struct life *life, struct err *err)
{
    struct keyless *keyless = calloc(1, sizeof *keyless);

    if (keyless == NULL)
        return state_out_of_memory(err);
    keyless->next = copy->keyless;
    copy->keyless = keyless;
    keyless->life = life->number;
    keyless->conn =
        session_open_same(copy->options->conninfo, copy->options->login_note, &copy->server, err);
    if (keyless->conn == NULL || read_file(keyless->conn, life, err) != 0 ||
        take_snapshot(keyless->conn, life, err) != 0 ||
        session_position(keyless->conn, &copy->server, &life->mark, err) != 0)
        return -1;
    if (life->file == 0)
        life->state = LIFE_CHANGED;
    return 0;
}

void
keyless_drop(struct copy *copy, const struct life *life)
{
    struct keyless **at = &copy->keyless, *dropped;

    while (*at != NULL && (*at)->life != life->number)
        at = &(*at)->next;
    dropped = *at;
    if (dropped == NULL)
        return;
    *at = dropped->next;
    PQfinish(dropped->conn);
    free(dropped);
}

void
keyless_free(struct copy *copy)
{
    while (copy->keyless != NULL) {
        struct keyless *keyless = copy->keyless;

        copy->keyless = keyless->next;
        PQfinish(keyless->conn);
        free(keyless);
    }
}
