/* sink-pg_fits.c: the types of the target that lose something silently.
 *
 * links: lib/pgtype sink-pg/fits */
#include "sink-pg/fits.h"

#include "check.h"

/* As PostgreSQL makes it, with the length of a varlena header, precision, and 11 bits of scale. */
static int32_t
numeric(int32_t precision, int32_t scale)
{
    return (precision << 16 | (scale & 0x7ff)) + 4;
}

static bool
loses(uint32_t from, int32_t from_mod, uint32_t to, int32_t to_mod)
{
    return fits_loss((struct fits_type){from, from_mod}, (struct fits_type){to, to_mod}) != NULL;
}

static void
numbers(void)
{
    check(!loses(1700, -1, 1700, -1), "numeric to numeric");
    check(!loses(1700, numeric(10, 2), 1700, numeric(10, 2)), "the same scale");
    check(!loses(1700, numeric(10, 2), 1700, numeric(8, 4)), "a larger scale");
    check(loses(1700, numeric(10, 4), 1700, numeric(20, 3)), "a smaller scale");
    check(loses(1700, -1, 1700, numeric(38, 30)), "any scale to a fixed one");
    check(loses(1700, numeric(5, 0), 1700, numeric(5, -2)), "a negative scale");
    check(!loses(1700, numeric(5, -2), 1700, numeric(5, -2)), "the same negative scale");
    check(!loses(23, -1, 1700, numeric(10, 0)), "int4 to numeric(10, 0)");
    check(loses(23, -1, 1700, numeric(10, -1)), "int4 to numeric(10, -1)");
    check(loses(701, -1, 1700, numeric(10, 5)), "float8 to a fixed scale");
    check(!loses(701, -1, 1700, -1), "float8 to numeric");
    check(loses(1700, -1, 701, -1), "numeric to float8");
    check(loses(20, -1, 701, -1) && !loses(23, -1, 701, -1), "int8, but not int4, to float8");
    check(loses(701, -1, 700, -1) && !loses(700, -1, 701, -1), "float8 to float4, not back");
    check(loses(1700, -1, 790, -1) && !loses(790, -1, 790, -1), "numeric to money");
    check(!loses(20, -1, 23, -1), "int8 to int4: the server refuses what does not fit");
}

static void
times_and_texts(void)
{
    check(loses(1114, -1, 1082, -1) && loses(1184, -1, 1083, -1), "timestamps to date and time");
    check(!loses(1082, -1, 1114, -1), "date to timestamp");
    check(loses(1266, -1, 1083, -1), "timetz to time");
    check(loses(1114, -1, 1114, 3) && loses(1114, 6, 1184, 5), "fewer digits of seconds");
    check(!loses(1114, 3, 1114, 3) && !loses(1114, 0, 1184, 6), "as many or more");
    check(loses(1186, -1, 1186, 2) && !loses(1186, 2, 1186, 2), "interval's fields");
    check(loses(25, -1, 19, -1) && loses(1043, 14, 18, -1), "text to name and \"char\"");
    check(!loses(19, -1, 25, -1) && !loses(25, -1, 1043, 14), "name to text, text to varchar");
}

static void
parts(void)
{
    check(loses(1231, -1, 1231, numeric(5, 2)), "numeric[] to numeric(5,2)[]");
    check(!loses(1231, numeric(5, 2), 1231, numeric(7, 3)), "numeric(5,2)[] to numeric(7,3)[]");
    check(loses(1115, -1, 1182, -1), "timestamp[] to date[]");
    check(loses(1009, -1, 1003, -1) && loses(1009, -1, 1002, -1), "text[] to name[], \"char\"[]");
    check(loses(1016, -1, 1022, -1) && !loses(1007, -1, 1022, -1), "int8[], int4[] to float8[]");
    check(loses(3908, -1, 3912, -1) && loses(4533, -1, 4535, -1), "tsrange to daterange");
    check(!loses(3912, -1, 3908, -1), "daterange to tsrange");
    check(loses(3909, -1, 3913, -1), "tsrange[] to daterange[]");
    check(loses(1115, -1, 1114, -1) && !loses(1115, -1, 25, -1),
          "timestamp[] to timestamp, to text");
}

static bool
unproven(uint32_t from, int32_t from_mod, uint32_t to, int32_t to_mod)
{
    return fits_unproven((struct fits_type){from, from_mod}, (struct fits_type){to, to_mod});
}

static void
not_proven(void)
{
    const int32_t unknown = FITS_TYPMOD_UNKNOWN;

    check(unproven(1700, unknown, 1700, numeric(5, 2)), "a domain over numeric to numeric(5,2)");
    check(!loses(1700, unknown, 1700, numeric(5, 2)), "... which may be the same");
    check(!unproven(1700, unknown, 1700, -1), "to numeric");
    check(!unproven(23, unknown, 1700, numeric(5, 2)), "a domain over int4");
    check(unproven(1114, unknown, 1114, 3) && !unproven(1114, unknown, 1114, -1), "and timestamp");
    check(loses(1114, unknown, 1082, -1), "a domain over timestamp to date");
    check(unproven(25, -1, 1082, -1) && unproven(25, -1, 701, -1), "text to date, to float8");
    check(unproven(25, -1, 1700, numeric(5, 2)) && !unproven(25, -1, 1700, -1), "text to numeric");
    check(unproven(0, -1, 700, -1) && !unproven(0, -1, 23, -1), "an unknown type");
    check(unproven(1009, -1, 1231, numeric(5, 2)), "text[] to numeric(5,2)[]");
    check(unproven(1231, unknown, 1231, numeric(5, 2)), "a domain over numeric[]");
    check(!unproven(1231, numeric(5, 2), 1231, numeric(5, 2)), "the same");
    check(!unproven(1082, -1, 1082, -1) && !unproven(701, -1, 701, -1), "the same");
    check(!unproven(1231, -1, 25, -1) && unproven(1231, -1, 19, -1), "numeric[] to text, to name");
    check(unproven(25, -1, 3614, -1) && !unproven(3614, -1, 3614, -1), "text to tsvector");
    check(unproven(1700, -1, 650, -1) && !unproven(650, -1, 869, -1), "numeric to cidr");
    check(unproven(701, -1, 1186, -1) && !unproven(1186, -1, 1186, -1), "float8 to interval");
    check(unproven(1186, -1, 1083, -1) && unproven(26, -1, 700, -1), "interval to time");
}

int
main(void)
{
    numbers();
    times_and_texts();
    parts();
    not_proven();
    return check_done();
}
