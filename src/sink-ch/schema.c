/* schema.c: see schema.h. It compares ClickHouse's description of a table (describe.c) with the
 * source's description of its own. */
#include "sink-ch/schema.h"

#include <stdlib.h>

#include "sink-ch/describe.h"
#include "sink-ch/items.h"
#include "sink-ch/schema_choice.h"
#include "sink-ch/schema_create.h"
#include "sink-ch/schema_mapping.h"
#include "sink-ch/schema_type.h"
#include "sink-ch/shape.h"
#include "sink-ch/view.h"

static bool
ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);

    return n >= m && strcmp(text + n - m, end) == 0;
}

/* ---- keys and engine ---- */

static struct column *
find_column(const struct table *table, const char *name)
{
    for (uint32_t i = 0; i < table->columns_count; i++)
        if (strcmp(table->columns[i].name, name) == 0)
            return &table->columns[i];
    return NULL;
}

/* The sorting key decides which rows replace each other, so it must be exactly the source's key
 * (trap 113). Under REPLICA IDENTITY FULL the source does not report which columns are the key.
 * Then the sorting key decides. */
static void
check_sorting_key(struct table *table, const struct described *d, struct report *report)
{
    static const char hint[] =
        "rows replace each other by ORDER BY: it must be exactly the source's "
        "key columns, without expressions";
    bool full = table->relation.replica_identity == 'f';
    const char *at = d->sorting_key;
    uint32_t found = 0, keys = 0;
    char name[256];
    bool plain;

    while (items_next(&at, name, sizeof name, &plain)) {
        struct column *column = plain ? find_column(table, name) : NULL;

        if (column == NULL || (!full && !column->key)) {
            report_say(report, FINDING_FAIL, hint,
                       "\"%s\" in the sorting key of %s is not a key column of the source", name,
                       table->target_sql);
            return;
        }
        column->key = true;
        found++;
    }
    if (full)
        for (uint32_t i = 0; i < table->columns_count; i++)
            keys += table->columns[i].key;
    else
        for (uint32_t i = 0; i < table->relation.columns_count; i++)
            keys += table->relation.columns[i].key;
    if (found != keys || found == 0)
        report_say(report, FINDING_FAIL, hint,
                   "the sorting key of %s (%s) lacks key columns of the source", table->target_sql,
                   d->sorting_key);
}

/* Rows in different partitions never replace each other. */
static void
check_partition_key(const struct table *table, const struct described *d, struct report *report)
{
    for (size_t i = 0; i < d->count; i++) {
        const struct column *column = find_column(table, d->columns[i].name);

        if (d->columns[i].in_partition_key && (column == NULL || !column->key))
            report_say(report, FINDING_FAIL, "partition by key columns only, or not at all",
                       "%s is partitioned by \"%s\", which is not a key column", table->target_sql,
                       d->columns[i].name);
    }
}

/* ReplacingMergeTree(..., version[, deleted]). */
static void
check_engine_arguments(const struct table *table, const struct options *options,
                       const struct described *d, struct report *report)
{
    const char *open = strchr(d->engine_full, '(');
    const char *at = open == NULL ? "" : open + 1;
    char argument[256];
    bool plain, version = false;

    while (items_next(&at, argument, sizeof argument, &plain)) {
        if (version && plain && strcmp(argument, options->deleted_column) != 0)
            report_say(report, FINDING_FAIL, "the engine's second column must be deleted_column",
                       "the engine of %s takes \"%s\" for the deleted flag", table->target_sql,
                       argument);
        version = version || (plain && strcmp(argument, options->version_column) == 0);
        if (*at == ')')
            break;
    }
    if (!version)
        report_say(report, FINDING_FAIL,
                   "ENGINE = ReplacingMergeTree(version column), and version_column its name",
                   "the engine of %s is not versioned by column \"%s\"", table->target_sql,
                   options->version_column);
}

static bool
engine_is_append_only(const char *engine)
{
    static const char *const names[] = {"MergeTree", "ReplicatedMergeTree", "SharedMergeTree"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(engine, names[i]) == 0)
            return true;
    return !ends_with(engine, "MergeTree") && !ends_with(engine, "View");
}

/* Then the sorting key is unique in the source. */
static bool
holds_primary_key(const struct table *table)
{
    uint16_t key[COLUMNS_MAX];
    uint32_t keys = table_key(table, key);

    for (uint32_t i = 0; i < keys; i++) {
        const struct column *column = find_column(table, table->relation.columns[key[i]].name);

        if (column == NULL || !column->key)
            return false;
    }
    return keys > 0;
}

static void
check_engine(struct table *table, const struct options *options, const struct described *d,
             struct report *report)
{
    bool replacing = ends_with(d->engine, "ReplacingMergeTree");
    bool full = table->relation.replica_identity == 'f';

    table->keyed = table_has_key(table) && (replacing || !full);
    if (ends_with(d->engine, "View")) {
        report_say(
            report, FINDING_FAIL,
            "rows go into tables only; if this is the view of current rows of another table, set "
            "map for one of the two",
            "%s is a view", table->target_sql);
    } else if (strcmp(d->engine, "Buffer") == 0) {
        report_say(report, FINDING_FAIL, "set map to send the rows to the table behind it",
                   "%s is a Buffer, which answers while its rows are only in memory",
                   table->target_sql);
    } else if (table->keyed && !replacing) {
        report_say(report, FINDING_FAIL, "updates and deletes need ENGINE = ReplacingMergeTree",
                   "the engine of %s is %s", table->target_sql, d->engine);
    } else if (table->keyed) {
        check_engine_arguments(table, options, d, report);
        check_sorting_key(table, d, report);
        check_partition_key(table, d, report);
        if (full && !holds_primary_key(table))
            report_say(report, FINDING_WARN, "",
                       "replica identity is full: the sorting key of %s (%s) must be unique in "
                       "the source",
                       table->target_sql, d->sorting_key);
    } else if (!engine_is_append_only(d->engine)) {
        report_say(report, FINDING_FAIL,
                   "give the source table a primary key, or the target ENGINE = MergeTree",
                   "the source has no key, and the engine of %s (%s) would merge its rows",
                   table->target_sql, d->engine);
    }
}

/* Rows of a table without a key are only added. */
static void
say_keyless(const struct table *table, struct report *report)
{
    if (!report->failed)
        report_say(report, FINDING_WARN, "",
                   "without a key rows are only added to %s: %supdates and deletes are refused",
                   table->target_sql,
                   table->has_version ? ""
                                      : "without a version column some may be there twice after "
                                        "a restart, ");
}

/* ---- our own two columns ---- */

/* The width of the column's plain (unsigned) integer type, 0 if it has another type. */
static uint32_t
flag_width(const struct described_column *column, bool is_version)
{
    struct ch_type type;
    uint32_t width;

    if (column == NULL || chtype_parse(column->type, &type) != 0)
        return 0;
    width = type.nullable ? 0 : type.width;
    if (type.kind != CH_UINT && (is_version || (type.kind != CH_BOOL && type.kind != CH_INT)))
        width = 0;
    chtype_free(&type);
    return width;
}

static void
check_own_columns(struct table *table, const struct options *options, const struct described *d,
                  struct report *report)
{
    uint32_t version = flag_width(described_find(d, options->version_column), true);
    uint32_t deleted = flag_width(described_find(d, options->deleted_column), false);

    table->has_version = version == 8 || version == 16;
    table->version_width = version;
    table->has_deleted = deleted == 1 && table->keyed;
    if (find_column(table, options->version_column) != NULL ||
        find_column(table, options->deleted_column) != NULL)
        report_say(report, FINDING_FAIL, "choose others with version_column and deleted_column",
                   "the source has a column named like the version or the deleted column");
    if (!table->keyed) {
        say_keyless(table, report);
        return;
    }
    if (!table->has_version)
        report_say(report, FINDING_FAIL, "it must be there, as UInt64 or UInt128",
                   "%s has no version column \"%s\" of a fitting type", table->target_sql,
                   options->version_column);
    if (!table->has_deleted)
        report_say(report, FINDING_FAIL, "it must be there, as UInt8",
                   "%s has no deleted column \"%s\" of a fitting type", table->target_sql,
                   options->deleted_column);
}

/* ---- the source's columns ---- */

static bool
is_computed(const struct described_column *column)
{
    return strcmp(column->kind, "MATERIALIZED") == 0 || strcmp(column->kind, "ALIAS") == 0 ||
           strcmp(column->kind, "EPHEMERAL") == 0;
}

/* Returns 0, or -1 when memory is out. */
static int
add_column(struct table *table, const struct described_column *described, uint32_t source)
{
    const struct relation_column *from = &table->relation.columns[source];
    struct column *column = &table->columns[table->columns_count++];

    *column = (struct column){
        .name = strdup(described->name),
        .type_text = strdup(described->type),
        .source = source,
        .oid = schema_oid(from),
        .key = from->key && table->relation.replica_identity != 'f',
    };
    if (chtype_parse(described->type, &column->type) != 0)
        column->type = (struct ch_type){.kind = CH_UNSUPPORTED};
    return column->name == NULL || column->type_text == NULL ? -1 : 0;
}

static int
match_columns(struct table *table, const struct described *d, struct report *report,
              struct err *err)
{
    const struct relation *relation = &table->relation;

    table->columns = calloc(relation->columns_count + 1, sizeof *table->columns);
    if (table->columns == NULL)
        return err_set(err, EXIT_PEER, "out of memory for a table");
    for (uint32_t i = 0; i < relation->columns_count; i++) {
        const struct described_column *found = described_find(d, relation->columns[i].name);

        if (table_leaves_out(table, i))
            continue;
        if (found == NULL) {
            report_say(report, FINDING_FAIL, "add it in ClickHouse, or set create_tables",
                       "%s has no column \"%s\"", table->target_sql, relation->columns[i].name);
            continue;
        }
        if (is_computed(found)) /* ClickHouse computes it and must not be given it */
            continue;
        if (add_column(table, found, i) != 0)
            return err_set(err, EXIT_PEER, "out of memory for a table");
    }
    return 0;
}

/* Key columns come first, each group in the relation's order, so that a row's key is its first
 * bytes. */
static int
order_columns(struct table *table, struct err *err)
{
    struct column *ordered = calloc(table->columns_count + 1, sizeof *ordered);
    uint32_t n = 0;

    if (ordered == NULL)
        return err_set(err, EXIT_PEER, "out of memory for a table");
    for (int key = 1; key >= 0; key--)
        for (uint32_t i = 0; i < table->columns_count; i++)
            if ((table->keyed && table->columns[i].key) == (key == 1)) {
                ordered[n++] = table->columns[i];
                table->keys_count += (uint32_t)key;
            }
    free(table->columns);
    table->columns = ordered;
    return 0;
}

static int
make_insert(const struct server *server, struct table *table, const struct options *options,
            struct err *err)
{
    struct buf sql = {0};

    server_put_text(&sql, "INSERT INTO ");
    server_put_text(&sql, table->target_sql);
    server_put_text(&sql, " (");
    shape_put_names(table, options, &sql);
    server_put_text(&sql, ") FORMAT RowBinary");
    server_put_text(&sql, server->has_header ? "WithNamesAndTypes" : "");
    buf_append(&sql, "", 1);
    if (sql.failed)
        return err_set(err, EXIT_PEER, "out of memory for a table");
    buf_fit(&sql);
    table->insert_sql = (char *)sql.data;
    return 0;
}

/* ---- all of it ---- */

/* Reads the description, and creates missing objects if that is allowed. Returns 0, 1 (missing) or
 * -1 with err. */
static int
describe(struct server *server, const struct options *options, const struct table *table,
         bool may_create, struct described *d, struct err *err)
{
    int missing = describe_table(server, table, d, err);

    if (missing == 1 && may_create) {
        if (schema_create(server, options, table, err) != 0)
            return -1;
        missing = describe_table(server, table, d, err);
    }
    return missing != 0 ? missing : describe_columns(server, table, d, err);
}

static bool
lacks_columns(const struct table *table, const struct described *d)
{
    for (uint32_t i = 0; i < table->relation.columns_count; i++)
        if (!table_leaves_out(table, i) &&
            described_find(d, table->relation.columns[i].name) == NULL)
            return true;
    return false;
}

static int
add_missing(struct server *server, const struct options *options, struct table *table,
            struct described *d, struct err *err)
{
    const char **names = calloc(d->count + 1, sizeof *names);
    int rc;

    if (names == NULL)
        return err_set(err, EXIT_PEER, "out of memory for a table");
    for (size_t i = 0; i < d->count; i++)
        names[i] = d->columns[i].name;
    rc = schema_add_columns(server, options, table, names, d->count, err);
    free(names);
    if (rc != 0)
        return -1;
    described_free(d);
    return describe(server, options, table, false, d, err);
}

static int
examine(const struct server *server, struct table *table, const struct options *options,
        const struct described *d, struct report *report, struct err *err)
{
    if (match_columns(table, d, report, err) != 0)
        return -1;
    check_engine(table, options, d, report);
    check_own_columns(table, options, d, report);
    schema_judge(server, options, table, report);
    schema_choice_compare(server, table, d, report);
    if (table->columns_count == 0)
        report_say(report, FINDING_FAIL, "", "%s has none of the source's columns",
                   table->target_sql);
    if (order_columns(table, err) != 0 || shape_make(table, options, d, err) != 0)
        return -1;
    return make_insert(server, table, options, err);
}

enum schema_status
schema_load(struct server *server, const struct options *options, struct table *table,
            bool may_create, struct report *report, struct err *err)
{
    enum schema_status status = SCHEMA_ERROR;
    struct described d = {0};
    int missing;

    table_unload(table);
    schema_choice_check(server, table, report);
    if (report->failed)
        return SCHEMA_UNFIT;
    missing = describe(server, options, table, may_create, &d, err);
    if (missing == 0 && options->create_tables && lacks_columns(table, &d)) {
        if (may_create) {
            missing = add_missing(server, options, table, &d, err);
        } else {
            status = SCHEMA_NARROW;
            goto out;
        }
    }
    if (missing == 1)
        status = SCHEMA_MISSING;
    if (missing != 0)
        goto out;
    buf_append(&table->described, server->answer.body.data, buf_len(&server->answer.body));
    buf_fit(&table->described);
    if (table->described.failed || examine(server, table, options, &d, report, err) != 0)
        goto out;
    if (may_create && !report->failed && table->has_version && table->has_deleted &&
        view_keep(server, options, table, &d, err) != 0)
        goto out;
    table->loaded = !report->failed;
    status = report->failed ? SCHEMA_UNFIT : SCHEMA_READY;
out:
    described_free(&d);
    return status;
}

bool
schema_changed(struct server *server, const struct table *table)
{
    struct err ignored;

    if (describe_ask_columns(server, table, &ignored) != 0)
        return false;
    return buf_len(&server->answer.body) != buf_len(&table->described) ||
           memcmp(server->answer.body.data, table->described.data, buf_len(&table->described)) != 0;
}
