/* schema_default.c: see schema_default.h. The value is converted like those of rows. It is written
 * as an expression of ClickHouse from the bytes that a row would have, so that an older row shows
 * the same as a new one with that value. */
#include "sink-ch/schema_default.h"

#include <inttypes.h>
#include <stdio.h>

#include "lib/calendar.h"
#include "lib/pgtype.h"
#include "sink-ch/schema_type.h"

#define SECONDS_PER_DAY INT64_C(86400)

/* ---- the value's bytes ---- */

/* Little-endian, of at most 8 bytes. */
static int64_t
number_of(struct bytes raw, bool is_signed)
{
    uint64_t n = 0;

    for (size_t i = 0; i < raw.len; i++)
        n |= (uint64_t)raw.data[i] << (8 * i);
    if (is_signed && raw.len < 8 && (n >> (8 * raw.len - 1) & 1) != 0)
        n |= UINT64_MAX << (8 * raw.len);
    return (int64_t)n;
}

static void
put_hex(struct buf *sql, struct bytes raw)
{
    char digits[3];

    server_put_text(sql, "unhex('");
    for (size_t i = 0; i < raw.len; i++) {
        snprintf(digits, sizeof digits, "%02X", raw.data[i]);
        server_put_text(sql, digits);
    }
    server_put_text(sql, "')");
}

/* ---- expressions ---- */

/* Old servers round a number of 17 digits, so it is given as its bytes. */
static void
put_float(struct buf *sql, struct bytes raw)
{
    server_put_text(sql, raw.len == 4 ? "reinterpretAsFloat32(" : "reinterpretAsFloat64(");
    put_hex(sql, raw);
    server_put_text(sql, ")");
}

static void
put_string(struct buf *sql, uint32_t oid, struct bytes raw)
{
    struct buf text = {0};

    if (oid == PG_BYTEA || (raw.len > 0 && memchr(raw.data, 0, raw.len) != NULL)) {
        put_hex(sql, raw);
        return;
    }
    buf_append(&text, raw.data, raw.len);
    buf_append(&text, "", 1);
    sql->failed = sql->failed || text.failed;
    if (!text.failed)
        server_put_literal(sql, (const char *)text.data);
    buf_free(&text);
}

static void
put_days(int64_t days, char *out, size_t size)
{
    struct calendar_date date = calendar_date(days);

    snprintf(out, size, "%04" PRId64 "-%02" PRId64 "-%02" PRId64, date.year, date.month, date.day);
}

/* ticks are 10^-scale seconds since 1970. */
static void
put_moment(int64_t ticks, uint32_t scale, char *out, size_t size)
{
    int64_t unit = 1, seconds, rest, days, second;
    char date[40], fraction[24] = "";

    for (uint32_t i = 0; i < scale; i++)
        unit *= 10;
    rest = (ticks % unit + unit) % unit;
    seconds = (ticks - rest) / unit;
    second = (seconds % SECONDS_PER_DAY + SECONDS_PER_DAY) % SECONDS_PER_DAY;
    days = (seconds - second) / SECONDS_PER_DAY;
    put_days(days, date, sizeof date);
    if (scale > 0)
        snprintf(fraction, sizeof fraction, ".%0*" PRId64, (int)scale, rest);
    snprintf(out, size, "%s %02" PRId64 ":%02" PRId64 ":%02" PRId64 "%s", date, second / 3600,
             second / 60 % 60, second % 60, fraction);
}

/* The text that ClickHouse reads as a value of the type, for a kind without an expression of its
 * own. A Decimal and a UUID have PostgreSQL's text. */
static void
put_text_of(const struct ch_type *type, struct bytes raw, const char *missing, char *out,
            size_t size)
{
    switch (type->kind) {
    case CH_BOOL:
        snprintf(out, size, "%s", raw.data[0] != 0 ? "true" : "false");
        break;
    case CH_UINT:
        snprintf(out, size, "%" PRIu64, (uint64_t)number_of(raw, false));
        break;
    case CH_INT:
        snprintf(out, size, "%" PRId64, number_of(raw, true));
        break;
    case CH_DATE:
    case CH_DATE32:
        put_days(number_of(raw, type->kind == CH_DATE32), out, size);
        break;
    case CH_DATETIME:
        put_moment(number_of(raw, false), 0, out, size);
        break;
    case CH_DATETIME64:
        put_moment(number_of(raw, true), type->scale, out, size);
        break;
    default:
        snprintf(out, size, "%s", missing);
    }
}

static void
put_cast(struct buf *sql, const struct ch_type *type, const char *text, const char *type_text)
{
    if (type->kind == CH_UUID) { /* 18.16 has no CAST to it */
        server_put_text(sql, "toUUID(");
        server_put_literal(sql, text);
        server_put_text(sql, ")");
        return;
    }
    server_put_text(sql, "CAST(");
    server_put_literal(sql, text);
    server_put_text(sql, " AS ");
    server_put_text(sql, type_text);
    server_put_text(sql, ")");
}

/* raw is the value in RowBinary, which is not NULL. */
static void
put_expression(struct buf *sql, const struct ch_type *type, const char *type_text, uint32_t oid,
               const char *missing, struct cursor raw)
{
    char text[128];
    uint8_t is_null;
    uint64_t len;

    if (type->nullable && !cursor_u8(&raw, &is_null))
        return;
    if (type->kind == CH_STRING && chtype_read_length(&raw, &len)) {
        put_string(sql, oid, (struct bytes){.data = raw.at, .len = raw.left});
        return;
    }
    if (type->kind == CH_FLOAT) {
        put_float(sql, (struct bytes){.data = raw.at, .len = raw.left});
        return;
    }
    put_text_of(type, (struct bytes){.data = raw.at, .len = raw.left}, missing, text, sizeof text);
    put_cast(sql, type, text, type_text);
}

/* ---- the default in the catalog ---- */

static int
misfit(const struct table *table, const struct relation_column *column, const char *type_text,
       const char *reason, struct err *err)
{
    err_set(err, EXIT_REFUSED,
            "cannot add column \"%s\" to %s (%s): the value of older rows in the source does not "
            "fit: %s",
            column->name, table->target_sql, type_text, reason);
    return err_hint(err,
                    "set on_overflow, or add the column in ClickHouse with a type and a DEFAULT "
                    "that hold the value");
}

/* The type that the column gets, to be freed with text. -1 with err. */
static int
created_type(const struct server *server, const struct table *table, uint32_t number,
             struct buf *text, struct ch_type *type, struct err *err)
{
    schema_put_type(server, table, number, false, text);
    buf_append(text, "", 1);
    if (!text->failed && chtype_parse((const char *)text->data, type) == 0)
        return 0;
    buf_free(text);
    return err_set(err, EXIT_PEER, "out of memory for a column's default");
}

/* Whether an expression is made from the converted value, for a type that the config chose. */
static bool
is_expressible(const struct ch_type *type)
{
    static const enum ch_kind kinds[] = {CH_STRING, CH_FLOAT,  CH_BOOL,     CH_INT,       CH_UINT,
                                         CH_DATE,   CH_DATE32, CH_DATETIME, CH_DATETIME64};

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (type->kind == kinds[i])
            return type->width <= 8;
    return false;
}

static enum past
put_known(const struct server *server, const struct options *options, const struct table *table,
          uint32_t number, const char *missing, struct buf *sql, struct err *err)
{
    const struct relation_column *column = &table->relation.columns[number];
    struct convert convert = {.limits = server->limits, .policy = options->on_overflow};
    struct value value = {
        .kind = VALUE_TEXT, .data = (const uint8_t *)missing, .len = (uint32_t)strlen(missing)};
    struct buf type_text = {0}, raw = {0};
    struct ch_type type = {0};
    enum past past = PAST_ERROR;

    if (created_type(server, table, number, &type_text, &type, err) != 0)
        return PAST_ERROR;
    if (schema_type_is_chosen(server, table, number, false) && !is_expressible(&type))
        past = PAST_UNKNOWN;
    else if (convert_value(&convert, &type, schema_oid(column), &value, &raw) != 0 || raw.failed)
        misfit(table, column, (const char *)type_text.data, convert.reason, err);
    else if (raw.data[raw.start] != 0 && type.nullable)
        past = PAST_NULL; /* because of on_overflow */
    else
        past = PAST_DEFAULT;
    if (past == PAST_DEFAULT) {
        server_put_text(sql, " DEFAULT ");
        put_expression(sql, &type, (const char *)type_text.data, schema_oid(column), missing,
                       cursor_over(raw.data, buf_len(&raw)));
    }
    chtype_free(&type);
    buf_free(&type_text);
    buf_free(&raw);
    convert_free(&convert);
    return past;
}

/* A type without NULL shows a value in rows without one, and that value is not the source's. */
static enum past
null_past(const struct server *server, const struct table *table, uint32_t number, struct err *err)
{
    struct ch_type type = {0};
    struct buf text = {0};
    enum past past;

    if (created_type(server, table, number, &text, &type, err) != 0)
        return PAST_ERROR;
    past = type.nullable ? PAST_NULL : PAST_UNKNOWN;
    chtype_free(&type);
    buf_free(&text);
    return past;
}

/* If the source's catalog has no value, older rows are null. The exception is a column that may
 * have been added with a default that the catalog does not keep. */
enum past
schema_put_default(const struct server *server, const struct options *options,
                   const struct table *table, uint32_t column, struct buf *sql, struct err *err)
{
    const char *name = table->relation.columns[column].name;
    const struct tableinfo_column *known =
        table->informed ? tableinfo_named(&table->info, name) : NULL;
    const struct seen_name *before;

    if (known == NULL)
        return PAST_UNKNOWN;
    before = seen_current(&table->seen, known->attnum);
    if (before != NULL && strcmp(before->name, name) != 0)
        return PAST_RENAMED;
    if (known->missing == NULL)
        return known->not_null || known->has_default ? PAST_UNKNOWN
                                                     : null_past(server, table, column, err);
    if (strlen(known->missing) > DEFAULT_TEXT_MAX)
        return PAST_UNKNOWN;
    return put_known(server, options, table, column, known->missing, sql, err);
}
