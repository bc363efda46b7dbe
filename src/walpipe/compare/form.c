/* form.c: see form.h. */
#include "walpipe/compare/form.h"

#include <string.h>

#include "lib/pgtype.h"

bool
form_is_integer(uint32_t oid)
{
    return oid == PG_INT2 || oid == PG_INT4 || oid == PG_INT8;
}

bool
form_is_text(uint32_t oid)
{
    return oid == PG_TEXT || oid == PG_VARCHAR;
}

static bool
is_float(uint32_t oid)
{
    return oid == PG_FLOAT4 || oid == PG_FLOAT8;
}

static bool
is_number(uint32_t oid)
{
    return form_is_integer(oid) || is_float(oid) || oid == PG_NUMERIC || oid == PG_OID;
}

/* Types whose text is never empty and never has the character "|". */
static bool
is_plain(uint32_t oid)
{
    return is_number(oid) || oid == PG_BOOL || oid == PG_BYTEA || oid == PG_UUID ||
           oid == PG_DATE || oid == PG_TIME || oid == PG_TIMETZ || oid == PG_TIMESTAMP ||
           oid == PG_TIMESTAMPTZ;
}

const char *
form_reference(const struct column *column, struct pool *pool)
{
    char *out = pool_take(pool, 2 * strlen(column->name) + 5), *at = out;

    *at++ = 't';
    *at++ = '.';
    *at++ = '"';
    for (const char *c = column->name; *c != '\0'; c++) {
        if (*c == '"')
            *at++ = '"';
        *at++ = *c;
    }
    *at++ = '"';
    *at = '\0';
    return out;
}

/* A cast to text does not call the output function for every type. concat() does, and makes '' of
 * NULL. */
const char *
form_output(const char *reference, struct pool *pool)
{
    return pool_print(pool, "CASE WHEN %s IS NOT NULL THEN concat(%s) END", reference, reference);
}

const char *
form_cast(const char *reference, const char *type, struct pool *pool)
{
    return pool_print(pool, "CASE WHEN %s IS NOT NULL THEN concat(%s)::%s END", reference,
                      reference, type);
}

const char *
form_length(const char *text, bool utf8, struct pool *pool)
{
    return pool_print(pool, utf8 ? "octet_length(%s)" : "octet_length(convert_to(%s, 'UTF8'))",
                      text);
}

const char *
form_trimmed(const char *numeric, int version, struct pool *pool)
{
    if (version >= 130000)
        return pool_print(pool, "trim_scale(%s)", numeric);
    return pool_print(pool,
                      "CASE WHEN position('.' in (%s)::text) > 0 THEN rtrim(rtrim((%s)::text, '0'),"
                      " '.') ELSE (%s)::text END",
                      numeric, numeric, numeric);
}

const char *
form_number(const struct column *column, int version, struct pool *pool)
{
    const char *r = form_reference(column, pool);

    if (form_is_integer(column->oid) || column->oid == PG_OID)
        return r;
    return form_trimmed(column->oid == PG_NUMERIC ? r : form_cast(r, "numeric", pool), version,
                        pool);
}

const char *
form_float_bits(const char *n, bool wide, struct pool *pool)
{
    return pool_print(pool,
                      wide ? "CASE WHEN (%s) = 'NaN' THEN 'NaN' ELSE (('x' ||"
                             " encode(float8send(%s), 'hex'))::bit(64)::int8)::text END"
                           : "CASE WHEN (%s) = 'NaN' THEN 'NaN' ELSE (('x' ||"
                             " encode(float4send(%s), 'hex'))::bit(32)::int4)::text END",
                      n, n);
}

const char *
form_bits(const struct column *column, bool wide, struct pool *pool)
{
    const char *r = form_reference(column, pool);
    bool same = column->oid == (wide ? PG_FLOAT8 : PG_FLOAT4);

    return form_float_bits(same ? r : form_cast(r, wide ? "float8" : "float4", pool), wide, pool);
}

/* ---- pairs of types ---- */

static bool
same_type(const struct column *a, const struct column *b)
{
    if (a->oid < PGTYPE_USER_FIRST || b->oid < PGTYPE_USER_FIRST)
        return a->oid == b->oid;
    return a->kind == b->kind && strcmp(a->type, b->type) == 0;
}

static void
set(struct form *form, const char *source, const char *target, bool counted,
    const struct form_servers *servers, struct pool *pool)
{
    form->source = source;
    form->target = target;
    if (!counted)
        return;
    form->source_length = form_length(source, servers->source_utf8, pool);
    form->target_length = form_length(target, servers->target_utf8, pool);
}

/* A text that is too long loses only spaces in a varchar(n). */
static const char *
cut(const char *text, int32_t typmod, struct pool *pool)
{
    if (typmod < 4)
        return text;
    return pool_print(pool, "left(%s, %d) || rtrim(substr(%s, %d), ' ')", text, typmod - 4, text,
                      typmod - 3);
}

/* Both have the same spaces at the end, and neither concat() nor octet_length() cuts them off. */
static bool
is_padded_alike(const struct column *s, const struct column *t)
{
    return s->oid == PG_BPCHAR && t->oid == PG_BPCHAR && s->typmod == t->typmod;
}

static void
into_text(struct form *form, const struct column *s, const struct column *t,
          const struct form_servers *servers, struct pool *pool)
{
    const char *from = form_reference(s, pool), *to = form_reference(t, pool);

    if (!form_is_text(s->oid))
        from = form_output(from, pool);
    if (is_padded_alike(s, t) && servers->source_utf8 && servers->target_utf8)
        set(form, form_reference(s, pool), to, true, servers, pool);
    else if (t->oid == PG_BPCHAR && s->oid == PG_BPCHAR) /* the cast cuts off the spaces */
        set(form, pool_print(pool, "%s::text", form_reference(s, pool)),
            pool_print(pool, "%s::text", to), true, servers, pool);
    else if (t->oid == PG_BPCHAR)
        set(form, pool_print(pool, "rtrim(%s, ' ')", from), pool_print(pool, "%s::text", to), true,
            servers, pool);
    else if (t->oid == PG_VARCHAR && !(s->oid == PG_VARCHAR && s->typmod == t->typmod))
        set(form, cut(from, t->typmod, pool), to, true, servers, pool);
    else
        set(form, from, t->oid == PG_NAME ? form_output(to, pool) : to, true, servers, pool);
}

/* From version 12 on a server writes the shortest text of a floating point number. */
static bool
write_alike(const struct form_servers *servers)
{
    return (servers->source_version >= 120000) == (servers->target_version >= 120000);
}

static bool
is_drawing(uint32_t oid)
{
    return oid == PG_POINT || oid == PG_LSEG || oid == PG_PATH || oid == PG_BOX ||
           oid == PG_POLYGON || oid == PG_LINE || oid == PG_CIRCLE;
}

static bool
may_have_floats(const struct column *column)
{
    return is_drawing(column->oid) || is_drawing(pgtype_element(column->oid)) ||
           (column->oid >= PGTYPE_USER_FIRST && column->kind != 'e');
}

static void
into_same(struct form *form, const struct column *s, const struct column *t,
          const struct form_servers *servers, struct pool *pool)
{
    const char *from = form_reference(s, pool), *to = form_reference(t, pool);

    if (s->inside == NULL || t->inside == NULL || strcmp(s->inside, t->inside) != 0)
        form->why = "the type has parts that may be defined otherwise in the target";
    else if (pgtype_element(s->oid) == PG_NUMERIC && s->typmod != t->typmod)
        form->why = "the scale is another one in the target";
    else if (!write_alike(servers) && is_float(pgtype_element(s->oid)))
        set(form, pool_print(pool, "encode(array_send(%s), 'hex')", from),
            pool_print(pool, "encode(array_send(%s), 'hex')", to), true, servers, pool);
    else if (!write_alike(servers) && may_have_floats(s))
        form->why = "the two servers write floating point numbers differently";
    else if (is_plain(s->oid))
        set(form, from, to, false, servers, pool);
    else
        set(form, form_output(from, pool), form_output(to, pool), true, servers, pool);
}

/* Another built-in type reads the source's text, as the sink's server does. */
static void
into_other(struct form *form, const struct column *s, const struct column *t,
           const struct form_servers *servers, struct pool *pool)
{
    const char *from = form_reference(s, pool), *to = form_reference(t, pool);

    if (t->oid >= PGTYPE_ANNOUNCED_FIRST && t->kind != 'e')
        form->why = "the source cannot write its text as the target's type does";
    else if (t->kind == 'e' || t->oid == PG_BIT || t->oid == PG_VARBIT)
        set(form, form_output(from, pool), form_output(to, pool), true, servers, pool);
    else if (is_plain(t->oid))
        set(form, form_cast(from, t->type, pool), to, false, servers, pool);
    else
        set(form,
            pool_print(pool, "CASE WHEN %s IS NOT NULL THEN concat(concat(%s)::%s) END", from, from,
                       t->type),
            form_output(to, pool), true, servers, pool);
}

void
form_pair(struct form *form, const struct column *s, const struct column *t,
          const struct form_servers *servers, struct pool *pool)
{
    *form = (struct form){0};
    if (is_float(t->oid) && (!write_alike(servers) || s->oid != t->oid))
        set(form, form_bits(s, t->oid == PG_FLOAT8, pool), form_bits(t, t->oid == PG_FLOAT8, pool),
            false, servers, pool);
    else if (t->oid == PG_NUMERIC && !(s->oid == PG_NUMERIC && s->typmod == t->typmod))
        set(form, form_number(s, servers->source_version, pool),
            form_number(t, servers->target_version, pool), false, servers, pool);
    else if (form_is_text(t->oid) || t->oid == PG_BPCHAR || t->oid == PG_NAME)
        into_text(form, s, t, servers, pool);
    else if (same_type(s, t))
        into_same(form, s, t, servers, pool);
    else
        into_other(form, s, t, servers, pool);
}

bool
form_finds(const struct column *s, const struct column *t)
{
    return s->oid == t->oid && (is_plain(s->oid) || form_is_text(s->oid) || s->oid == PG_BPCHAR);
}
