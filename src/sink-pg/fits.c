/* fits.c: see fits.h. PostgreSQL's input functions refuse most values that do not fit. But they do
 * some things silently. They round numbers and times to the column's precision, cut text for name
 * and "char", and skip the time of day behind a date. They take any number for seconds or a part of
 * an address, and each word of a tsvector only once. */
#include "sink-pg/fits.h"

#include "lib/pgtype.h"

static bool
is_float(uint32_t oid)
{
    return oid == PG_FLOAT4 || oid == PG_FLOAT8;
}

static bool
is_text(uint32_t oid)
{
    return oid == PG_TEXT || oid == PG_VARCHAR || oid == PG_BPCHAR;
}

static const char *
loss_of_digits(struct fits_type from, struct fits_type to)
{
    static const char loss[] = "digits would be rounded away";
    bool integer = from.oid == PG_INT2 || from.oid == PG_INT4 || from.oid == PG_INT8;

    if (to.oid == PG_FLOAT4 &&
        (from.oid == PG_FLOAT8 || from.oid == PG_INT4 || from.oid == PG_INT8))
        return loss;
    if (to.oid == PG_FLOAT8 && from.oid == PG_INT8)
        return loss;
    if (is_float(to.oid) && from.oid == PG_NUMERIC)
        return loss;
    if (to.oid == PG_MONEY && (from.oid == PG_NUMERIC || is_float(from.oid)))
        return loss;
    if (to.oid != PG_NUMERIC || to.typmod == -1)
        return NULL;
    if (from.oid == PG_NUMERIC && from.typmod == FITS_TYPMOD_UNKNOWN)
        return NULL;
    if (from.oid == PG_NUMERIC)
        return from.typmod == -1 || pgtype_scale(from.typmod) > pgtype_scale(to.typmod) ? loss
                                                                                        : NULL;
    return is_float(from.oid) || (integer && pgtype_scale(to.typmod) < 0) ? loss : NULL;
}

static bool
has_time_of_day(uint32_t oid)
{
    return oid == PG_TIME || oid == PG_TIMETZ || oid == PG_TIMESTAMP || oid == PG_TIMESTAMPTZ;
}

static const char *
loss_of_time(struct fits_type from, struct fits_type to)
{
    bool stamp = from.oid == PG_TIMESTAMP || from.oid == PG_TIMESTAMPTZ;
    bool known = from.typmod != FITS_TYPMOD_UNKNOWN;

    if (stamp && to.oid == PG_DATE)
        return "the time of day would be cut off";
    if (stamp && (to.oid == PG_TIME || to.oid == PG_TIMETZ))
        return "the date would be cut off";
    if (from.oid == PG_TIMETZ && to.oid == PG_TIME)
        return "the time zone would be cut off";
    if (known && from.oid == PG_INTERVAL && to.oid == PG_INTERVAL && to.typmod != -1 &&
        to.typmod != from.typmod)
        return "fields or fractions of seconds would be cut off";
    if (known && has_time_of_day(from.oid) && has_time_of_day(to.oid) && to.typmod != -1 &&
        (from.typmod == -1 || from.typmod > to.typmod))
        return "fractions of seconds would be rounded away";
    return NULL;
}

/* If both sides are of the same kind, an array's or a range's type becomes that of its parts, with
 * the typmod, which an array has for its elements. Otherwise the source's becomes an unknown
 * one. */
static void
go_into(struct fits_type *from, struct fits_type *to)
{
    uint32_t (*const parts[])(uint32_t) = {pgtype_element, pgtype_range_element,
                                           pgtype_multirange_element};

    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        uint32_t from_part = parts[i](from->oid), to_part = parts[i](to->oid);

        if (to_part == 0 && from_part == 0)
            continue;
        from->oid = to_part == 0 ? 0 : from_part;
        to->oid = to_part == 0 ? to->oid : to_part;
    }
}

/* The input functions of dates and times ignore braces and brackets. */
static const char *
loss_of_shape(struct fits_type from, struct fits_type to)
{
    bool many = pgtype_element(from.oid) != 0 || pgtype_range_element(from.oid) != 0 ||
                pgtype_multirange_element(from.oid) != 0;

    if (many && (to.oid == PG_TIMESTAMP || to.oid == PG_TIMESTAMPTZ))
        return "the value is not a single one";
    return NULL;
}

const char *
fits_loss(struct fits_type from, struct fits_type to)
{
    const char *loss = loss_of_shape(from, to);

    go_into(&from, &to);
    if (loss == NULL)
        loss = loss_of_digits(from, to);

    if (loss == NULL)
        loss = loss_of_time(from, to);
    if (loss == NULL && is_text(from.oid) && (to.oid == PG_NAME || to.oid == PG_CHAR))
        loss = "text would be cut off";
    return loss;
}

bool
fits_may_lose(struct fits_type to)
{
    switch (to.oid) {
    case PG_FLOAT4:
    case PG_FLOAT8:
    case PG_MONEY:
    case PG_DATE:
    case PG_TIME:
    case PG_TIMETZ:
    case PG_NAME:
    case PG_CHAR:
    case PG_INTERVAL:
    case PG_TSVECTOR:
    case PG_INET:
    case PG_CIDR:
        return true;
    case PG_TIMESTAMP:
    case PG_TIMESTAMPTZ:
        return to.typmod != -1 && to.typmod != 6;
    case PG_NUMERIC:
        return to.typmod != -1;
    default:
        return false;
    }
}

static bool
is_integer(uint32_t oid)
{
    return oid == PG_INT2 || oid == PG_INT4 || oid == PG_INT8;
}

/* The pairs of different types for which fits_loss knows every loss. */
static bool
is_known_pair(uint32_t from, uint32_t to)
{
    switch (to) {
    case PG_FLOAT4:
    case PG_FLOAT8:
        return is_integer(from) || from == PG_FLOAT4;
    case PG_NUMERIC:
    case PG_MONEY:
        return is_integer(from);
    case PG_TIMESTAMP:
    case PG_TIMESTAMPTZ:
        return from == PG_DATE || from == PG_TIMESTAMP || from == PG_TIMESTAMPTZ;
    case PG_TIMETZ:
        return from == PG_TIME;
    case PG_INET:
    case PG_CIDR:
        return from == PG_INET || from == PG_CIDR;
    case PG_NAME:
        return from == PG_CHAR || from == PG_BOOL || is_integer(from);
    default:
        return false;
    }
}

bool
fits_unproven(struct fits_type from, struct fits_type to)
{
    bool typmods = to.typmod != -1;

    go_into(&from, &to);
    if (!fits_may_lose(to) || fits_loss(from, to) != NULL)
        return false;
    if (from.oid != to.oid && !is_known_pair(from.oid, to.oid))
        return true;
    return typmods && from.typmod == FITS_TYPMOD_UNKNOWN && !is_integer(from.oid) &&
           from.oid != PG_DATE;
}
