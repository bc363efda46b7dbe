/* schema_create.c: --create-tables: the ClickHouse table for a source table, the view that shows
 * its current rows, and columns that the source got later. */
#include <stdarg.h>
#include <stdio.h>

#include "sink-ch/convert/judge.h"
#include "sink-ch/convert/pgtype.h"
#include "sink-ch/schema.h"

static int
out_of_memory(struct err *err)
{
    return err_set(err, EXIT_PEER, "out of memory for a statement");
}

/* Appends the NUL and runs what stands in sql; frees it. */
static int
run(struct server *server, const char *what, struct buf *sql, struct err *err)
{
    int rc;

    buf_append(sql, "", 1);
    rc = sql->failed ? out_of_memory(err)
                     : server_statement(server, what, (const char *)sql->data, err);
    buf_free(sql);
    return rc;
}

/* ---- types ---- */

static void put_format(struct buf *sql, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void
put_format(struct buf *sql, const char *fmt, ...)
{
    char text[64];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    server_put_text(sql, text);
}

/* numeric(p,s), where a Decimal can hold it; all else is exact only as text. */
static void
put_numeric_type(const struct server *server, int32_t typmod, struct buf *sql)
{
    int32_t precision = (typmod - 4) >> 16 & 0xffff;
    int32_t scale = (((typmod - 4) & 0x7ff) ^ 1024) - 1024;

    if (typmod < 4 || scale < 0 || scale > precision ||
        precision > (server->has_decimal256 ? 76 : 38))
        server_put_text(sql, "String");
    else
        put_format(sql, "Decimal(%d, %d)", precision, scale);
}

/* DateTime has whole seconds, so it serves only timestamp(0). */
static void
put_timestamp_type(const struct server *server, int32_t typmod, struct buf *sql)
{
    if (server->has_datetime64)
        put_format(sql, "DateTime64(%d, 'UTC')", typmod < 0 || typmod > 6 ? 6 : typmod);
    else
        server_put_text(sql, typmod == 0 ? "DateTime('UTC')" : "String");
}

static void
put_base_type(const struct server *server, const struct relation_column *column, struct buf *sql)
{
    switch (schema_oid(column)) {
    case PG_BOOL:
        server_put_text(sql, server->has_bool ? "Bool" : "UInt8");
        return;
    case PG_INT2:
        server_put_text(sql, "Int16");
        return;
    case PG_INT4:
        server_put_text(sql, "Int32");
        return;
    case PG_INT8:
        server_put_text(sql, "Int64");
        return;
    case PG_OID:
        server_put_text(sql, "UInt32");
        return;
    case PG_FLOAT4:
        server_put_text(sql, "Float32");
        return;
    case PG_FLOAT8:
        server_put_text(sql, "Float64");
        return;
    case PG_UUID:
        server_put_text(sql, "UUID");
        return;
    case PG_DATE:
        server_put_text(sql, server->has_date32 ? "Date32" : "Date");
        return;
    case PG_NUMERIC:
        put_numeric_type(server, column->typmod, sql);
        return;
    case PG_TIMESTAMP:
    case PG_TIMESTAMPTZ:
        put_timestamp_type(server, column->typmod, sql);
        return;
    default:
        server_put_text(sql, "String");
    }
}

/* The stream doesn't say what is NOT NULL, so all but the key is Nullable. */
void
schema_put_type(const struct server *server, const struct relation_column *column, bool key,
                struct buf *sql)
{
    server_put_text(sql, key ? "" : "Nullable(");
    put_base_type(server, column, sql);
    server_put_text(sql, key ? "" : ")");
}

static void
put_column(const struct server *server, const struct relation_column *column, bool key,
           struct buf *sql)
{
    server_put_name(sql, column->name);
    server_put_text(sql, " ");
    schema_put_type(server, column, key, sql);
}

/* ---- the table ---- */

static bool
has_key(const struct relation *relation)
{
    for (uint32_t i = 0; i < relation->columns_count; i++)
        if (relation->columns[i].key)
            return true;
    return false;
}

bool
schema_can_create(const struct table *table, const char **reason)
{
    *reason = "under REPLICA IDENTITY FULL the source doesn't say which columns are the key";
    return table->relation.replica_identity != 'f';
}

static void
put_columns(const struct server *server, const struct options *options, const struct table *table,
            struct buf *sql)
{
    const struct relation *relation = &table->relation;

    for (uint32_t i = 0; i < relation->columns_count; i++) {
        put_column(server, &relation->columns[i], relation->columns[i].key, sql);
        server_put_text(sql, ", ");
    }
    server_put_name(sql, options->version_column);
    server_put_text(sql, server->has_uint128 ? " UInt128" : " UInt64");
    if (has_key(relation)) {
        server_put_text(sql, ", ");
        server_put_name(sql, options->deleted_column);
        server_put_text(sql, " UInt8");
    }
}

static void
put_engine(const struct server *server, const struct options *options, const struct table *table,
           struct buf *sql)
{
    const struct relation *relation = &table->relation;
    const char *separator = "";

    if (!has_key(relation)) {
        server_put_text(sql, " ENGINE = MergeTree ORDER BY tuple()");
        return;
    }
    server_put_text(sql, " ENGINE = ReplacingMergeTree(");
    server_put_name(sql, options->version_column);
    if (server->has_is_deleted) {
        server_put_text(sql, ", ");
        server_put_name(sql, options->deleted_column);
    }
    server_put_text(sql, ") ORDER BY (");
    for (uint32_t i = 0; i < relation->columns_count; i++)
        if (relation->columns[i].key) {
            server_put_text(sql, separator);
            server_put_name(sql, relation->columns[i].name);
            separator = ", ";
        }
    server_put_text(sql, ")");
}

/* ---- the view NAME_current ---- */

static int
put_view_name(const struct table *table, struct buf *sql, struct err *err)
{
    char name[TARGET_NAME_MAX + 16];

    snprintf(name, sizeof name, "%s_current", table->target.table);
    if (strlen(name) > TARGET_NAME_MAX)
        return err_set(err, EXIT_REFUSED, "the name of view \"%s\" is too long", name);
    server_put_name(sql, table->target.database);
    server_put_text(sql, ".");
    server_put_name(sql, name);
    return 0;
}

static int
create_view(struct server *server, const struct options *options, const struct table *table,
            struct err *err)
{
    const struct relation *relation = &table->relation;
    struct buf sql = {0};

    server_put_text(&sql, "CREATE VIEW IF NOT EXISTS ");
    if (put_view_name(table, &sql, err) != 0) {
        buf_free(&sql);
        return -1;
    }
    server_put_text(&sql, " AS SELECT ");
    for (uint32_t i = 0; i < relation->columns_count; i++) {
        server_put_text(&sql, i == 0 ? "" : ", ");
        server_put_name(&sql, relation->columns[i].name);
    }
    server_put_text(&sql, " FROM ");
    server_put_text(&sql, table->target_sql);
    server_put_text(&sql, " FINAL WHERE ");
    server_put_name(&sql, options->deleted_column);
    server_put_text(&sql, " = 0");
    return run(server, "create a view of current rows", &sql, err);
}

/* Whether a query's answer is "1"; sql is freed. 1, 0; -1 with err. */
static int
ask(struct server *server, struct buf *sql, struct err *err)
{
    int rc;

    buf_append(sql, "", 1);
    rc = sql->failed ? out_of_memory(err)
                     : server_query(server, "look for a view", (const char *)sql->data, err);
    buf_free(sql);
    if (rc != 0)
        return -1;
    return buf_len(&server->answer.body) > 0 && server->answer.body.data[0] == '1';
}

/* False too where something else has the name. */
static int
view_exists(struct server *server, const struct table *table, const char *name, struct err *err)
{
    struct buf sql = {0};

    server_put_text(&sql,
                    "SELECT count() FROM system.tables WHERE engine = 'View' AND database = ");
    server_put_literal(&sql, table->target.database);
    server_put_text(&sql, " AND name = ");
    server_put_literal(&sql, name);
    return ask(server, &sql, err);
}

static int
view_shows_only_columns(struct server *server, const struct table *table, const char *name,
                        struct err *err)
{
    const struct relation *relation = &table->relation;
    struct buf sql = {0};

    server_put_text(&sql, "SELECT count() = 0 FROM system.columns WHERE database = ");
    server_put_literal(&sql, table->target.database);
    server_put_text(&sql, " AND table = ");
    server_put_literal(&sql, name);
    server_put_text(&sql, " AND name NOT IN (");
    for (uint32_t i = 0; i < relation->columns_count; i++) {
        server_put_text(&sql, i == 0 ? "" : ", ");
        server_put_literal(&sql, relation->columns[i].name);
    }
    server_put_text(&sql, ")");
    return ask(server, &sql, err);
}

/* 1 when the view is there and shows nothing but the source's columns, 0 when it isn't or somebody
 * made it for something else; -1 with err. */
static int
view_is_ours(struct server *server, const struct table *table, struct err *err)
{
    char name[TARGET_NAME_MAX + 16];
    int rc;

    snprintf(name, sizeof name, "%s_current", table->target.table);
    rc = view_exists(server, table, name, err);
    return rc != 1 ? rc : view_shows_only_columns(server, table, name, err);
}

/* The view's columns are fixed when it is created. */
static int
remake_view(struct server *server, const struct options *options, const struct table *table,
            struct err *err)
{
    struct buf sql = {0};
    int rc = view_is_ours(server, table, err);

    if (rc != 1)
        return rc;
    server_put_text(&sql, "DROP TABLE IF EXISTS ");
    if (put_view_name(table, &sql, err) != 0) {
        buf_free(&sql);
        return -1;
    }
    if (run(server, "drop the view of current rows", &sql, err) != 0)
        return -1;
    return create_view(server, options, table, err);
}

int
schema_create(struct server *server, const struct options *options, const struct table *table,
              struct err *err)
{
    struct buf sql = {0};
    const char *reason;

    if (!schema_can_create(table, &reason)) {
        err_set(err, EXIT_REFUSED, "cannot create table %s: %s", table->target_sql, reason);
        return err_hint(err, "create it with ORDER BY the source's primary key, or set REPLICA "
                             "IDENTITY DEFAULT on the source");
    }
    server_put_text(&sql, "CREATE TABLE IF NOT EXISTS ");
    server_put_text(&sql, table->target_sql);
    server_put_text(&sql, " (");
    put_columns(server, options, table, &sql);
    server_put_text(&sql, ")");
    put_engine(server, options, table, &sql);
    if (run(server, "create a table", &sql, err) != 0)
        return -1;
    log_write(server->log, LOG_INFO, "created table %s", table->target_sql);
    return 0;
}

int
schema_create_view(struct server *server, const struct options *options, const struct table *table,
                   struct err *err)
{
    return has_key(&table->relation) ? create_view(server, options, table, err) : 0;
}

static bool
is_among(const char *name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

int
schema_add_columns(struct server *server, const struct options *options, const struct table *table,
                   const char *const *existing, size_t existing_count, struct err *err)
{
    const struct relation *relation = &table->relation;

    for (uint32_t i = 0; i < relation->columns_count; i++) {
        const struct relation_column *column = &relation->columns[i];
        struct buf sql = {0};

        if (is_among(column->name, existing, existing_count))
            continue;
        server_put_text(&sql, "ALTER TABLE ");
        server_put_text(&sql, table->target_sql);
        server_put_text(&sql, " ADD COLUMN ");
        if (server->has_date32) /* 18.16 has no IF NOT EXISTS here */
            server_put_text(&sql, "IF NOT EXISTS ");
        put_column(server, column, false, &sql);
        if (run(server, "add a column", &sql, err) != 0 && server->answer.code != 44)
            return -1; /* 44: another worker was first */
        log_write(server->log, LOG_INFO, "added column \"%s\" to %s", column->name,
                  table->target_sql);
    }
    return has_key(relation) ? remake_view(server, options, table, err) : 0;
}
