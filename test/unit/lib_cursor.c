/* lib_cursor.c: every msgpack item in every width, at the end of its bytes and one byte before.
 * links: lib/cursor */
#include "lib/cursor.h"

#include <string.h>

#include "check.h"

static struct cursor
over(const char *bytes, size_t n)
{
    return cursor_over(bytes, n);
}

#define OVER(literal) over(literal, sizeof(literal) - 1)

static void
test_big_endian(void)
{
    struct cursor c = OVER("\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f");
    uint8_t u8 = 0;
    uint16_t u16 = 0;
    uint32_t u32 = 0;
    uint64_t u64 = 0;
    struct bytes b;

    check(cursor_u8(&c, &u8) && u8 == 0x01, "u8");
    check(cursor_u16(&c, &u16) && u16 == 0x0203, "u16");
    check(cursor_u32(&c, &u32) && u32 == 0x04050607, "u32");
    check(cursor_u64(&c, &u64) && u64 == UINT64_C(0x08090a0b0c0d0e0f), "u64");
    check(c.left == 0, "nothing is left");
    check(!cursor_u8(&c, &u8) && !cursor_u16(&c, &u16) && !cursor_u32(&c, &u32) &&
              !cursor_u64(&c, &u64) && !cursor_bytes(&c, 1, &b),
          "and nothing more can be read");
    check(cursor_bytes(&c, 0, &b) && b.len == 0, "but no bytes at all can");
    check(!cursor_bytes(&c, SIZE_MAX, &b), "a length near SIZE_MAX does not wrap around");
}

static void
test_u64_moves_nothing_when_short(void)
{
    struct cursor c = OVER("\x01\x02\x03\x04\x05\x06\x07");
    uint64_t u64 = 0;

    check(!cursor_u64(&c, &u64) && c.left == 7, "a u64 of 7 bytes moves nothing");
}

static void
test_cstr(void)
{
    struct cursor c = OVER("ab\0\0cd");
    const char *s = NULL;

    check(cursor_cstr(&c, &s) && strcmp(s, "ab") == 0, "a string up to its NUL");
    check(cursor_cstr(&c, &s) && s[0] == '\0', "an empty string");
    check(!cursor_cstr(&c, &s) && c.left == 2, "no NUL, no string, nothing moved");
}

struct uint_case {
    const char *bytes;
    size_t len;
    uint64_t value;
};

static void
test_uint_widths(void)
{
    static const struct uint_case cases[] = {
        {"\x00", 1, 0},
        {"\x7f", 1, 127},
        {"\xcc\xff", 2, 255},
        {"\xcd\xff\xfe", 3, 0xfffe},
        {"\xce\xff\xff\xff\xfe", 5, 0xfffffffe},
        {"\xcf\xff\xff\xff\xff\xff\xff\xff\xff", 9, UINT64_MAX},
        {"\xcf\x00\x00\x00\x00\x00\x00\x00\x01", 9, 1},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct cursor c = over(cases[i].bytes, cases[i].len);
        uint64_t n = 42;

        check(mp_uint(&c, &n) && n == cases[i].value && c.left == 0, "uint of %zu bytes",
              cases[i].len);
        for (size_t cut = 0; cut < cases[i].len; cut++) {
            c = over(cases[i].bytes, cut);
            if (mp_uint(&c, &n) || c.left != cut)
                check(false, "uint of %zu bytes cut at %zu", cases[i].len, cut);
        }
    }
}

static bool
reads_uint(const char *bytes, size_t n)
{
    struct cursor c = over(bytes, n);
    uint64_t out;

    return mp_uint(&c, &out);
}

static void
test_uint_takes_nothing_else(void)
{
    check(!reads_uint("\xff", 1), "a negative number is no uint");
    check(!reads_uint("\xd0\x05", 2), "a signed 5 is no uint");
    check(!reads_uint("\xc0", 1), "nil is no uint");
    check(!reads_uint("\xa1\x31", 2), "\"1\" is no uint");
    check(!reads_uint("\xca\x00\x00\x00\x00", 5), "a float is no uint");
}

static void
test_uint32(void)
{
    struct cursor c = OVER("\xce\xff\xff\xff\xff");
    uint32_t n = 0;

    check(mp_uint32(&c, &n) && n == UINT32_MAX, "uint32 at its maximum");
    c = OVER("\xcf\x00\x00\x00\x01\x00\x00\x00\x00");
    check(!mp_uint32(&c, &n) && c.left == 9, "uint32 one beyond its maximum");
}

static void
test_int(void)
{
    static const struct {
        const char *bytes;
        size_t len;
        int64_t value;
    } cases[] = {
        {"\x05", 1, 5},
        {"\xff", 1, -1},
        {"\xe0", 1, -32},
        {"\xd0\x80", 2, INT8_MIN},
        {"\xd1\x80\x00", 3, INT16_MIN},
        {"\xd2\x80\x00\x00\x00", 5, INT32_MIN},
        {"\xd3\x80\x00\x00\x00\x00\x00\x00\x00", 9, INT64_MIN},
        {"\xcf\x7f\xff\xff\xff\xff\xff\xff\xff", 9, INT64_MAX},
    };
    struct cursor c;
    int64_t n = 42;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        c = over(cases[i].bytes, cases[i].len);
        check(mp_int(&c, &n) && n == cases[i].value && c.left == 0, "int %lld",
              (long long)cases[i].value);
        c = over(cases[i].bytes, cases[i].len - 1);
        check(!mp_int(&c, &n) && c.left == cases[i].len - 1, "and cut short");
    }
    c = OVER("\xcf\x80\x00\x00\x00\x00\x00\x00\x00");
    check(!mp_int(&c, &n) && c.left == 9, "2^63 is no int");
}

static void
test_array(void)
{
    struct cursor c = OVER("\x92\x01\x02");
    uint32_t n = 0;

    check(mp_array(&c, &n) && n == 2 && c.left == 2, "a short array");
    c = OVER("\xdc\x00\x01\xc0");
    check(mp_array(&c, &n) && n == 1 && c.left == 1, "an array with a 16-bit count");
    c = OVER("\xdd\x00\x00\x00\x01\xc0");
    check(mp_array(&c, &n) && n == 1 && c.left == 1, "an array with a 32-bit count");
    c = OVER("\xdd\xff\xff\xff\xff\xc0");
    check(!mp_array(&c, &n) && c.left == 6, "a count of more elements than there are bytes");
    c = OVER("\x92\x01");
    check(!mp_array(&c, &n) && c.left == 2, "the same, short");
    c = OVER("\x81\x01\x02");
    check(!mp_array(&c, &n), "a map is no array");
}

static void
test_str_and_bin(void)
{
    struct cursor c = OVER("\xa3"
                           "abc");
    struct bytes b;
    char text[4];

    check(mp_str(&c, &b) && b.len == 3 && memcmp(b.data, "abc", 3) == 0, "a short str");
    c = OVER("\xdb\x00\x00\x00\x02xy");
    check(mp_str(&c, &b) && b.len == 2 && c.left == 0, "a str with a 32-bit length");
    c = OVER("\xdb\xff\xff\xff\xff"
             "abc");
    check(!mp_str(&c, &b) && c.left == 8, "a str longer than its bytes");
    c = OVER("\xc4\x02xy");
    check(!mp_str(&c, &b), "a bin is no str");
    check(mp_bin(&c, &b) && b.len == 2, "but a bin");
    c = OVER("\xa3"
             "abc");
    check(!mp_bin(&c, &b), "a str is no bin");
    check(mp_cstr(&c, text, sizeof text) && strcmp(text, "abc") == 0, "a str that just fits");
    c = OVER("\xa4"
             "abcd");
    check(!mp_cstr(&c, text, sizeof text) && c.left == 5, "a str that does not fit");
    c = OVER("\xa3"
             "a\0c");
    check(!mp_cstr(&c, text, sizeof text), "a str with a NUL inside");
}

static void
test_bool(void)
{
    struct cursor c = OVER("\xc2\xc3\x01");
    bool b = true;

    check(mp_bool(&c, &b) && !b, "false");
    check(mp_bool(&c, &b) && b, "true");
    check(!mp_bool(&c, &b) && c.left == 1, "1 is not true");
}

static void
test_values(void)
{
    struct cursor c = OVER("\xc0\xa1x\xc4\x01y\xc7\x00\x01\xa0");
    struct value v;

    check(mp_value(&c, &v) && v.kind == VALUE_NULL, "nil is NULL");
    check(mp_value(&c, &v) && v.kind == VALUE_TEXT && v.len == 1 && v.data[0] == 'x', "text");
    check(mp_value(&c, &v) && v.kind == VALUE_BINARY && v.len == 1 && v.data[0] == 'y', "binary");
    check(mp_value(&c, &v) && v.kind == VALUE_UNCHANGED, "unchanged TOAST");
    check(mp_value(&c, &v) && v.kind == VALUE_TEXT && v.len == 0, "an empty text is not NULL");
    check(!mp_value(&c, &v), "and no more");
    c = OVER("\xc7\x00\x02");
    check(!mp_value(&c, &v), "another ext type is no value");
    c = OVER("\xc7\x01\x01z");
    check(!mp_value(&c, &v), "nor is an unchanged that carries bytes");
    c = OVER("\x01");
    check(!mp_value(&c, &v), "nor is a number");
}

int
main(void)
{
    test_big_endian();
    test_u64_moves_nothing_when_short();
    test_cstr();
    test_uint_widths();
    test_uint_takes_nothing_else();
    test_uint32();
    test_int();
    test_array();
    test_str_and_bin();
    test_bool();
    test_values();
    return check_done();
}
