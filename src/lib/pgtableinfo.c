/* pgtableinfo.c: see pgtableinfo.h. */
#include "lib/pgtableinfo.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/lsn.h"
#include "lib/pqconn.h"
#include "lib/pqx.h"

static const char what[] = "read what the source's catalog says of a table";

/* The numbers of an index's key columns, as in "2 1". %s excludes those that it only includes. A
 * primary key that is deferrable is unique only at the end of a transaction. */
#define KEY(condition)                                                                             \
    "coalesce((SELECT pg_catalog.array_to_string(%s, ' ') FROM pg_catalog.pg_index i"              \
    " WHERE i.indrelid = c.oid AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL"          \
    " AND (" condition ") LIMIT 1), '')"

/* The text of an element is taken out of its array's. If the type has another delimiter than a
 * comma (box), its text has nothing to quote. */
#define MISSING                                                                                    \
    "CASE WHEN NOT a.atthasmissing THEN NULL"                                                      \
    " WHEN t.typdelim = ',' THEN"                                                                  \
    " (a.attmissingval::pg_catalog.text::pg_catalog.text[])[1]"                                    \
    " ELSE pg_catalog.substr(a.attmissingval::pg_catalog.text, 2,"                                 \
    " pg_catalog.length(a.attmissingval::pg_catalog.text) - 2) END"

#define PRIMARY_KEY_OF KEY("i.indisprimary")
#define IDENTITY_KEY_OF                                                                            \
    KEY("c.relreplident = 'd' AND i.indisprimary OR c.relreplident = 'i' AND i.indisreplident")
#define SETTINGS "SET statement_timeout = 0; SET lock_timeout = 0; " PQCONN_TEXT_SETTINGS ";"

/* %s stands for both keys' columns, the values missing in old rows (server 11 and later), and
 * relids. */
static const char question[] = SETTINGS
    "SELECT c.oid, CASE WHEN pg_catalog.pg_is_in_recovery()"
    " THEN pg_catalog.pg_last_wal_replay_lsn() ELSE pg_catalog.pg_current_wal_lsn() END,"
    " c.relreplident, n.nspname, c.relname, " PRIMARY_KEY_OF ", " IDENTITY_KEY_OF ","
    " a.attnum, a.attname, a.atttypid, a.atttypmod, a.attnotnull, a.atthasdef, %s"
    " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    " JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
    " LEFT JOIN pg_catalog.pg_type t ON t.oid = a.atttypid"
    " WHERE c.oid = ANY ('{%s}'::pg_catalog.oid[]) ORDER BY c.oid, a.attnum";

enum field {
    OID,
    LSN,
    IDENTITY,
    SCHEMA,
    TABLE,
    PRIMARY_KEY,
    IDENTITY_KEY,
    ATTNUM,
    COLUMN,
    TYPE,
    TYPMOD,
    NOT_NULL,
    HAS_DEFAULT,
    MISSING_VALUE
};

char *
pgtableinfo_question(int version, const char *relids)
{
    const char *key = version >= 110000 ? "(i.indkey::pg_catalog.int2[])[0:i.indnkeyatts - 1]"
                                        : "i.indkey::pg_catalog.int2[]";
    const char *missing = version >= 110000 ? MISSING : "NULL";
    size_t size = sizeof question + 2 * strlen(key) + strlen(missing) + strlen(relids);
    char *sql = malloc(size);

    if (sql != NULL)
        snprintf(sql, size, question, key, key, missing, relids);
    return sql;
}

static uint32_t
number(const PGresult *r, int row, enum field field)
{
    return (uint32_t)strtoul(PQgetvalue(r, row, (int)field), NULL, 10);
}

/* A key with more columns than we support is dropped. */
static void
take_key(const char *list, struct tableinfo_key *key)
{
    char *end;

    key->count = 0;
    for (const char *at = list; *at != '\0'; at = *end == ' ' ? end + 1 : end) {
        if (key->count == TABLEINFO_KEYS_MAX) {
            key->count = 0;
            return;
        }
        key->attnums[key->count++] = (uint32_t)strtoul(at, &end, 10);
        if (end == at)
            return;
    }
}

static void
take_column(const PGresult *r, int row, struct tableinfo_column *c)
{
    *c = (struct tableinfo_column){
        .attnum = number(r, row, ATTNUM),
        .name = PQgetvalue(r, row, COLUMN),
        .type_oid = number(r, row, TYPE),
        .typmod = (int32_t)strtol(PQgetvalue(r, row, TYPMOD), NULL, 10),
        .not_null = PQgetvalue(r, row, NOT_NULL)[0] == 't',
        .has_default = PQgetvalue(r, row, HAS_DEFAULT)[0] == 't',
        .missing = PQgetisnull(r, row, MISSING_VALUE) ? NULL : PQgetvalue(r, row, MISSING_VALUE),
    };
}

int
pgtableinfo_take(const PGresult *r, int *at, struct tableinfo *info, struct err *err)
{
    int first = *at;

    *info = (struct tableinfo){0};
    if (first == 0 && pqx_shape(r, what, 0, PQX_ROWS, "vvvvvvvvvvvvv?", err) != 0)
        return -1;
    if (first == PQntuples(r))
        return 1;
    info->relid = number(r, first, OID);
    while (*at < PQntuples(r) && number(r, *at, OID) == info->relid)
        ++*at;
    if (*at - first > (int)COLUMNS_MAX || !lsn_parse(PQgetvalue(r, first, LSN), &info->lsn))
        return err_set(err, EXIT_PEER, "could not %s: malformed answer", what);
    info->columns = info->block = malloc((size_t)(*at - first) * sizeof *info->columns);
    if (info->block == NULL)
        return err_set(err, EXIT_PEER, "out of memory for a table's description");
    info->replica_identity = PQgetvalue(r, first, IDENTITY)[0];
    info->schema = PQgetvalue(r, first, SCHEMA);
    info->name = PQgetvalue(r, first, TABLE);
    take_key(PQgetvalue(r, first, PRIMARY_KEY), &info->primary);
    take_key(PQgetvalue(r, first, IDENTITY_KEY), &info->identity);
    for (int row = first; row < *at; row++)
        take_column(r, row, &info->columns[info->columns_count++]);
    return 0;
}
