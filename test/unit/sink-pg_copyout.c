/* sink-pg_copyout.c: COPY's text format (trap 101).
 *
 * links: sink-pg/copyout sink-pg/recode lib/moment lib/err lib/buf lib/pqx
 * libs: -lpq */
#include "sink-pg/copyout.h"

#include <string.h>

#include "check.h"

static bool
escapes_to(const char *in, size_t len, const char *expected)
{
    struct buf out = {0};
    bool ok = copyout_escape(&out, (const uint8_t *)in, len) && buf_len(&out) == strlen(expected) &&
              memcmp(out.data, expected, strlen(expected)) == 0;

    buf_free(&out);
    return ok;
}

static struct value
text_value(const char *text)
{
    return (struct value){
        .kind = VALUE_TEXT, .len = (uint32_t)strlen(text), .data = (const uint8_t *)text};
}

static void
test_escape(void)
{
    struct buf out = {0};

    check(escapes_to("plain", 5, "plain"), "plain text stays");
    check(escapes_to("a\\b", 3, "a\\\\b"), "a backslash");
    check(escapes_to("\\N", 2, "\\\\N"), "the text \\N is no NULL");
    check(escapes_to("\\.", 2, "\\\\."), "the text \\. is no end");
    check(escapes_to("\t\n\r\b\f\v", 6, "\\t\\n\\r\\b\\f\\v"), "control characters");
    check(escapes_to("\xc3\xbc\x01\x7f", 4, "\xc3\xbc\x01\x7f"), "other bytes stay");
    check(!copyout_escape(&out, (const uint8_t *)"a\0b", 3), "a NUL byte is refused");
    buf_free(&out);
    for (int c = 1; c < 256; c++) {
        char one = (char)c, twice[3] = {'\\', one, 0}, same[2] = {one, 0};
        bool special = strchr("\b\f\n\r\t\v\\", c) != NULL;

        if (!special && !escapes_to(&one, 1, same))
            check(false, "byte %d stays as it is", c);
        if (special && escapes_to(&one, 1, same))
            check(false, "byte %d is escaped, %s", c, twice);
    }
    check(true, "every byte");
}

static void
test_rows(void)
{
    static const char text_row[] = "a\t\\N\tI\t7\t\n";
    static const uint8_t binary_row[] = {0,    3,    0,    0, 0, 2, 0xff, 0,  0xff,
                                         0xff, 0xff, 0xff, 0, 0, 0, 1,    'D'};
    struct value null = {.kind = VALUE_NULL}, a = text_value("a"), empty = text_value("");
    struct value binary = {.kind = VALUE_BINARY, .len = 2, .data = (const uint8_t *)"\xff\0"};
    struct copyout c = {.format = COPY_TEXT};
    struct err err;

    copyout_row(&c, 5);
    check(copyout_value(&c, &a, RECODE_NONE, &err) == 0 &&
              copyout_value(&c, &null, RECODE_NONE, &err) == 0,
          "text values");
    copyout_char(&c, 'I');
    copyout_number(&c, 7);
    check(copyout_value(&c, &empty, RECODE_NONE, &err) == 0 && copyout_row_end(&c, &err) == 0 &&
              buf_len(&c.out) == strlen(text_row) &&
              memcmp(c.out.data, text_row, strlen(text_row)) == 0,
          "a row in text format; '' is not NULL");
    check(copyout_value(&c, &binary, RECODE_NONE, &err) == -1,
          "a binary value does not fit into it");
    buf_reset(&c.out, 1024);
    c.format = COPY_BINARY;
    copyout_row(&c, 3);
    check(copyout_value(&c, &binary, RECODE_NONE, &err) == 0 &&
              copyout_value(&c, &null, RECODE_NONE, &err) == 0,
          "binary");
    copyout_char(&c, 'D');
    check(copyout_row_end(&c, &err) == 0 && buf_len(&c.out) == sizeof binary_row &&
              memcmp(c.out.data, binary_row, sizeof binary_row) == 0,
          "a row in binary format");
    check(copyout_value(&c, &a, RECODE_NONE, &err) == -1 && !c.not_recoded,
          "a text value does not fit into it");
    copyout_free(&c);
}

static void
test_recoded(void)
{
    static const uint8_t row[] = {0, 5, 0, 0, 0,   4,   0, 0, 0, 42, 0,    0,    0, 1, 'a', 0,
                                  0, 0, 3, 1, '{', '}', 0, 0, 0, 2,  0xde, 0xad, 0, 0, 0,   0};
    struct value n = text_value("42"), a = text_value("a"), json = text_value("{}"),
                 hex = text_value("\\xdead"), none = text_value("\\x"),
                 escape = text_value("\\336\\255");
    struct copyout c = {.format = COPY_BINARY};
    struct err err;

    copyout_row(&c, 5);
    check(copyout_value(&c, &n, RECODE_INT4, &err) == 0 &&
              copyout_value(&c, &a, RECODE_SAME, &err) == 0 &&
              copyout_value(&c, &json, RECODE_JSONB, &err) == 0 &&
              copyout_value(&c, &hex, RECODE_BYTEA, &err) == 0 &&
              copyout_value(&c, &none, RECODE_BYTEA, &err) == 0 && copyout_row_end(&c, &err) == 0 &&
              buf_len(&c.out) == sizeof row && memcmp(c.out.data, row, sizeof row) == 0,
          "a row of texts in binary format");
    check(copyout_value(&c, &escape, RECODE_BYTEA, &err) == -1 && c.not_recoded,
          "a bytea in another form is not recoded");
    c.not_recoded = false;
    check(copyout_value(&c, &a, RECODE_INT4, &err) == -1 && c.not_recoded, "nor is an odd number");
    copyout_free(&c);
}

int
main(void)
{
    test_escape();
    test_rows();
    test_recoded();
    return check_done();
}
