/* notetables.c: see notetables.h. */
#include "sink-pg/notetables.h"

#include "sink-pg/owntables.h"

static const char own[] = "tables,missing";

/* A key may be longer than a btree accepts. */
static const char create_tables[] =
    "CREATE TABLE IF NOT EXISTS walpipe.tables ("
    "pipeline text NOT NULL, sink text NOT NULL, relid oid NOT NULL, part oid NOT NULL,"
    "shard integer NOT NULL, schema text NOT NULL, name text NOT NULL, state text NOT NULL,"
    "l0 pg_lsn NOT NULL DEFAULT '0/0', file oid NOT NULL DEFAULT 0,"
    "definition text NOT NULL DEFAULT '', done text NOT NULL DEFAULT '',"
    "rows bigint NOT NULL DEFAULT 0, layout bigint NOT NULL, target text NOT NULL DEFAULT '',"
    "behind boolean NOT NULL DEFAULT false,"
    "updated_at timestamptz NOT NULL DEFAULT pg_catalog.now(),"
    "PRIMARY KEY (pipeline, sink, relid, part, shard));"
    "CREATE TABLE IF NOT EXISTS walpipe.missing ("
    "pipeline text NOT NULL, sink text NOT NULL, relid oid NOT NULL, shard integer NOT NULL,"
    "columns text[] NOT NULL, key text[] NOT NULL);"
    "CREATE INDEX IF NOT EXISTS missing_key ON walpipe.missing USING hash (key)";

/* Tables of an older walpipe lack some columns. */
static const struct {
    const char *name;
    const char *add;
} newer[] = {
    {"target", "ALTER TABLE walpipe.tables ADD COLUMN target text NOT NULL DEFAULT ''"},
    {"behind", "ALTER TABLE walpipe.tables ADD COLUMN behind boolean NOT NULL DEFAULT false"},
};

int
notetables_exist(struct session *s, bool *exist, struct err *err)
{
    return owntables_exist(s, own, exist, err);
}

static int
bring_columns(struct session *s, struct err *err)
{
    for (size_t i = 0; i < sizeof newer / sizeof *newer; i++) {
        bool exist;

        if (owntables_has_column(s, "tables", newer[i].name, &exist, err) != 0)
            return -1;
        if (exist || session_exec(s, "add a column to walpipe.tables", newer[i].add, err) == 0)
            continue;
        if (err->code == EXIT_REFUSED)
            err_hint(err, "run it as the table's owner: %s", newer[i].add);
        return -1;
    }
    return 0;
}

int
notetables_make(struct session *s, struct err *err)
{
    bool exist;

    if (notetables_exist(s, &exist, err) != 0)
        return -1;
    if (exist)
        return bring_columns(s, err);
    if (session_exec(s, "create walpipe.tables in the target", create_tables, err) == 0)
        return 0;
    if (err->code == EXIT_REFUSED)
        err_hint(err, "grant CREATE on schema walpipe to the sink's role, or create the tables as "
                      "in sink-pg(1)");
    return -1;
}
