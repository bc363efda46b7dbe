/* view.c: see view.h. */
#include "sink-ch/view.h"

#include <stdio.h>

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
    return server_statement(server, "create a view of current rows", &sql, err);
}

/* Whether a query's answer is "1"; sql is freed. 1, 0; -1 with err. */
static int
ask(struct server *server, struct buf *sql, struct err *err)
{
    if (server_query(server, "look for a view", sql, err) != 0)
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

int
view_remake(struct server *server, const struct options *options, const struct table *table,
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
    if (server_statement(server, "drop the view of current rows", &sql, err) != 0)
        return -1;
    return create_view(server, options, table, err);
}

int
view_create(struct server *server, const struct options *options, const struct table *table,
            struct err *err)
{
    return table_has_key(table) ? create_view(server, options, table, err) : 0;
}
