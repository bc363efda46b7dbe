/* schema_mapping.c: pairs PostgreSQL and ClickHouse types column by column. It judges them before
 * the first row, and writes a line for people. */
#include "sink-ch/schema_mapping.h"

#include <stdio.h>

#include "lib/pgtype.h"
#include "sink-ch/convert/judge.h"
#include "sink-ch/schema_type.h"

/* ---- the judgement ---- */

static bool
holds_json(const struct ch_type *type)
{
    while (type->kind == CH_ARRAY)
        type = type->element;
    return type->kind == CH_JSON;
}

static const char *
misfit_hint(const struct options *options, const struct column *column)
{
    if (options->on_overflow == CONVERT_ERROR || column->key)
        return "a value that does not fit stops the pipeline";
    if (options->on_overflow == CONVERT_NULL)
        return column->type.nullable ? "a value that does not fit becomes null"
                                     : "a value that does not fit stops the pipeline";
    return "a value that does not fit is clamped, or stops the pipeline";
}

static void
judge_column(const struct server *server, const struct options *options, const struct table *table,
             const struct column *column, struct report *report)
{
    const char *reason, *melting;
    enum convert_verdict verdict = convert_judge(
        &column->type, column->oid, table->relation.columns[column->source].typmod, &reason);

    if (holds_json(&column->type) && !server->has_json) {
        verdict = CONVERT_NEVER;
        reason = "this ClickHouse does not read JSON columns in RowBinary as text";
    }
    if (verdict != CONVERT_NEVER && table->keyed && column->key &&
        convert_key_melts(&column->type, column->oid, &melting))
        report_say(report, FINDING_FAIL,
                   "rows would replace each other: give the key column the type that create_tables "
                   "would, or String",
                   "key column \"%s\" of %s is %s: %s", column->name, table->target_sql,
                   column->type_text, melting);
    else if (verdict == CONVERT_NEVER)
        report_say(report, FINDING_FAIL, "change the column's type in ClickHouse; String fits all",
                   "column \"%s\" of %s is %s: %s", column->name, table->target_sql,
                   column->type_text, reason);
    else if (verdict == CONVERT_PARTLY)
        report_say(report, FINDING_WARN, misfit_hint(options, column),
                   "column \"%s\" of %s is %s: %s", column->name, table->target_sql,
                   column->type_text, reason);
}

void
schema_judge(const struct server *server, const struct options *options, const struct table *table,
             struct report *report)
{
    for (uint32_t i = 0; i < table->columns_count; i++)
        judge_column(server, options, table, &table->columns[i], report);
}

/* ---- for people ---- */

static void
put_source_type(const struct relation_column *column, struct buf *out)
{
    const char *name = pgtype_name(schema_oid(column));
    int32_t typmod = column->typmod;
    char text[64];

    if (name == NULL && column->type_name[0] == '\0') {
        snprintf(text, sizeof text, "type oid %u", column->type_oid);
        server_put_text(out, text);
        return;
    }
    if (name == NULL && column->type_schema[0] != '\0') {
        server_put_text(out, column->type_schema);
        server_put_text(out, ".");
    }
    server_put_text(out, name != NULL ? name : column->type_name);
    if (schema_oid(column) != PG_NUMERIC || !pgtype_has_precision(typmod))
        return;
    snprintf(text, sizeof text, "(%d,%d)", pgtype_precision(typmod), pgtype_scale(typmod));
    server_put_text(out, text);
}

static const struct column *
written_column(const struct table *table, uint32_t source)
{
    for (uint32_t i = 0; i < table->columns_count; i++)
        if (table->columns[i].source == source)
            return &table->columns[i];
    return NULL;
}

void
schema_put_mapping(const struct server *server, const struct table *table, struct buf *out)
{
    const struct relation *relation = &table->relation;
    const char *separator = "";
    uint16_t key[COLUMNS_MAX];
    uint32_t keys = table_key(table, key);

    for (uint32_t i = 0; i < relation->columns_count; i++) {
        const struct relation_column *from = &relation->columns[i];
        const struct column *to = written_column(table, i);

        if ((table->columns_count > 0 && to == NULL) || table_leaves_out(table, i))
            continue;
        server_put_text(out, separator);
        server_put_text(out, from->name);
        server_put_text(out, " ");
        put_source_type(from, out);
        server_put_text(out, " -> ");
        if (to != NULL)
            server_put_text(out, to->type_text);
        else
            schema_put_type(server, table, i, table_is_key(key, keys, i), out);
        separator = ", ";
    }
}
