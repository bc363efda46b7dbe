/* sink-pg_recode.c: text values in binary format. With an argument it compares with a server's:
 * lines of standard input have a type's oid, a value's text, and the server's binary form of it,
 * the last two in hexadecimal; test/filter/sink-pg-values.bats makes them.
 *
 * links: sink-pg/recode lib/moment lib/err lib/buf */
#include "sink-pg/recode.h"

#include <stdio.h>
#include <stdlib.h>

#include "check.h"

static struct bytes
text_bytes(const char *text)
{
    return (struct bytes){.data = (const uint8_t *)text, .len = strlen(text)};
}

static bool
is_known(uint32_t oid, const char *text)
{
    struct buf out = {0};
    bool known = recode_small(&out, recode_of(oid, 'b'), text_bytes(text));

    if (!known && buf_len(&out) != 0)
        check(false, "\"%s\" leaves nothing behind", text);
    buf_free(&out);
    return known;
}

static void
test_unknown(void)
{
    static const struct {
        uint32_t oid;
        const char *text;
    } texts[] = {
        {16, ""},
        {16, "true"},
        {21, "32768"},
        {21, "-32769"},
        {21, ""},
        {21, "-"},
        {23, "2147483648"},
        {23, "-2147483649"},
        {23, "1 "},
        {23, "+1"},
        {20, "9223372036854775808"},
        {20, "-9223372036854775809"},
        {20, "18446744073709551617"},
        {20, "99999999999999999999999"},
        {26, "4294967296"},
        {26, "-1"},
        {700, ""},
        {701, "1.5x"},
        {1700, ""},
        {1700, "-"},
        {1700, "NaN"},
        {1700, "Infinity"},
        {1700, "1e5"},
        {1700, "."},
        {1700, "1."},
        {1700, ".5"},
        {1700, "1.2.3"},
        {1082, "infinity"},
        {1082, "0044-03-15 BC"},
        {1082, "10000-01-01"},
        {1082, "2026-02-29"},
        {1082, "2026-01-01 00:00:00"},
        {1114, "-infinity"},
        {1114, "0044-03-15 12:00:00 BC"},
        {1114, "2026-13-01 00:00:00"},
        {1114, "10000-01-01 00:00:00"},
        {2950, ""},
        {2950, "00112233-4455-6677-8899-aabbccddeefg"},
        {2950, "0011223344556677-8899-aabb-ccddeeff-"},
    };
    struct buf out = {0};

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (is_known(texts[i].oid, texts[i].text))
            check(false, "\"%s\" of type %u has no known form", texts[i].text, texts[i].oid);
    check(true, "what is of no known form is left alone");
    check(recode_of(25, 'b') == RECODE_SAME && recode_of(100000, 'e') == RECODE_SAME &&
              recode_of(100000, 'b') == RECODE_NONE && recode_of(2205, 'b') == RECODE_NONE,
          "strings and enums stay; regclass and types of somebody's own have no known form");
    check(!recode_hex(&out, text_bytes("012")) && !recode_hex(&out, text_bytes("0g")) &&
              !recode_hex(&out, text_bytes("AB")) && buf_len(&out) == 0 &&
              recode_hex(&out, text_bytes("00ff7a")) && buf_len(&out) == 3 &&
              memcmp(out.data, "\0\377z", 3) == 0,
          "hexadecimal digits, as bytea_output = hex writes them");
    buf_free(&out);
}

static void
read_hex(struct buf *out, const char *hex)
{
    if (!recode_hex(out, text_bytes(hex)))
        check(false, "\"%s\" is hexadecimal", hex);
}

/* One line. Returns true if the value has a known form. */
static bool
compare(uint32_t oid, const char *text_hex, const char *expected_hex)
{
    struct buf text = {0}, expected = {0}, ours = {0};
    bool known;

    read_hex(&text, text_hex);
    read_hex(&expected, expected_hex);
    known = recode_small(&ours, recode_of(oid, 'b'),
                         (struct bytes){.data = text.data, .len = buf_len(&text)});
    if (known &&
        (buf_len(&ours) != buf_len(&expected) + 4 ||
         memcmp(ours.data + 4, expected.data, buf_len(&expected)) != 0 || ours.data[0] != 0 ||
         ours.data[1] != 0 || (ours.data[2] << 8 | ours.data[3]) != (int)buf_len(&expected)))
        check(false, "type %u: %.*s is %s", oid, (int)buf_len(&text), (const char *)text.data,
              expected_hex);
    buf_free(&text);
    buf_free(&expected);
    buf_free(&ours);
    return known;
}

static void
compare_lines(void)
{
    static char line[1 << 16];
    unsigned long lines = 0, known = 0;

    while (fgets(line, sizeof line, stdin) != NULL) {
        char *text = strchr(line, '|'), *expected = text == NULL ? NULL : strchr(text + 1, '|');

        if (expected == NULL) {
            check(false, "a line of three fields");
            return;
        }
        *text++ = *expected++ = '\0';
        expected[strcspn(expected, "\n")] = '\0';
        lines++;
        known += compare((uint32_t)strtoul(line, NULL, 10), text, expected);
    }
    check(lines > 0, "%lu values compared, %lu of a known form", lines, known);
}

int
main(int argc, char **argv)
{
    (void)argv;
    if (argc > 1)
        compare_lines();
    else
        test_unknown();
    return check_done();
}
