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

/* numeric(p,s), where a Decimal can hold it; all else is exact only as text. */
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
