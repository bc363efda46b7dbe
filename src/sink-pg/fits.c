/* fits.c: see fits.h. PostgreSQL's input functions refuse most of what does not fit, but round
 * numbers and times to the column's precision, cut text for name and "char", and skip the time of
 * day that stands behind a date, all without a word. */
#include "sink-pg/fits.h"

enum {
    CHAR1 = 18,
    NAME = 19,
    INT8 = 20,
    INT2 = 21,
    INT4 = 23,
    TEXT = 25,
    FLOAT4 = 700,
    FLOAT8 = 701,
    MONEY = 790,
    BPCHAR = 1042,
    VARCHAR = 1043,
    DATE = 1082,
    TIME = 1083,
    TIMESTAMP = 1114,
    TIMESTAMPTZ = 1184,
    INTERVAL = 1186,
    TIMETZ = 1266,
    NUMERIC = 1700
};

/* The scale in numeric's typmod: 11 bits with sign, behind the length of a varlena header. */
static int32_t
numeric_scale(int32_t typmod)
{
    return (((typmod - 4) & 0x7ff) ^ 1024) - 1024;
}

static bool
is_float(uint32_t oid)
{
    return oid == FLOAT4 || oid == FLOAT8;
}

static bool
is_text(uint32_t oid)
{
    return oid == TEXT || oid == VARCHAR || oid == BPCHAR;
}

static const char *
loss_of_digits(struct fits_type from, struct fits_type to)
{
    static const char loss[] = "digits would be rounded away";
    bool integer = from.oid == INT2 || from.oid == INT4 || from.oid == INT8;

    if (to.oid == FLOAT4 && (from.oid == FLOAT8 || from.oid == INT4 || from.oid == INT8))
        return loss;
    if (to.oid == FLOAT8 && from.oid == INT8)
        return loss;
    if (is_float(to.oid) && from.oid == NUMERIC)
        return loss;
    if (to.oid == MONEY && (from.oid == NUMERIC || is_float(from.oid)))
        return loss;
    if (to.oid != NUMERIC || to.typmod == -1)
        return NULL;
    if (from.oid == NUMERIC)
        return from.typmod == -1 || numeric_scale(from.typmod) > numeric_scale(to.typmod) ? loss
                                                                                          : NULL;
    return is_float(from.oid) || (integer && numeric_scale(to.typmod) < 0) ? loss : NULL;
}

static bool
has_time_of_day(uint32_t oid)
{
    return oid == TIME || oid == TIMETZ || oid == TIMESTAMP || oid == TIMESTAMPTZ;
}

static const char *
loss_of_time(struct fits_type from, struct fits_type to)
{
    bool stamp = from.oid == TIMESTAMP || from.oid == TIMESTAMPTZ;

    if (stamp && to.oid == DATE)
        return "the time of day would be cut off";
    if (stamp && (to.oid == TIME || to.oid == TIMETZ))
        return "the date would be cut off";
    if (from.oid == TIMETZ && to.oid == TIME)
        return "the time zone would be cut off";
    if (from.oid == INTERVAL && to.oid == INTERVAL && to.typmod != -1 && to.typmod != from.typmod)
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
    if (loss == NULL && is_text(from.oid) && (to.oid == NAME || to.oid == CHAR1))
        loss = "text would be cut off";
    return loss;
}
