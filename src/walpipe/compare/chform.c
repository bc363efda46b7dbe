/* chform.c: see chform.h. A text is that of the value which the target should hold. If a value does
 * not fit and nothing is done about it (CANON_STRICT), its text differs from those of all values
 * that fit. */
#include "walpipe/compare/chform.h"

#include <string.h>

#include "lib/pgtype.h"

/* The value as a text is `given`, NULL is NULL. */
static const char *
if_given(const char *reference, const char *given, struct pool *pool)
{
    return pool_print(pool, "CASE WHEN %s IS NOT NULL THEN %s END", reference, given);
}

/* ---- numbers ---- */

static const char *
numeric_of(const struct column *column, struct pool *pool)
{
    const char *r = form_reference(column, pool);

    return column->oid == PG_NUMERIC ? r : form_cast(r, "numeric", pool);
}

static const char *
number(const struct column *column, const struct canon_column *canon, int version,
       struct pool *pool)
{
    const char *r = form_reference(column, pool), *n;

    if (column->oid == PG_BOOL)
        return pool_print(pool, "%s::int4", r);
    if (canon->fit == CANON_STRICT)
        return form_number(column, version, pool);
    n = numeric_of(column, pool);
    if (canon->fit == CANON_CLAMP)
        return form_trimmed(pool_print(pool,
                                       "CASE WHEN %s = 'NaN' THEN 'NaN' WHEN %s IS NOT NULL THEN "
                                       "least(greatest(round(%s, %u), %s), %s) END",
                                       n, n, n, canon->scale, canon->low, canon->high),
                            version, pool);
    return pool_print(pool, "CASE WHEN %s = round(%s, %u) AND %s BETWEEN %s AND %s THEN %s END", n,
                      n, canon->scale, n, canon->low, canon->high, form_trimmed(n, version, pool));
}

/* Beyond `beyond` a number is read as an infinity, and up to `none` as 0. PostgreSQL refuses to
 * read them. */
static const struct {
    const char *type, *largest, *beyond, *none;
} floats[] = {
    {"float4", "3.4028235e38", "340282356779733661637539395458142568448",
     "7.00649232162408535461864791644958e-46"},
    {"float8", "1.7976931348623157e308", "1.797693134862315807937e308",
     "2.47032822920623272088284396434110686182e-324"},
};

static const char *
number_bits(const struct column *column, const struct canon_column *canon, struct pool *pool)
{
    bool wide = canon->canon == CANON_FLOAT8;
    const char *r = form_reference(column, pool), *type = floats[wide].type;
    const char *text = pool_print(pool, "concat(%s)", r), *n, *clamped;

    if (canon->fit != CANON_CLAMP)
        return form_bits(column, wide, pool);
    n = pool_print(pool, "%s::numeric", text);
    clamped =
        pool_print(pool,
                   "CASE WHEN %s IN ('NaN', 'Infinity', '-Infinity') THEN %s::%s ELSE"
                   " CASE WHEN abs(%s) >= %s THEN sign(%s)::%s * '%s'::%s"
                   " WHEN abs(%s) <= %s THEN CASE WHEN left(%s, 1) = '-' THEN '-0' ELSE '0' END::%s"
                   " ELSE %s::%s END END",
                   text, text, type, n, floats[wide].beyond, n, type, floats[wide].largest, type, n,
                   floats[wide].none, text, type, text, type);
    return form_float_bits(if_given(r, clamped, pool), wide, pool);
}

/* ---- FixedString ---- */

/* Where a text of more bytes is cut, before a byte that begins a character. */
static const char *
cut_at(const struct column *column, const char *bytes, uint32_t width, struct pool *pool)
{
    const char *out = "";
    uint32_t back = width < 3 ? width : 3;

    if (column->oid == PG_BYTEA)
        return pool_print(pool, "%u", width);
    for (uint32_t i = 0; i < back; i++)
        out = pool_print(pool, "%sWHEN get_byte(%s, %u) & 192 <> 128 THEN %u ", out, bytes,
                         width - i, width - i);
    return pool_print(pool, "CASE %sELSE %u END", out, width - back);
}

static const char *
fixed(const struct column *column, const struct canon_column *canon, struct pool *pool)
{
    const char *r = form_reference(column, pool), *out;
    const char *bytes = column->oid == PG_BYTEA
                            ? r
                            : pool_print(pool, "convert_to(%s, 'UTF8')", form_output(r, pool));

    if (canon->fit == CANON_CLAMP)
        bytes = pool_print(
            pool, "CASE WHEN octet_length(%s) > %u THEN substring(%s FROM 1 FOR %s) ELSE %s END",
            bytes, canon->width, bytes, cut_at(column, bytes, canon->width, pool), bytes);
    out = pool_print(pool, "rpad(encode(%s, 'hex'), greatest(2 * octet_length(%s), %u), '0')",
                     bytes, bytes, 2 * canon->width);
    if (canon->fit != CANON_FITTING)
        return out;
    return pool_print(pool, "CASE WHEN octet_length(%s) <= %u THEN %s END", bytes, canon->width,
                      out);
}

/* ---- times ---- */

/* A time in the column's unit, and whether it loses nothing. All limits are between 1800 and
 * 2400. */
struct moment_form {
    const char *reference, *value, *exact;
    const char *low, *high; /* SQL */
};

static const char *
power_of_ten(uint32_t n, struct pool *pool)
{
    const char *out = "1";

    for (; n > 0; n--)
        out = pool_print(pool, "%s0", out);
    return out;
}

/* PostgreSQL's timestamps have six digits, and would round more of them. */
static const char *
timestamp_literal(const char *limit, struct pool *pool)
{
    const char *point = strchr(limit, '.');
    size_t len = point != NULL && strlen(point) > 7 ? (size_t)(point - limit) + 7 : strlen(limit);

    return pool_print(pool, "'%s'::timestamp", pool_copy_bytes(pool, limit, len));
}

static void
set_ticks(struct moment_form *m, const struct canon_column *canon, struct pool *pool)
{
    const char *t = m->value;

    m->low = timestamp_literal(canon->low, pool);
    m->high = timestamp_literal(canon->high, pool);
    if (canon->scale < 6)
        m->value = pool_print(pool,
                              "(%s - extract(microseconds from %s)::int8 %% %s * "
                              "'1 microsecond'::interval)",
                              t, t, power_of_ten(6 - canon->scale, pool));
    m->exact = pool_print(pool, "%s = %s", m->value, t);
}

static struct moment_form
moment_form(const struct column *column, const struct canon_column *canon, struct pool *pool)
{
    const char *r = form_reference(column, pool), *t = pool_print(pool, "%s::timestamp", r);
    struct moment_form m = {.reference = r, .value = t, .low = canon->low, .high = canon->high};

    if (canon->canon == CANON_DAYS) {
        m.value = pool_print(pool, "(%s::date - '1970-01-01'::date)", t);
        m.exact = pool_print(pool, "%s::date = %s", t, t);
    } else if (canon->canon == CANON_SECONDS) {
        m.value = pool_print(pool, "extract(epoch from date_trunc('second', %s))::int8", t);
        m.exact = pool_print(pool, "date_trunc('second', %s) = %s", t, t);
    } else {
        set_ticks(&m, canon, pool);
    }
    return m;
}

static const char *
moment(const struct column *column, const struct canon_column *canon, struct pool *pool)
{
    struct moment_form m = moment_form(column, canon, pool);
    const char *far, *near;

    switch (canon->fit) {
    case CANON_STRICT:
        far = pool_print(pool, "WHEN %s < '1800-01-01' OR %s >= '2400-01-01' THEN concat(%s)",
                         m.reference, m.reference, m.reference);
        near = pool_print(pool, "WHEN %s THEN %s::text ELSE concat(%s)", m.exact, m.value,
                          m.reference);
        break;
    case CANON_CLAMP:
        far = pool_print(pool, "WHEN %s < '1800-01-01' THEN '%s' WHEN %s >= '2400-01-01' THEN '%s'",
                         m.reference, canon->low, m.reference, canon->high);
        near = pool_print(pool, "WHEN %s < %s THEN '%s' WHEN %s > %s THEN '%s' ELSE %s::text",
                          m.value, m.low, canon->low, m.value, m.high, canon->high, m.value);
        break;
    default:
        far = pool_print(pool, "WHEN %s < '1800-01-01' OR %s >= '2400-01-01' THEN NULL",
                         m.reference, m.reference);
        near = pool_print(pool, "WHEN %s AND %s BETWEEN %s AND %s THEN %s::text", m.exact, m.value,
                          m.low, m.high, m.value);
        break;
    }
    return if_given(m.reference, pool_print(pool, "CASE %s ELSE CASE %s END END", far, near), pool);
}

/* ---- addresses ---- */

/* An address of IPv6 as 32 hex digits, because the servers abbreviate it differently. */
static const char *
address(const struct column *column, const struct canon_column *canon, struct pool *pool)
{
    const char *r = form_reference(column, pool);
    const char *hex = pool_print(pool, "substr(encode(inet_send(%s), 'hex'), 9)", r), *text;
    const char *whole =
        pool_print(pool, "masklen(%s) = CASE family(%s) WHEN 4 THEN 32 ELSE 128 END%s", r, r,
                   canon->canon == CANON_IPV4 ? pool_print(pool, " AND family(%s) = 4", r) : "");

    if (canon->canon == CANON_IPV4)
        text = pool_print(pool, "host(%s)", r);
    else
        text = pool_print(
            pool, "CASE family(%s) WHEN 4 THEN '00000000000000000000ffff' ELSE '' END || %s", r,
            hex);
    return if_given(
        r,
        pool_print(pool, "CASE WHEN %s THEN %s%s END", whole, text,
                   canon->fit == CANON_FITTING ? "" : pool_print(pool, " ELSE concat(%s)", r)),
        pool);
}

/* ---- the choice ---- */

static const char *
text_of(const struct column *column, const struct canon_column *canon, int version,
        struct pool *pool)
{
    const char *r = form_reference(column, pool);

    switch (canon->canon) {
    case CANON_NONE:
        break;
    case CANON_TEXT:
    case CANON_LABEL:
        return form_is_text(column->oid) ? r : form_output(r, pool);
    case CANON_BYTES:
        return pool_print(pool, "encode(%s, 'hex')", r);
    case CANON_FIXED:
        return fixed(column, canon, pool);
    case CANON_INTEGER:
    case CANON_DECIMAL:
        return number(column, canon, version, pool);
    case CANON_FLOAT4:
    case CANON_FLOAT8:
        return number_bits(column, canon, pool);
    case CANON_UUID:
        return column->oid == PG_UUID ? r : form_cast(r, "uuid", pool);
    case CANON_DAYS:
    case CANON_SECONDS:
    case CANON_TIME:
        return moment(column, canon, pool);
    case CANON_IPV4:
    case CANON_IPV6:
        return address(column, canon, pool);
    }
    return NULL;
}

/* The number of elements and, for each, its length and its text, or n for NULL. The elements are
 * the column of a table that is named t, too. */
static const char *
array_of(const struct column *column, const struct canon_column *canon,
         const struct form_servers *servers, struct pool *pool)
{
    struct column inner = {.name = "element", .oid = pgtype_element(column->oid), .typmod = -1};
    const char *r = form_reference(column, pool);
    const char *text = text_of(&inner, canon, servers->source_version, pool), *length;

    if (text == NULL)
        return NULL;
    length = form_length(pool_print(pool, "concat(%s)", text), servers->source_utf8, pool);
    return if_given(
        r,
        pool_print(pool,
                   "CASE WHEN array_ndims(%s) > 1 OR array_lower(%s, 1) <> 1 THEN concat(%s) ELSE"
                   " (SELECT concat(count(*), ':',"
                   " string_agg(CASE WHEN (%s) IS NULL THEN 'n' ELSE"
                   " concat(%s, ':', %s) END, '' ORDER BY t.place))"
                   " FROM unnest(%s) WITH ORDINALITY AS t(element, place)) END",
                   r, r, r, text, length, text, r),
        pool);
}

void
chform_make(struct form *form, const struct column *source, const struct canon_column *canon,
            const struct form_servers *servers, struct pool *pool)
{
    *form = (struct form){.source = canon->array
                                        ? array_of(source, canon, servers, pool)
                                        : text_of(source, canon, servers->source_version, pool)};
    if (form->source == NULL || canon->array)
        return;
    if (canon->canon == CANON_TEXT && source->oid == PG_BPCHAR && servers->source_utf8)
        form->source = form_reference(source, pool);
    if (canon_counted(canon->canon))
        form->source_length = form_length(form->source, servers->source_utf8, pool);
}
