/* pg-table-read_copytext.c: every escape that COPY writes, NULL beside the text \N, and lines that
 * no server writes.
 * links: pg-table-read/copytext lib/ctid */
#include "pg-table-read/copytext.h"

#include <stdio.h>
#include <string.h>

#include "check.h"

static struct value values[4];
static char room[256];

static bool
take(const char *line, uint32_t count)
{
    snprintf(room, sizeof room, "%s", line);
    return copytext_row(room, strlen(room), values, count);
}

static bool
is_text(const struct value *value, const char *text)
{
    return value->kind == VALUE_TEXT && value->len == strlen(text) &&
           memcmp(value->data, text, value->len) == 0;
}

static void
test_values(void)
{
    check(take("(0,1)\ta\t\tb c\n", 4), "four columns, one of them empty");
    check(is_text(&values[0], "(0,1)") && is_text(&values[1], "a") && is_text(&values[2], "") &&
              is_text(&values[3], "b c"),
          "their values");
    check(take("\\N\t\\\\N\tN\n", 3), "NULL, and two texts like it");
    check(values[0].kind == VALUE_NULL && is_text(&values[1], "\\N") && is_text(&values[2], "N"),
          "only the first is NULL");
    check(take("x\\b\\f\\n\\r\\t\\v\\\\y\n", 1) && is_text(&values[0], "x\b\f\n\r\t\v\\y"),
          "every escape");
    check(take("\n", 1) && is_text(&values[0], ""), "one empty column");
}

static void
test_malformed(void)
{
    check(!take("a\tb\n", 1), "a column too many");
    check(!take("a\n", 2), "a column too few");
    check(!take("a", 1), "no line feed");
    check(!take("", 1), "nothing");
    check(!take("a\\\n", 1), "a backslash at the end");
    check(!take("a\\q\n", 1), "an escape that COPY does not write");
    check(!take("a\\N\n", 1), "\\N behind a letter");
}

static bool
ctid_is(const char *text, uint32_t block, uint16_t line)
{
    struct value value = {
        .kind = VALUE_TEXT, .len = (uint32_t)strlen(text), .data = (const uint8_t *)text};
    struct ctid ctid;

    return copytext_ctid(&value, &ctid) && ctid.block == block && ctid.line == line;
}

static bool
is_no_ctid(const char *text)
{
    struct value value = {
        .kind = VALUE_TEXT, .len = (uint32_t)strlen(text), .data = (const uint8_t *)text};
    struct ctid ctid;

    return !copytext_ctid(&value, &ctid);
}

static void
test_ctids(void)
{
    check(ctid_is("(0,1)", 0, 1) && ctid_is("(4294967295,65535)", UINT32_MAX, UINT16_MAX),
          "the least and the most");
    check(is_no_ctid("(4294967296,1)") && is_no_ctid("(0,65536)"), "one more than the most");
    check(is_no_ctid("") && is_no_ctid("(0,1") && is_no_ctid("(0,)") && is_no_ctid("(,1)") &&
              is_no_ctid("(0,1)x") && is_no_ctid("0,1)") && is_no_ctid("(0 ,1)") &&
              is_no_ctid("(-1,1)"),
          "what is no ctid");
}

int
main(void)
{
    test_values();
    test_malformed();
    test_ctids();
    return check_done();
}
