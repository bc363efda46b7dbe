/* schema_create.c: see schema_create.h. */
#include "sink-ch/schema_create.h"

#include <stdlib.h>

#include "sink-ch/mark.h"
#include "sink-ch/schema_choice.h"
#include "sink-ch/schema_default.h"
#include "sink-ch/schema_type.h"

static void
put_column(const struct server *server, const struct table *table, uint32_t number, bool key,
           struct buf *sql)
{
    server_put_name(sql, table->relation.columns[number].name);
    server_put_text(sql, " ");
    schema_put_type(server, table, number, key, sql);
}

/* ---- the table ---- */

bool
schema_can_create(const struct options *options, const struct table *table, const char **reason)
{
    const struct relation *relation = &table->relation;
    uint16_t key[COLUMNS_MAX];

    *reason = table->informed ? "it has REPLICA IDENTITY FULL, and no primary key that is not "
                                "deferrable"
                              : "under REPLICA IDENTITY FULL the stream doesn't say which columns "
                                "are the key, and the source's catalog could not be asked, or is "
                                "ahead of the stream";
    if (relation->replica_identity == 'f' && table_key(table, key) == 0)
        return false;
    *reason =
        "its name is too long for a file of ClickHouse, where every byte but letters, digits and "
        "_ takes three; set map for it";
    if (!table_name_fits(table->target.table, table_has_key(table) ? "_current" : ""))
        return false;
    *reason = "the source has a column named like the version or the deleted column; choose others "
              "with version_column and deleted_column";
    for (uint32_t i = 0; i < relation->columns_count; i++)
        if (!table_leaves_out(table, i) &&
            (strcmp(relation->columns[i].name, options->version_column) == 0 ||
             strcmp(relation->columns[i].name, options->deleted_column) == 0))
            return false;
    return true;
}

static void
put_columns(const struct server *server, const struct options *options, const struct table *table,
            struct buf *sql)
{
    const struct relation *relation = &table->relation;
    uint16_t key[COLUMNS_MAX];
    uint32_t keys = table_key(table, key);

    for (uint32_t i = 0; i < relation->columns_count; i++) {
        if (table_leaves_out(table, i))
            continue;
        put_column(server, table, i, table_is_key(key, keys, i), sql);
        server_put_text(sql, ", ");
    }
    server_put_name(sql, options->version_column);
    server_put_text(sql, server->has_uint128 ? " UInt128" : " UInt64");
    if (table->system_identifier != 0) {
        server_put_text(sql, " COMMENT ");
        mark_put_new(table, sql);
    }
    if (table_has_key(table)) {
        server_put_text(sql, ", ");
        server_put_name(sql, options->deleted_column);
        server_put_text(sql, " UInt8");
    }
}

static void
put_order_by(const struct table *table, struct buf *sql)
{
    const struct choice_column *chosen = table->choice->order_by;
    const char *separator = "";
    uint16_t key[COLUMNS_MAX];
    uint32_t keys = table_key(table, key);

    server_put_text(sql, " ORDER BY ");
    if (keys == 0 && chosen == NULL) {
        server_put_text(sql, "tuple()");
        return;
    }
    server_put_text(sql, "(");
    for (const struct choice_column *c = chosen; c != NULL; c = c->next, separator = ", ") {
        server_put_text(sql, separator);
        server_put_name(sql, c->name);
    }
    for (uint32_t i = 0; chosen == NULL && i < keys; i++, separator = ", ") {
        server_put_text(sql, separator);
        server_put_name(sql, table->relation.columns[key[i]].name);
    }
    server_put_text(sql, ")");
}

void
schema_put_engine(const struct server *server, const struct options *options,
                  const struct table *table, struct buf *sql)
{
    uint16_t key[COLUMNS_MAX];
    bool keyed = table_key(table, key) > 0;

    server_put_text(sql, "ENGINE = ");
    schema_choice_put_engine(table, keyed ? options->version_column : NULL,
                             keyed && server->has_is_deleted ? options->deleted_column : NULL, sql);
    if (table->choice->partition_by != NULL) {
        server_put_text(sql, " PARTITION BY ");
        server_put_text(sql, table->choice->partition_by);
    }
    put_order_by(table, sql);
}

int
schema_create(struct server *server, const struct options *options, const struct table *table,
              struct err *err)
{
    struct buf sql = {0};
    const char *reason;

    if (!schema_can_create(options, table, &reason)) {
        err_set(err, EXIT_REFUSED, "cannot create table %s: %s", table->target_sql, reason);
        return table->relation.replica_identity != 'f'
                   ? -1
                   : err_hint(err, "create it with ORDER BY the source's primary key, or set "
                                   "REPLICA IDENTITY DEFAULT on the source");
    }
    server_put_text(&sql, "CREATE TABLE IF NOT EXISTS ");
    server_put_text(&sql, table->target_sql);
    server_put_text(&sql, " (");
    put_columns(server, options, table, &sql);
    server_put_text(&sql, ") ");
    schema_put_engine(server, options, table, &sql);
    if (server_statement(server, "create a table", &sql, err) != 0)
        return -1;
    if (server->statements == NULL)
        log_write(server->log, LOG_INFO, "created table %s", table->target_sql);
    return 0;
}

static bool
is_among(const char *name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

/* The server reported that it has such a column, because another worker, or a person, was first. It
 * reports the same of names that it reserves for itself. Then the column is not there, and err
 * stays. */
static int
look_for_column(struct server *server, const struct table *table, uint32_t number, enum past *past,
                struct err *err)
{
    const struct err said = *err;
    const struct described_column *column = NULL;
    struct described d = {0};
    struct buf type = {0};
    int rc = describe_columns(server, table, &d, err);

    if (rc == 0)
        column = described_find(&d, table->relation.columns[number].name);
    if (rc == 0 && column == NULL) {
        *err = said;
        rc = -1;
    }
    schema_put_type(server, table, number, false, &type);
    buf_append(&type, "", 1);
    if (column != NULL && !type.failed &&
        !schema_choice_same((const char *)type.data, column->type))
        *past = PAST_UNKNOWN; /* a person's column, which may have no DEFAULT */
    buf_free(&type);
    described_free(&d);
    return rc;
}

static int
add_column(struct server *server, const struct options *options, struct table *table,
           uint32_t number, struct err *err)
{
    const uint64_t illegal_column = 44, duplicate_column = 15;
    const struct relation_column *column = &table->relation.columns[number];
    enum past *past = &table->past[number];
    struct buf sql = {0};

    server_put_text(&sql, "ALTER TABLE ");
    server_put_text(&sql, table->target_sql);
    server_put_text(&sql, " ADD COLUMN ");
    put_column(server, table, number, false, &sql);
    *past = schema_put_default(server, options, table, number, &sql, err);
    if (*past == PAST_ERROR) {
        buf_free(&sql);
        return -1;
    }
    if (server_statement(server, "add a column", &sql, err) != 0)
        return server->answer.code == illegal_column || server->answer.code == duplicate_column
                   ? look_for_column(server, table, number, past, err)
                   : -1;
    log_write(server->log, LOG_INFO, "added column \"%s\" to %s%s", column->name, table->target_sql,
              *past == PAST_DEFAULT ? ", with the value of older rows as its DEFAULT" : "");
    return 0;
}

int
schema_add_columns(struct server *server, const struct options *options, struct table *table,
                   const char *const *existing, size_t existing_count, struct err *err)
{
    const struct relation *relation = &table->relation;

    free(table->past);
    table->past = calloc(relation->columns_count + 1, sizeof *table->past);
    if (table->past == NULL)
        return err_set(err, EXIT_PEER, "out of memory for a table");
    for (uint32_t i = 0; i < relation->columns_count; i++)
        if (!table_leaves_out(table, i) &&
            !is_among(relation->columns[i].name, existing, existing_count) &&
            add_column(server, options, table, i, err) != 0)
            return -1;
    return 0;
}
