/* sink-pg_readable.c: binary values in readable form.
 * links: sink-pg/readable lib/cursor lib/err */
#include "sink-pg/readable.h"

#include <string.h>

#include "check.h"
#include "lib/pgtype.h"

#define SHOWS(oid, bytes, text) shows(oid, bytes, sizeof bytes - 1, text)

static void
shows(uint32_t oid, const char *bytes, size_t len, const char *text)
{
    struct value v = {.kind = VALUE_BINARY, .data = (const uint8_t *)bytes, .len = (uint32_t)len};
    char out[64];

    readable_binary(oid, &v, out, sizeof out);
    check(strcmp(out, text) == 0, "%s: %s", text, out);
}

int
main(void)
{
    SHOWS(PG_INT4, "\0\0\0\x05", "5");
    SHOWS(PG_INT2, "\xff\xfe", "-2");
    SHOWS(PG_INT8, "\x80\0\0\0\0\0\0\0", "-9223372036854775808");
    SHOWS(PG_BOOL, "\1", "t");
    SHOWS(PG_TEXT, "k\xc3\xa9y", "k\xc3\xa9y");
    SHOWS(PG_DATE, "\0\0\0\0", "2000-01-01");
    SHOWS(PG_DATE, "\xff\xff\xff\xff", "1999-12-31");
    SHOWS(PG_TIMESTAMPTZ, "\0\0\0\0\0\x0f\x42\x41", "2000-01-01 00:00:01.000001+00");
    SHOWS(PG_UUID, "\xa0\xee\xbc\x99\x9c\x0b\x4e\xf8\xbb\x6d\x6b\xb9\xbd\x38\x0a\x11",
          "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11");
    SHOWS(PG_NUMERIC, "\0\3\0\1\0\0\0\2\0\1\x09\x29\x1a\xf4", "12345.69");
    SHOWS(PG_NUMERIC, "\0\1\xff\xfe\x40\0\0\6\0\x64", "-0.000001");
    SHOWS(PG_NUMERIC, "\0\1\0\1\0\0\0\0\0\2", "20000");
    SHOWS(PG_NUMERIC, "\0\0\0\0\xc0\0\0\0", "\\x00000000c0000000");
    SHOWS(PG_UUID, "\x01\x02", "\\x0102");
    SHOWS(99999, "\xde\xad", "\\xdead");
    return check_done();
}
