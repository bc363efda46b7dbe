/* compareform.c: see compareform.h. */
#include "sink-ch/compareform.h"

#include <stdio.h>

#include "lib/pgtype.h"
#include "sink-ch/comparelimits.h"
#include "sink-ch/server.h"

static bool
is_text(uint32_t oid)
{
    return oid == PG_TEXT || oid == PG_VARCHAR || oid == PG_BPCHAR || oid == PG_NAME;
}

static bool
is_number(uint32_t oid)
{
    return oid == PG_INT2 || oid == PG_INT4 || oid == PG_INT8 || oid == PG_OID ||
           oid == PG_NUMERIC || oid == PG_FLOAT4 || oid == PG_FLOAT8;
}

static bool
is_time(uint32_t oid)
{
    return oid == PG_DATE || oid == PG_TIMESTAMP || oid == PG_TIMESTAMPTZ;
}

/* Bytes of an integer type of the source, 0 for others. */
static uint32_t
integer_width(uint32_t oid)
{
    return oid == PG_INT2 ? 2 : oid == PG_INT4 ? 4 : oid == PG_INT8 ? 8 : 0;
}

/* Whether the source's type has a value that the column cannot hold. */
static bool
may_overflow(const struct ch_type *type, uint32_t oid)
{
    uint32_t width = integer_width(oid);

    switch (type->kind) {
    case CH_INT:
        return oid != PG_BOOL && (width == 0 || width > type->width) &&
               !(oid == PG_OID && type->width > 4);
    case CH_UINT:
        return oid != PG_BOOL && !(oid == PG_OID && type->width >= 4);
    case CH_FLOAT:
        return oid != PG_FLOAT4 && !(oid == PG_FLOAT8 && type->width == 8) &&
               (width == 0 || width >= type->width);
    case CH_DECIMAL:
    case CH_FIXED_STRING:
    case CH_DATE:
    case CH_DATE32:
    case CH_DATETIME:
    case CH_DATETIME64:
    case CH_ENUM:
    case CH_IPV4:
    case CH_IPV6:
        return true;
    default:
        return false;
    }
}

/* The elements of an Array of one dimension as a column, or the column itself. */
static struct column
inner(const struct column *column)
{
    struct column out = *column;

    if (column->type.kind == CH_ARRAY) {
        out.type = *column->type.element;
        out.oid = pgtype_element(column->oid);
    }
    return out;
}

/* No policy changes a key. A network, a label that is not known and NaN have no nearest value. */
static enum canon_fit
fit_of(const struct column *column, enum convert_policy policy)
{
    enum ch_kind kind = column->type.kind;
    bool nearest = kind != CH_ENUM && kind != CH_IPV4 && kind != CH_IPV6;

    if (column->key || !may_overflow(&column->type, column->oid))
        return CANON_STRICT;
    if (policy == CONVERT_CLAMP && nearest)
        return CANON_CLAMP;
    return policy == CONVERT_NULL && column->type.nullable ? CANON_FITTING : CANON_STRICT;
}

static enum canon
of_type(const struct ch_type *type, uint32_t oid)
{
    bool number = is_number(oid) || is_text(oid);

    switch (type->kind) {
    case CH_INT:
    case CH_UINT:
        return number || oid == PG_BOOL ? CANON_INTEGER : CANON_NONE;
    case CH_BOOL:
        return oid == PG_BOOL ? CANON_INTEGER : CANON_NONE;
    case CH_FLOAT:
        return !number ? CANON_NONE : type->width == 4 ? CANON_FLOAT4 : CANON_FLOAT8;
    case CH_DECIMAL:
        return number ? CANON_DECIMAL : CANON_NONE;
    case CH_STRING:
        return oid == PG_BYTEA ? CANON_BYTES : CANON_TEXT;
    case CH_FIXED_STRING:
        return CANON_FIXED;
    case CH_ENUM:
        return CANON_LABEL;
    case CH_UUID:
        return oid == PG_UUID || is_text(oid) ? CANON_UUID : CANON_NONE;
    case CH_DATE:
    case CH_DATE32:
        return is_time(oid) ? CANON_DAYS : CANON_NONE;
    case CH_DATETIME:
        return is_time(oid) ? CANON_SECONDS : CANON_NONE;
    case CH_DATETIME64:
        return is_time(oid) ? CANON_TIME : CANON_NONE;
    case CH_IPV4:
        return oid == PG_INET || oid == PG_CIDR ? CANON_IPV4 : CANON_NONE;
    case CH_IPV6:
        return oid == PG_INET || oid == PG_CIDR ? CANON_IPV6 : CANON_NONE;
    case CH_ARRAY:
    case CH_JSON:
    case CH_UNSUPPORTED:
        break;
    }
    return CANON_NONE;
}

/* SQL cannot say whether a Float keeps a number's digits, and does not have an Enum's labels. */
static bool
is_vague(const struct canon_column *canon)
{
    return canon->fit == CANON_FITTING &&
           (canon->canon == CANON_FLOAT4 || canon->canon == CANON_FLOAT8 ||
            canon->canon == CANON_LABEL);
}

void
compareform_choose(const struct column *column, enum convert_policy policy,
                   const struct convert_limits *limits, struct canon_column *canon,
                   const char **why)
{
    const struct column c = inner(column);

    *canon = (struct canon_column){.canon = c.oid == 0 ? CANON_NONE : of_type(&c.type, c.oid),
                                   .fit = fit_of(&c, policy),
                                   .array = column->type.kind == CH_ARRAY};
    if (canon->canon == CANON_NONE)
        *why = "values of this type have no common text on both sides";
    else if (is_vague(canon))
        *why = "on_overflow may have changed its values";
    if (is_vague(canon))
        canon->canon = CANON_NONE;
    comparelimits_set(canon, &c.type, limits);
}

bool
compareform_counts(const struct column *column, enum canon canon)
{
    return column->type.kind != CH_ARRAY && canon_counted(canon);
}

/* A number or time with a fraction, whose zeros at the end are cut off. */
static void
put_trimmed(const char *text, const char *zone, struct buf *sql)
{
    char trimmed[64 + 6 * TARGET_NAME_MAX];

    snprintf(trimmed, sizeof trimmed,
             "if(position(toString(%s%s), '.') > 0, "
             "replaceRegexpOne(toString(%s%s), '[.]?0+$', ''), toString(%s%s))",
             text, zone, text, zone, text, zone);
    server_put_text(sql, trimmed);
}

/* The value itself, never NULL in the sense of toString. */
static void
put_form(const struct column *column, enum canon canon, const char *name, struct buf *sql)
{
    char text[256 + 4 * TARGET_NAME_MAX] = "";

    switch (canon) {
    case CANON_NONE:
        break;
    case CANON_TEXT:
    case CANON_LABEL:
        snprintf(text, sizeof text, "toString(%s)", name);
        break;
    case CANON_BYTES:
    case CANON_FIXED:
        snprintf(text, sizeof text, "lower(hex(%s))", name);
        break;
    case CANON_INTEGER:
        snprintf(text, sizeof text,
                 column->type.kind == CH_BOOL ? "toString(toUInt8(%s))" : "toString(%s)", name);
        break;
    case CANON_DECIMAL:
        put_trimmed(name, "", sql);
        break;
    case CANON_FLOAT4:
    case CANON_FLOAT8:
        snprintf(text, sizeof text,
                 "if(isNaN(%s), 'NaN', toString(reinterpretAsInt%d(reinterpretAsString(%s))))",
                 name, canon == CANON_FLOAT4 ? 32 : 64, name);
        break;
    case CANON_UUID:
        snprintf(text, sizeof text, "toString(%s)", name);
        break;
    case CANON_DAYS:
        snprintf(text, sizeof text, "toString(toInt32(%s))", name);
        break;
    case CANON_SECONDS:
        snprintf(text, sizeof text, "toString(toUInt32(%s))", name);
        break;
    case CANON_TIME:
        put_trimmed(name, ", 'UTC'", sql);
        break;
    case CANON_IPV4:
        snprintf(text, sizeof text, "toString(%s)", name);
        break;
    case CANON_IPV6:
        snprintf(text, sizeof text, "lower(hex(IPv6StringToNum(toString(%s))))", name);
        break;
    }
    server_put_text(sql, text);
}

/* The column's name as SQL, for the formats above. */
static const char *
quoted(const struct column *column, struct buf *name)
{
    server_put_name(name, column->name);
    buf_append(name, "", 1);
    return name->failed ? "" : (const char *)name->data;
}

/* The number of elements and, for each, its length and its text, or n for NULL. */
static void
put_array(const struct column *column, enum canon canon, const char *name, struct buf *sql)
{
    static const char element[] = "walpipe_element";
    const struct column c = inner(column);

    server_put_text(sql, "concat(toString(length(");
    server_put_text(sql, name);
    server_put_text(sql, ")), ':', arrayStringConcat(arrayMap(walpipe_element -> ");
    if (c.type.nullable)
        server_put_text(sql, "ifNull(");
    server_put_text(sql, "concat(toString(length(");
    put_form(&c, canon, element, sql);
    server_put_text(sql, ")), ':', ");
    put_form(&c, canon, element, sql);
    server_put_text(sql, c.type.nullable ? "), 'n'), " : "), ");
    server_put_text(sql, name);
    server_put_text(sql, ")))");
}

void
compareform_put(const struct column *column, enum canon canon, struct buf *sql)
{
    struct buf name = {0};
    const char *text = quoted(column, &name);

    if (column->type.kind == CH_ARRAY) {
        put_array(column, canon, text, sql);
    } else if (column->type.nullable) {
        server_put_text(sql, "ifNull(");
        put_form(column, canon, text, sql);
        server_put_text(sql, ", '')");
    } else {
        put_form(column, canon, text, sql);
    }
    sql->failed = sql->failed || name.failed;
    buf_free(&name);
}

void
compareform_put_length(const struct column *column, enum canon canon, struct buf *sql)
{
    struct buf name = {0};
    const char *text = quoted(column, &name);

    server_put_text(sql, column->type.nullable ? "ifNull(toString(length(" : "toString(length(");
    put_form(column, canon, text, sql);
    server_put_text(sql, column->type.nullable ? ")), '')" : "))");
    sql->failed = sql->failed || name.failed;
    buf_free(&name);
}

void
compareform_put_shown(const struct column *column, struct buf *sql)
{
    server_put_text(sql, "substring(toString(");
    server_put_name(sql, column->name);
    server_put_text(sql, "), 1, 200)");
}
