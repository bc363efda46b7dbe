/* judge.c: judges a PostgreSQL type and a ClickHouse type before any value was seen. */
#include "sink-ch/convert/judge.h"

#include "lib/pgtype.h"

enum family {
    INTEGER,
    FLOAT,
    NUMERIC,
    TEXT,
    BOOL,
    BYTES,
    UUID,
    DATE,
    TIMESTAMP,
    ADDRESS,
    ARRAY,
    OTHER
};

/* The family of a type that a user created is unknown, because its text may be anything. */
static enum family
family_of(uint32_t oid)
{
    switch (oid) {
    case PG_INT2:
    case PG_INT4:
    case PG_INT8:
    case PG_OID:
        return INTEGER;
    case PG_FLOAT4:
    case PG_FLOAT8:
        return FLOAT;
    case PG_NUMERIC:
        return NUMERIC;
    case PG_BOOL:
        return BOOL;
    case PG_BYTEA:
        return BYTES;
    case PG_UUID:
        return UUID;
    case PG_DATE:
        return DATE;
    case PG_TIMESTAMP:
    case PG_TIMESTAMPTZ:
        return TIMESTAMP;
    case PG_INET:
    case PG_CIDR:
        return ADDRESS;
    case PG_CHAR:
    case PG_NAME:
    case PG_TEXT:
    case PG_BPCHAR:
    case PG_VARCHAR:
        return TEXT;
    default:
        if (oid >= PGTYPE_USER_FIRST)
            return TEXT;
        return pgtype_element(oid) != 0 ? ARRAY : OTHER;
    }
}

static enum convert_verdict
say(enum convert_verdict verdict, const char **reason, const char *text)
{
    *reason = text;
    return verdict;
}

static uint32_t
integer_width(uint32_t oid)
{
    return oid == PG_INT2 ? 2 : oid == PG_INT8 ? 8 : 4;
}

static enum convert_verdict
judge_integer(const struct ch_type *type, uint32_t oid, const char **reason)
{
    enum family family = family_of(oid);
    bool is_unsigned = oid == PG_OID;

    if (family == BOOL)
        return CONVERT_FITS;
    if (family == NUMERIC || family == FLOAT || family == TEXT)
        return say(CONVERT_PARTLY, reason, "only whole numbers in range fit");
    if (family != INTEGER)
        return say(CONVERT_NEVER, reason, "a value of this type is no integer");
    if (type->kind == CH_UINT && !is_unsigned)
        return say(CONVERT_PARTLY, reason, "negative numbers do not fit");
    if (type->width < integer_width(oid) ||
        (is_unsigned && type->kind == CH_INT && type->width < 8))
        return say(CONVERT_PARTLY, reason, "large numbers do not fit");
    return CONVERT_FITS;
}

static enum convert_verdict
judge_decimal(const struct ch_type *type, uint32_t oid, int32_t typmod, const char **reason)
{
    enum family family = family_of(oid);
    uint32_t whole = type->precision - type->scale;
    int32_t precision = pgtype_precision(typmod), scale = pgtype_scale(typmod);

    if (family == INTEGER) {
        static const uint32_t digits[] = {5, 10, 19};

        if (whole >= digits[integer_width(oid) / 4])
            return CONVERT_FITS;
        return say(CONVERT_PARTLY, reason, "large numbers do not fit");
    }
    if (family == NUMERIC && !pgtype_has_precision(typmod))
        return say(CONVERT_PARTLY, reason,
                   "numeric without precision: NaN, large numbers and more digits do not fit");
    if (family == NUMERIC && (scale > (int32_t)type->scale || precision - scale > (int32_t)whole))
        return say(CONVERT_PARTLY, reason, "the Decimal is narrower than the numeric");
    if (family == NUMERIC)
        return CONVERT_FITS; /* except for NaN, which nobody stores in money */
    if (family == TEXT || family == FLOAT)
        return say(CONVERT_PARTLY, reason,
                   "only numbers in range, with no more digits behind the point, fit");
    return say(CONVERT_NEVER, reason, "a value of this type is no decimal number");
}

static enum convert_verdict
judge_time(const struct ch_type *type, uint32_t oid, const char **reason)
{
    enum family family = family_of(oid);
    bool is_date = type->kind == CH_DATE || type->kind == CH_DATE32;

    if (family == TEXT)
        return say(CONVERT_PARTLY, reason, "only dates and timestamps in range fit");
    if (family != DATE && family != TIMESTAMP)
        return say(CONVERT_NEVER, reason, "a value of this type is no date or timestamp");
    if (family == TIMESTAMP && is_date)
        return say(CONVERT_PARTLY, reason, "only midnights in range fit");
    if (family == TIMESTAMP && type->kind == CH_DATETIME)
        return say(CONVERT_PARTLY, reason, "only whole seconds in range fit");
    if (family == TIMESTAMP && type->scale < 6)
        return say(CONVERT_PARTLY, reason, "more digits behind the second do not fit");
    return say(CONVERT_PARTLY, reason, "infinity and dates outside the type's range do not fit");
}

static enum convert_verdict
judge_float(const struct ch_type *type, uint32_t oid, const char **reason)
{
    enum family family = family_of(oid);

    if (family == TEXT)
        return say(CONVERT_PARTLY, reason, "only numbers fit");
    if (family != INTEGER && family != FLOAT && family != NUMERIC)
        return say(CONVERT_NEVER, reason, "a value of this type is no number");
    if (family == NUMERIC || (family == INTEGER && integer_width(oid) >= type->width) ||
        (oid == PG_FLOAT8 && type->width == 4))
        return say(CONVERT_PARTLY, reason,
                   "numbers with more digits than the float has do not fit");
    return CONVERT_FITS;
}

/* For a column that fits types of its own family, perhaps text, and no other types. */
static enum convert_verdict
judge_one_family(uint32_t oid, enum family own, const char **reason)
{
    enum family family = family_of(oid);

    if (family == own && own != ADDRESS)
        return CONVERT_FITS;
    if (family == TEXT || family == own)
        return say(CONVERT_PARTLY, reason, "some values may not fit");
    return say(CONVERT_NEVER, reason, "the types have nothing in common");
}

static enum convert_verdict
judge_array(const struct ch_type *type, uint32_t oid, const char **reason)
{
    uint32_t element = pgtype_element(oid);
    const struct ch_type *innermost = type->element;

    while (innermost->kind == CH_ARRAY)
        innermost = innermost->element;
    if (innermost->kind == CH_UNSUPPORTED)
        return say(CONVERT_NEVER, reason, "columns of this ClickHouse type are not supported");
    if (element != 0 && convert_judge(innermost, element, -1, reason) == CONVERT_NEVER)
        return CONVERT_NEVER;
    if (element == 0 && family_of(oid) != TEXT)
        return say(CONVERT_NEVER, reason, "a value of this type is no array");
    return say(CONVERT_PARTLY, reason,
               innermost->nullable
                   ? "null and arrays of another number of dimensions do not fit"
                   : "null, null elements and arrays of another number of dimensions do not fit");
}

static enum convert_verdict
judge_json(uint32_t oid, const char **reason)
{
    if (oid != PG_JSON && oid != PG_JSONB && family_of(oid) != TEXT)
        return say(CONVERT_NEVER, reason, "a value of this type is no JSON");
    return say(CONVERT_PARTLY, reason,
               "only objects fit; ClickHouse keeps no null members, empty objects and spelling of "
               "numbers");
}

enum convert_verdict
convert_judge(const struct ch_type *type, uint32_t oid, int32_t typmod, const char **reason)
{
    *reason = "";
    switch (type->kind) {
    case CH_STRING:
        return CONVERT_FITS;
    case CH_FIXED_STRING:
        return say(CONVERT_PARTLY, reason, "longer values do not fit");
    case CH_INT:
    case CH_UINT:
        return judge_integer(type, oid, reason);
    case CH_DECIMAL:
        return judge_decimal(type, oid, typmod, reason);
    case CH_FLOAT:
        return judge_float(type, oid, reason);
    case CH_DATE:
    case CH_DATE32:
    case CH_DATETIME:
    case CH_DATETIME64:
        return judge_time(type, oid, reason);
    case CH_UUID:
        return judge_one_family(oid, UUID, reason);
    case CH_BOOL:
        return judge_one_family(oid, BOOL, reason);
    case CH_ENUM:
        return judge_one_family(oid, TEXT, reason) == CONVERT_FITS
                   ? say(CONVERT_PARTLY, reason, "only the Enum's own values fit")
                   : CONVERT_NEVER;
    case CH_IPV4:
    case CH_IPV6:
        return judge_one_family(oid, ADDRESS, reason);
    case CH_JSON:
        return judge_json(oid, reason);
    case CH_ARRAY:
        return judge_array(type, oid, reason);
    case CH_UNSUPPORTED:
        break;
    }
    return say(CONVERT_NEVER, reason, "columns of this ClickHouse type are not supported");
}

/* ---- keys ---- */

static bool
melts(const char **reason, const char *text)
{
    *reason = text;
    return true;
}

/* "1" and "01" are two texts and one number. */
static bool
is_free_text(uint32_t oid)
{
    return family_of(oid) == TEXT;
}

bool
convert_key_melts(const struct ch_type *type, uint32_t oid, const char **reason)
{
    *reason = "";
    switch (type->kind) {
    case CH_STRING:
    case CH_FIXED_STRING: /* convert.c: bytea must fill it, other text has no NULs */
    case CH_ENUM:
        return false;
    case CH_FLOAT:
        if (family_of(oid) == NUMERIC || (oid == PG_FLOAT8 && type->width == 4))
            return melts(reason, "numbers that differ in their last digits become one float");
        break;
    case CH_IPV6:
        if (!is_free_text(oid))
            return melts(reason, "1.2.3.4 and ::ffff:1.2.3.4 become one address");
        break;
    case CH_JSON:
        return melts(reason, "documents that differ in spelling become one");
    case CH_ARRAY:
        return convert_key_melts(type->element, pgtype_element(oid), reason);
    default:
        break;
    }
    if (is_free_text(oid) || oid == 0)
        return melts(reason, "texts that are spelled differently, as 1 and 01, become one value");
    return false;
}
