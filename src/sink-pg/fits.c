/* fits.c: see fits.h. PostgreSQL's input functions refuse most of what does not fit, but round
 * numbers and times to the column's precision, cut text for name and "char", and skip the time of
 * day that stands behind a date, all without a word. */
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

    if (stamp && to.oid == PG_DATE)
        return "the time of day would be cut off";
    if (stamp && (to.oid == PG_TIME || to.oid == PG_TIMETZ))
        return "the date would be cut off";
    if (from.oid == PG_TIMETZ && to.oid == PG_TIME)
        return "the time zone would be cut off";
    if (from.oid == PG_INTERVAL && to.oid == PG_INTERVAL && to.typmod != -1 &&
        to.typmod != from.typmod)
        return "fields or fractions of seconds would be cut off";
    if (has_time_of_day(from.oid) && has_time_of_day(to.oid) && to.typmod != -1 &&
        (from.typmod == -1 || from.typmod > to.typmod))
        return "fractions of seconds would be rounded away";
    return NULL;
}

const char *
fits_loss(struct fits_type from, struct fits_type to)
{
    const char *loss = loss_of_digits(from, to);

    if (loss == NULL)
        loss = loss_of_time(from, to);
    if (loss == NULL && is_text(from.oid) && (to.oid == PG_NAME || to.oid == PG_CHAR))
        loss = "text would be cut off";
    return loss;
}
