/* sink-ch_convert.c: PostgreSQL values to RowBinary, for every type, its bounds and one beyond. */
/* clang-format off */
/* links: lib/pgtype sink-ch/convert/ lib/moment lib/buf lib/cursor; */
/* clang-format on */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "lib/pgtype.h"
#include "sink-ch/convert/convert.h"
#include "sink-ch/convert/judge.h"

enum { BOOL = 16, BYTEA = 17, INT8 = 20, INT4 = 23, TEXT = 25, FLOAT8 = 701, DATE = 1082 };
enum { TIMESTAMP = 1114, TIMESTAMPTZ = 1184, NUMERIC = 1700, UUID = 2950, JSONB = 3802 };

static struct convert convert;

static const char *
hex_of(const struct buf *b)
{
    static char text[4096];

    text[0] = '\0';
    for (size_t i = 0; i < buf_len(b) && i < 2000; i++)
        snprintf(text + 2 * i, 3, "%02x", b->data[b->start + i]);
    return text;
}

/* expected is hex, or "!" and a part of the reason. */
static void
check_value(const char *type_text, uint32_t oid, const struct value *v, const char *shown,
            const char *expected)
{
    struct ch_type type;
    struct buf out = {0};
    int rc;

    if (chtype_parse(type_text, &type) != 0) {
        check(false, "%s parses", type_text);
        return;
    }
    buf_append(&out, "#", 1);
    rc = convert_value(&convert, &type, oid, v, &out);
    if (expected[0] == '!') {
        check(rc != 0 && strstr(convert.reason, expected + 1) != NULL,
              "%.60s into %s is refused: %s (%s)", shown, type_text, expected + 1,
              rc == 0 ? hex_of(&out) : convert.reason);
        check(buf_len(&out) == 1, "and leaves nothing behind");
    } else {
        struct cursor c;

        check(rc == 0 && strcmp(hex_of(&out) + 2, expected) == 0, "%.60s into %s is %s (%s)", shown,
              type_text, expected, rc == 0 ? hex_of(&out) + 2 : convert.reason);
        c = cursor_over(out.data + 1, buf_len(&out) - 1);
        check(rc == 0 && chtype_skip(&type, &c) && c.left == 0, "and can be skipped");
    }
    buf_free(&out);
    chtype_free(&type);
}

static void
text(const char *type, uint32_t oid, const char *value, const char *expected)
{
    struct value v = {VALUE_TEXT, (uint32_t)strlen(value), (const uint8_t *)value};

    check_value(type, oid, &v, value, expected);
}

static void
null(const char *type, const char *expected)
{
    struct value v = {VALUE_NULL, 0, NULL};

    check_value(type, TEXT, &v, "NULL", expected);
}

static void
binary(const char *type, uint32_t oid, const char *hex, const char *expected)
{
    uint8_t bytes[256];
    struct value v = {VALUE_BINARY, (uint32_t)strlen(hex) / 2, bytes};

    for (size_t i = 0; i < v.len; i++) {
        char pair[3] = {hex[2 * i], hex[2 * i + 1], '\0'};

        bytes[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
    check_value(type, oid, &v, hex, expected);
}

static void
integers(void)
{
    text("Int8", INT4, "127", "7f");
    text("Int8", INT4, "-128", "80");
    text("Int8", INT4, "128", "!too large");
    text("Int8", INT4, "-129", "!too small");
    text("Int8", INT4, "300", "!too large");
    text("UInt8", INT4, "255", "ff");
    text("UInt8", INT4, "256", "!too large");
    text("UInt8", INT4, "-1", "!too small");
    text("UInt8", BOOL, "t", "01");
    text("UInt8", BOOL, "f", "00");
    text("UInt8", TEXT, "t", "!not a number");
    text("Int64", INT8, "9223372036854775807", "ffffffffffffff7f");
    text("Int64", INT8, "-9223372036854775808", "0000000000000080");
    text("Int64", NUMERIC, "9223372036854775808", "!too large");
    text("Int64", NUMERIC, "7.000", "0700000000000000");
    text("Int64", NUMERIC, "7.001", "!more digits");
    text("Int64", NUMERIC, "NaN", "!NaN");
    text("Int64", FLOAT8, "-Infinity", "!infinity");
    text("UInt64", NUMERIC, "18446744073709551615", "ffffffffffffffff");
    text("UInt64", NUMERIC, "18446744073709551616", "!too large");
    text("Int128", NUMERIC, "-1", "ffffffffffffffffffffffffffffffff");
    text("Int128", NUMERIC, "170141183460469231731687303715884105727",
         "ffffffffffffffffffffffffffffff7f");
    text("Int128", NUMERIC, "170141183460469231731687303715884105728", "!too large");
    text("Int128", NUMERIC, "-170141183460469231731687303715884105728",
         "00000000000000000000000000000080");
    text("UInt256", NUMERIC,
         "115792089237316195423570985008687907853269984665640564039457584007913129639935",
         "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff");
    text("UInt256", NUMERIC,
         "115792089237316195423570985008687907853269984665640564039457584007913129639936",
         "!too large");
    text("Int32", INT4, "", "!not a number");
    text("Int32", INT4, "-", "!not a number");
    text("Int32", FLOAT8, "1e+03", "e8030000");
    text("Int32", FLOAT8, "1.5e+1", "0f000000");
    text("Int32", FLOAT8, "25e-1", "!more digits");
    text("Int32", FLOAT8, "1e", "!not a number");
    text("Int32", FLOAT8, "1e+300", "!too large");
    text("Int32", TEXT, "1e99999999999999999999", "!too large");
    text("Int32", TEXT, "0e99999999999999999999", "00000000");
    text("Int32", TEXT, "1e-99999999999999999999", "!more digits");
    text("Int32", INT4, " 1", "!not a number");
    text("Nullable(Int32)", INT4, "1", "0001000000");
    null("Nullable(Int32)", "01");
    null("Int32", "!not Nullable");
    null("Array(Int32)", "!not Nullable");
    text("Bool", BOOL, "t", "01");
    text("Bool", TEXT, "yes", "!not a truth value");
}

static void
decimals(void)
{
    text("Decimal(9, 2)", NUMERIC, "1.5", "96000000");
    text("Decimal(9, 2)", NUMERIC, "-1.50000000000000000000000000", "6affffff");
    text("Decimal(9, 2)", NUMERIC, "1.005", "!more digits");
    text("Decimal(9, 2)", NUMERIC, "9999999.99", "ffc99a3b");
    text("Decimal(9, 2)", NUMERIC, "10000000", "!too large");
    text("Decimal(9, 2)", NUMERIC, "-10000000", "!too small");
    text("Decimal(9, 2)", NUMERIC, "NaN", "!NaN");
    text("Decimal(9, 2)", NUMERIC, "Infinity", "!infinity");
    text("Decimal(9, 2)", FLOAT8, "1.25e-1", "!more digits");
    text("Decimal(9, 3)", FLOAT8, "1.25e-1", "7d000000");
    text("Decimal(9, 9)", NUMERIC, "0.999999999", "ffc99a3b");
    text("Decimal(9, 9)", NUMERIC, "1", "!too large");
    text("Decimal(18, 0)", NUMERIC, "-999999999999999999", "01009c584c491ff2");
    text("Decimal(38, 0)", NUMERIC, "99999999999999999999999999999999999999",
         "ffffffff3f228a097ac4865aa84c3b4b");
    text("Decimal(38, 0)", NUMERIC, "100000000000000000000000000000000000000", "!too large");
    text("Decimal(76, 1)", NUMERIC, "-0.0",
         "0000000000000000000000000000000000000000000000000000000000000000");
    text("Decimal32(4)", INT4, "3", "30750000");
    text("Float64", FLOAT8, "1.5", "000000000000f83f");
    text("Float64", FLOAT8, "-Infinity", "000000000000f0ff");
    text("Float64", FLOAT8, "NaN", "000000000000f87f");
    text("Float64", NUMERIC, "1e400", "!too large");
    text("Float64", NUMERIC, "-1e400", "!too small");
    text("Float64", TEXT, "0x10", "!not a number");
    text("Float64", TEXT, "1.5.", "!not a number");
    text("Float64", TEXT, "nan(1)", "!not a number");
    text("Float32", FLOAT8, "1e39", "!too large");
    text("Float32", FLOAT8, "0.1", "cdcccc3d");
    text("Float64", NUMERIC, "123456789012345678901234567890", "!more digits");
    text("Float64", NUMERIC, "1237940039285380274899124224", "0000000000009045"); /* 2^90 */
    text("Float64", NUMERIC, "0.123456789012345", "2ef64637dd9abf3f");
    text("Float64", FLOAT8, "0.30000000000000004", "343333333333d33f");
    text("Float64", NUMERIC, "0.30000000000000005", "!more digits");
    text("Float64", FLOAT8, "5e-324", "0100000000000000");
    text("Float64", FLOAT8, "-1.7976931348623157e+308", "ffffffffffffefff");
    text("Float64", NUMERIC, "1e-400", "!more digits");
    text("Float64", INT8, "9007199254740993", "!more digits");
    text("Float64", INT8, "-9007199254740992", "00000000000040c3");
    text("Float64", FLOAT8, "-0", "0000000000000080");
    text("Float32", INT4, "16777216", "0000804b");
    text("Float32", INT4, "16777217", "!more digits");
    text("Float32", 700, "1.17549435e-38", "00008000");
    text("Float32", 700, "3.4028235e+38", "ffff7f7f");
}

static void
times(void)
{
    text("Date", DATE, "1970-01-01", "0000");
    text("Date", DATE, "1969-12-31", "!too small");
    text("Date", DATE, "2149-06-06", "ffff");
    text("Date", DATE, "2149-06-07", "!too large");
    text("Date", DATE, "infinity", "!too large");
    text("Date", DATE, "-infinity", "!too small");
    text("Date", DATE, "0044-03-15 BC", "!too small");
    text("Date", DATE, "2023-02-29", "!not a date");
    text("Date", DATE, "2024-02-29", "464d");
    text("Date", TIMESTAMP, "2020-01-01 00:00:00", "5647");
    text("Date", TIMESTAMP, "2020-01-01 00:00:01", "!time of day");
    text("Date32", DATE, "1900-01-01", "219cffff");
    text("Date32", DATE, "1899-12-31", "!too small");
    text("Date32", DATE, "2299-12-31", "d1d60100");
    text("Date32", DATE, "2300-01-01", "!too large");
    text("DateTime", TIMESTAMPTZ, "1970-01-01 00:00:00+00", "00000000");
    text("DateTime", TIMESTAMPTZ, "1970-01-01 05:30:00+05:30", "00000000");
    text("DateTime('Europe/Berlin')", TIMESTAMPTZ, "1969-12-31 19:00:00-05", "00000000");
    text("DateTime", TIMESTAMPTZ, "1969-12-31 23:59:59+00", "!too small");
    text("DateTime", TIMESTAMP, "2106-02-07 06:28:15", "ffffffff");
    text("DateTime", TIMESTAMP, "2106-02-07 06:28:16", "!too large");
    text("DateTime", TIMESTAMP, "2020-01-01 00:00:00.5", "!fraction");
    text("DateTime", TIMESTAMP, "2020-01-01 00:00:00.000000", "00e10b5e");
    text("DateTime", TIMESTAMP, "infinity", "!too large");
    text("DateTime", DATE, "2020-01-01", "00e10b5e");
    text("DateTime64(6, 'UTC')", TIMESTAMP, "1970-01-01 00:00:00.000001", "0100000000000000");
    text("DateTime64(6)", TIMESTAMP, "1969-12-31 23:59:59.999999", "ffffffffffffffff");
    text("DateTime64(3)", TIMESTAMP, "1970-01-01 00:00:00.0015", "!more digits");
    text("DateTime64(3)", TIMESTAMP, "1970-01-01 00:00:00.001", "0100000000000000");
    text("DateTime64(6)", TIMESTAMP, "1900-01-01 00:00:00", "006043b7ef26f8ff");
    text("DateTime64(6)", TIMESTAMP, "1899-12-31 23:59:59.999999", "!too small");
    text("DateTime64(6)", TIMESTAMP, "2299-12-31 23:59:59.999999", "ffbfece449ff2400");
    text("DateTime64(6)", TIMESTAMP, "2300-01-01 00:00:00", "!too large");
    text("DateTime64(6)", TIMESTAMP, "294276-12-31 23:59:59.999999", "!too large");
    text("DateTime64(6)", TIMESTAMP, "4713-01-01 00:00:00 BC", "!too small");
    text("DateTime64(9)", TIMESTAMP, "2262-04-11 23:47:16", "00280dcdffffff7f");
    text("DateTime64(9)", TIMESTAMP, "2262-04-11 23:47:17", "!too large");
    text("DateTime64(9)", TIMESTAMP, "-infinity", "!too small");
    text("DateTime64(0)", TEXT, "yesterday", "!not a date");
    text("Date", TEXT, "", "!not a date");
    text("Date", TEXT, "2020-13-01", "!not a date");
    text("Date", TEXT, "2020-00-01", "!not a date");
    text("Date", TEXT, "2020-01-01x", "!not a date");
    convert.limits = &convert_limits_old;
    text("Date", DATE, "2105-12-31", "08c2");
    text("Date", DATE, "2106-01-01", "!too large");
    text("DateTime", TIMESTAMP, "2105-12-31 23:59:59", "7fddceff");
    text("DateTime", TIMESTAMP, "2106-01-01 00:00:00", "!too large");
    convert.limits = &convert_limits_modern;
}

static void
strings(void)
{
    text("String", TEXT, "a\xc3\xa4", "0361c3a4");
    text("String", TEXT, "", "00");
    text("String", BYTEA, "\\x00ff10", "0300ff10");
    text("String", BYTEA, "\\x", "00");
    text("String", BYTEA, "\\x0", "!bytea");
    text("String", BYTEA, "\\xzz", "!hex");
    text("String", BOOL, "t", "0174");
    text("LowCardinality(Nullable(String))", TEXT, "x", "000178");
    text("FixedString(3)", TEXT, "ab", "616200");
    text("FixedString(3)", TEXT, "abcd", "!do not fit");
    text("UUID", UUID, "00112233-4455-6677-8899-aabbccddeeff", "7766554433221100ffeeddccbbaa9988");
    text("UUID", TEXT, "00112233-4455-6677-8899-aabbccddeef", "!not a uuid");
    text("UUID", TEXT, "00112233-4455-6677-8899-aabbccddeeff0", "!not a uuid");
    text("IPv4", 869, "10.1.2.3", "0302010a");
    text("IPv4", 650, "10.1.2.3/32", "0302010a");
    text("IPv4", 869, "10.0.0.0/8", "!network");
    text("IPv4", 869, "::1", "!not an IPv4");
    text("IPv6", 869, "::1", "00000000000000000000000000000001");
    text("IPv6", 869, "10.1.2.3", "00000000000000000000ffff0a010203");
    text("IPv6", 869, "fe80::/10", "!network");
    text("Enum8('a' = -1, 'b\\'c' = 2)", TEXT, "b'c", "02");
    text("Enum8('a' = -1, 'b\\'c' = 2)", TEXT, "a", "ff");
    text("Enum8('a' = -1)", TEXT, "A", "!no such value");
    text("Enum16('a' = 300, 'b' = 1)", 20000, "a", "2c01");
    text("Map(String, Int8)", TEXT, "{}", "!not supported");
}

static void
arrays(void)
{
    text("Array(Nullable(Int32))", 1007, "{1,NULL,-1}",
         "030001000000"
         "01"
         "00ffffffff");
    text("Array(Int32)", 1007, "{1,NULL}", "!null element");
    text("Array(Int32)", 1007, "{}", "00");
    text("Array(Int32)", 1007, "{{1},{2}}", "!more dimensions");
    text("Array(Int32)", 1007, "[2:3]={1,2}", "!begin at 1");
    text("Array(Int32)", 1007, "{1,}", "!malformed");
    text("Array(Int32)", 1007, "{1", "!malformed");
    text("Array(Int32)", 1007, "{1}x", "!malformed");
    text("Array(Int32)", 1007, "{99999999999}", "!too large");
    text("Array(String)", 1009, "{a,\"b,\\\"c\\\\\",\"NULL\",\"\"}",
         "04"
         "0161"
         "05622c22635c"
         "044e554c4c"
         "00");
    text("Array(String)", 1001, "{\"\\\\x0102\"}", "01020102");
    text("Array(UInt8)", 1000, "{t,f}", "020100");
    text("Array(String)", 1020, "{(1,1),(0,0);(2,2),(1,1)}",
         "02"
         "0b28312c31292c28302c3029"
         "0b28322c32292c28312c3129");
    text("Array(Array(Nullable(Int8)))", 1007, "{{1,2},{NULL,3}}", "02020001000202010003");
    text("Array(Array(Int8))", 1007, "{}", "00");
    text("Array(Array(Int8))", 1007, "{1}", "!fewer dimensions");
    text("Array(Array(Int8))", 1007, "{{1},{2}", "!malformed");
    text("Array(Array(Int8))", 1007, "{{{1}}}", "!more dimensions");
    text("Array(Array(String))", 1009, "{{\"}\",\"{,\"}}",
         "01020"
         "17d027b2c");
    text("Array(JSON)", 3807, "{\"{}\"}", "01027b7d");
    text("Array(Int32)", 1007, "", "!not an array");
}

static void
documents(void)
{
    text("JSON", JSONB, "{\"a\": 1}", "087b2261223a20317d");
    text("JSON(max_dynamic_paths=8, max_dynamic_types=2)", 114, " {}", "03207b7d");
    text("Nullable(JSON)", JSONB, "{}", "00027b7d");
    text("JSON", JSONB, "null", "!object");
    text("JSON", JSONB, "", "!object");
    text("JSON", JSONB, "{\"a\":18446744073709551615,\"b\":-9223372036854775808}",
         "337b2261223a31383434363734343037333730393535313631352c2262223a2d3932323333373230333638353"
         "437"
         "37353830387d");
    text("JSON", JSONB, "{\"a\":18446744073709551616}", "!64 bits");
    text("JSON", JSONB, "{\"a\":[-9223372036854775809]}", "!64 bits");
    text("JSON", JSONB, "{\"a\":1e309}", "!64 bits");
    text("JSON", JSONB, "{\"\\\"18446744073709551616\":1}",
         "1c7b225c223138343436373434303733373039353531363136223a317d");
    text("JSON(a UInt8)", JSONB, "{}", "!not supported");
}

static void
binaries(void)
{
    binary("Int64", INT8, "8000000000000000", "0000000000000080");
    binary("Int32", INT4, "fffffffe", "feffffff");
    binary("Int16", 21, "8000", "0080");
    binary("UInt8", BOOL, "01", "01");
    binary("UInt8", BOOL, "02", "!malformed");
    binary("Float64", FLOAT8, "3ff8000000000000", "000000000000f83f");
    binary("String", FLOAT8, "3fb999999999999a", "03302e31");
    binary("String", 700, "3dcccccd", "03302e31");
    binary("String", FLOAT8, "0000000000000001", "0635652d333234"); /* 5e-324 */
    binary("String", FLOAT8, "8000000000000000", "022d30");
    binary("String", FLOAT8, "430c6bf526340000", "0531652b3135"); /* 1e+15 */
    binary("String", 700, "000116c2", "0531652d3430");            /* 1e-40 */
    binary("Float32", 700, "7fc00000", "0000c07f");
    binary("String", BYTEA, "00ff", "0200ff");
    binary("String", TEXT, "6869", "026869");
    binary("String", JSONB, "017b7d", "027b7d");
    binary("String", JSONB, "027b7d", "!malformed");
    binary("UUID", UUID, "00112233445566778899aabbccddeeff", "7766554433221100ffeeddccbbaa9988");
    binary("Date", DATE, "00000000", "cd2a");
    binary("String", DATE, "7fffffff", "08696e66696e697479");
    binary("String", DATE, "fff4dbf8", "0d303030312d31322d3331204243"); /* 0001-12-31 BC */
    binary("String", TIMESTAMPTZ, "0000000000000001",
           "1d323030302d30312d30312030303a30303a30302e3030303030312b3030");
    binary("DateTime64(6)", TIMESTAMP, "ffffffffffffffff", "ffdf373b015d0300");
    binary("String", TIMESTAMP, "8000000000000000", "092d696e66696e697479");
    /* The bug was that the day of the smallest number times its microseconds overflowed. */
    binary("DateTime64(6)", TIMESTAMP, "8000000000000001", "!too small");
    binary("String", NUMERIC,
           "000300010000000400017a1204d2"
           "",
           "!malformed");
    binary("String", NUMERIC,
           "0003000100000004"
           "0001"
           "0929"
           "1a85",
           "0a31323334352e36373839");
    binary("Decimal(18, 4)", NUMERIC,
           "00020000400000020001"
           "1388",
           "68c5ffffffffffff");
    binary("String", NUMERIC, "0000000000000002", "04302e3030");
    binary("String", NUMERIC,
           "0001fffe00000008"
           "0001",
           "0a302e3030303030303031");
    binary("String", NUMERIC, "00000000c0000000", "034e614e");
    binary("Int32", INT4, "0001", "!malformed");
    binary("String", 1186, "00", "!malformed");
    binary("String", 3614, "00", "!binary = off");
    binary("String", 20000, "616263", "!binary = off");
    binary("Enum8('abc' = 3)", 20000, "616263", "03");
    binary("Array(Int32)", 1007, "00", "!malformed");
    binary("Array(Nullable(Int32))", 1007,
           "000000010000000100000017"
           "0000000200000001"
           "0000000400000005ffffffff",
           "0200050000"
           "0001");
    binary("String", 1007, "000000000000000000000017", "027b7d");
    binary("String", 1007,
           "000000010000000000000017"
           "0000000100000000"
           "0000000400000005",
           "095b303a305d3d7b357d");
    binary("Array(String)", 1009,
           "000000010000000000000019"
           "0000000300000001"
           "000000022c22"
           "000000044e756c6c"
           "00000000",
           "03022c22044e756c6c00");
    /* a million elements that are not there, and more dimensions than there are */
    binary("Array(Int32)", 1007, "0000000100000000000000170010000000000001", "!malformed");
    binary("Array(Int32)", 1007, "000000070000000000000017", "!malformed");
}

static void
policies(void)
{
    convert.policy = CONVERT_CLAMP;
    text("Int8", INT4, "300", "7f");
    text("Int8", INT4, "-300", "80");
    text("UInt16", INT4, "-1", "0000");
    text("Decimal(9, 2)", NUMERIC, "-1000000000000", "013665c4");
    text("Date", DATE, "infinity", "ffff");
    text("Date", DATE, "1890-01-01", "0000");
    text("DateTime64(6)", TIMESTAMP, "infinity", "ffbfece449ff2400");
    text("DateTime64(9)", TIMESTAMP, "-infinity", "00002fdf631858e1");
    text("Int8", TEXT, "x", "!not a number");
    text("Int8", NUMERIC, "126.5", "7f");
    text("Int8", NUMERIC, "127.5", "7f");
    text("Int8", NUMERIC, "-0.4999", "00");
    text("Int8", NUMERIC, "-0.5", "ff");
    text("Int8", NUMERIC, "NaN", "!NaN");
    text("Int8", NUMERIC, "Infinity", "7f");
    text("UInt8", NUMERIC, "-Infinity", "00");
    text("Decimal(3, 2)", NUMERIC, "1.005", "65000000");
    text("Decimal(3, 2)", NUMERIC, "9.995", "e7030000");
    text("Decimal(3, 2)", NUMERIC, "0.0049", "00000000");
    text("Decimal(3, 2)", NUMERIC, "0.00051", "00000000");
    text("Float64", NUMERIC, "1e400", "ffffffffffffef7f");
    text("Float32", NUMERIC, "-1e400", "ffff7fff");
    text("Float32", INT4, "16777217", "0000804b");
    text("Date", TIMESTAMP, "1970-01-02 23:59:59", "0100");
    text("Date32", TIMESTAMP, "1969-12-31 23:59:59", "ffffffff");
    text("DateTime", TIMESTAMP, "1970-01-01 00:00:01.999999", "01000000");
    text("DateTime64(0)", TIMESTAMP, "1969-12-31 23:59:58.5", "feffffffffffffff");
    text("FixedString(2)", TEXT, "abc", "6162");
    text("FixedString(2)", TEXT, "a\xc3\xa4", "6100");
    text("FixedString(2)", BYTEA, "\\x61c3a4", "61c3");
    text("Enum8('a' = 1)", TEXT, "b", "!no such value");
    text("IPv4", 869, "10.0.0.0/8", "!network");
    text("JSON", JSONB, "[1]", "!object");
    text("Array(Int8)", 1007, "{300}", "017f");
    null("Int8", "!not Nullable");
    check(!convert.altered, "an error alters nothing");
    text("Int8", INT4, "127", "7f");
    check(!convert.altered, "nor does a value that fits");
    text("Nullable(Int8)", INT4, "128", "007f");
    check(convert.altered, "a clamped value is altered");
    convert.policy = CONVERT_NULL;
    text("Nullable(Int8)", INT4, "300", "01");
    check(convert.altered, "so is one that became null");
    text("Int8", INT4, "300", "!too large");
    text("Nullable(Date)", DATE, "infinity", "01");
    text("Nullable(Int8)", TEXT, "x", "!not a number");
    text("Nullable(Decimal(3, 2))", NUMERIC, "1.005", "01");
    text("Nullable(Decimal(3, 2))", NUMERIC, "NaN", "01");
    text("Nullable(FixedString(2))", TEXT, "abc", "01");
    text("Nullable(Enum8('a' = 1))", TEXT, "b", "01");
    text("Nullable(IPv4)", 869, "10.0.0.0/8", "01");
    text("Array(Nullable(Int8))", 1007, "{300,1}", "02010001");
    text("Array(Int8)", 1007, "{300}", "!too large");
    convert.policy = CONVERT_ERROR;
}

static void
verdict(const char *type_text, uint32_t oid, int32_t typmod, enum convert_verdict expected)
{
    struct ch_type type;
    const char *reason;

    if (chtype_parse(type_text, &type) != 0) {
        check(false, "%s parses", type_text);
        return;
    }
    check(convert_judge(&type, oid, typmod, &reason) == expected, "oid %u into %s: verdict %d (%s)",
          oid, type_text, (int)expected, reason);
    chtype_free(&type);
}

static void
verdicts(void)
{
    verdict("Int64", INT8, -1, CONVERT_FITS);
    verdict("Int32", INT8, -1, CONVERT_PARTLY);
    verdict("UInt64", INT8, -1, CONVERT_PARTLY);
    verdict("Int64", BYTEA, -1, CONVERT_NEVER);
    verdict("Int64", TIMESTAMP, -1, CONVERT_NEVER);
    verdict("String", 600, -1, CONVERT_FITS);
    verdict("Decimal(9, 2)", NUMERIC, (9 << 16 | 2) + 4, CONVERT_FITS);
    verdict("Decimal(9, 2)", NUMERIC, (10 << 16 | 2) + 4, CONVERT_PARTLY);
    verdict("Decimal(9, 2)", NUMERIC, -1, CONVERT_PARTLY);
    verdict("Decimal(18, 0)", INT8, -1, CONVERT_PARTLY);
    verdict("Decimal(19, 0)", INT8, -1, CONVERT_FITS);
    verdict("Decimal(9, 2)", BOOL, -1, CONVERT_NEVER);
    verdict("Float32", INT4, -1, CONVERT_PARTLY);
    verdict("Float64", INT4, -1, CONVERT_FITS);
    verdict("DateTime", TIMESTAMP, -1, CONVERT_PARTLY);
    verdict("Date", INT4, -1, CONVERT_NEVER);
    verdict("UUID", UUID, -1, CONVERT_FITS);
    verdict("UUID", INT4, -1, CONVERT_NEVER);
    verdict("Bool", BOOL, -1, CONVERT_FITS);
    verdict("Enum8('a' = 1)", 20000, -1, CONVERT_PARTLY);
    verdict("Enum8('a' = 1)", INT4, -1, CONVERT_NEVER);
    verdict("Array(Int32)", 1007, -1, CONVERT_PARTLY);
    verdict("Array(Array(Int32))", 1007, -1, CONVERT_PARTLY);
    verdict("Array(Int32)", 1001, -1, CONVERT_NEVER);
    verdict("JSON", JSONB, -1, CONVERT_PARTLY);
    verdict("JSON", INT4, -1, CONVERT_NEVER);
    verdict("Int32", FLOAT8, -1, CONVERT_PARTLY);
    verdict("Array(Int32)", INT4, -1, CONVERT_NEVER);
    verdict("Map(Int8, Int8)", TEXT, -1, CONVERT_NEVER);
    check(pgtype_oid("int4") == INT4 && pgtype_oid("_int4") == 1007 && pgtype_oid("mood") == 0,
          "domains over built-in types are known by name");
}

static void
types(void)
{
    static const char too_deep[] = "Nullable(Nullable(Nullable(Nullable(Nullable(Nullable(Nullable("
                                   "Nullable(Int8))))))))";
    static const char *const bad[] = {"",         "Nullable(",      "Decimal(77, 1)",
                                      "Int8)",    "Enum8()",        "Enum8('a')",
                                      "Array()",  "FixedString(0)", "Decimal(9, 10)",
                                      "Enum8('a", "DateTime64(10)", "FixedString(9999999999)",
                                      too_deep};
    struct ch_type type;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        check(chtype_parse(bad[i], &type) != 0, "\"%s\" is no type", bad[i]);
        chtype_free(&type);
    }
    check(chtype_parse("SimpleAggregateFunction(max, Nullable(UInt64))", &type) == 0 &&
              type.kind == CH_UINT && type.width == 8 && type.nullable,
          "SimpleAggregateFunction is its type");
    chtype_free(&type);
    check(chtype_parse("AggregateFunction(uniq, String)", &type) == 0 &&
              type.kind == CH_UNSUPPORTED,
          "AggregateFunction is not supported");
}

int
main(void)
{
    convert.limits = &convert_limits_modern;
    integers();
    decimals();
    times();
    strings();
    arrays();
    documents();
    binaries();
    policies();
    verdicts();
    types();
    convert_free(&convert);
    return check_done();
}
