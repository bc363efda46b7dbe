/* schema_type.c: see schema_type.h. */
#include "sink-ch/schema_type.h"

#include <stdarg.h>
#include <stdio.h>

#include "lib/pgtype.h"

uint32_t
schema_oid(const struct relation_column *column)
{
    uint32_t base = 0;

    if (column->type_schema[0] == '\0' && column->type_name[0] != '\0')
        base = pgtype_oid(column->type_name);
    return base != 0 ? base : column->type_oid;
}

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

/* numeric(p,s), if a Decimal can hold it. Every other numeric is exact only as text. */
static void
put_numeric_type(const struct server *server, int32_t typmod, struct buf *sql)
{
    int32_t precision = pgtype_precision(typmod), scale = pgtype_scale(typmod);

    if (!pgtype_has_precision(typmod) || scale < 0 || scale > precision ||
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

/* The type of one value. For an array, that of an element. */
static void
put_base_type(const struct server *server, uint32_t oid, int32_t typmod, struct buf *sql)
{
    switch (oid) {
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
        put_numeric_type(server, typmod, sql);
        return;
    case PG_TIMESTAMP:
    case PG_TIMESTAMPTZ:
        put_timestamp_type(server, typmod, sql);
        return;
    default:
        server_put_text(sql, "String");
    }
}

/* An Array has no NULL. So a column becomes an Array only if the source's has no NULL either,
 * though elements may be NULL. A key stays text, in which different arrays are different. */
static bool
becomes_array(const struct table *table, uint32_t number, bool key)
{
    return table->choice->arrays == ARRAYS_ARRAY && !key && table_not_null(table, number) &&
           pgtype_element(schema_oid(&table->relation.columns[number])) != 0;
}

static bool
becomes_json(const struct server *server, const struct table *table, uint32_t number, bool key)
{
    uint32_t oid = schema_oid(&table->relation.columns[number]);

    return table->choice->json == JSON_JSON && !key && server->has_json &&
           (oid == PG_JSON || oid == PG_JSONB);
}

bool
schema_type_is_chosen(const struct server *server, const struct table *table, uint32_t number,
                      bool key)
{
    return choice_find(table->choice->types, table->relation.columns[number].name) != NULL ||
           becomes_array(table, number, key) || becomes_json(server, table, number, key);
}

void
schema_put_type(const struct server *server, const struct table *table, uint32_t number, bool key,
                struct buf *sql)
{
    const struct relation_column *column = &table->relation.columns[number];
    const struct choice_column *chosen = choice_find(table->choice->types, column->name);
    uint32_t oid = schema_oid(column);
    bool nullable =
        !key && !(table->choice->nullable == NULLABLE_SOURCE && table_not_null(table, number));

    if (chosen != NULL) {
        server_put_text(sql, chosen->type);
        return;
    }
    if (becomes_array(table, number, key)) {
        server_put_text(sql, "Array(Nullable(");
        put_base_type(server, pgtype_element(oid), column->typmod, sql);
        server_put_text(sql, "))");
        return;
    }
    server_put_text(sql, nullable ? "Nullable(" : "");
    if (becomes_json(server, table, number, key))
        server_put_text(sql, "JSON");
    else
        put_base_type(server, oid, column->typmod, sql);
    server_put_text(sql, nullable ? ")" : "");
}
