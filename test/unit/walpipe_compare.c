/* walpipe_compare.c: which SQL reads a column for a comparison, and which columns are not
 * compared. Whether the texts are equal is tested on servers (test/e2e/compare*.bats). */
/* clang-format off */
/* links: walpipe/compare/form walpipe/compare/chform walpipe/pool lib/pgtype lib/canon; */
/* clang-format on */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "lib/pgtype.h"
#include "walpipe/compare/chform.h"

static struct pool pool;
static const struct form_servers modern = {160000, 160000, true, true};

static struct column
column_of(uint32_t oid, int32_t typmod, const char *type)
{
    return (struct column){
        .name = "c", .oid = oid, .typmod = typmod, .type = type, .kind = 'b', .inside = ""};
}

/* NULL for SQL that is not given. */
static void
expect(const char *name, const char *got, const char *want)
{
    check(got == NULL || want == NULL ? got == want : strcmp(got, want) == 0, "%s: %s", name,
          got == NULL ? "nothing" : got);
}

static struct form
pair(struct column source, struct column target, struct form_servers servers)
{
    struct form form;

    form_pair(&form, &source, &target, &servers, &pool);
    return form;
}

static void
test_names(void)
{
    struct column c = {.name = "a\"b'c"};

    expect("a name", form_reference(&c, &pool), "t.\"a\"\"b'c\"");
}

static void
test_same_types(void)
{
    struct form f = pair(column_of(PG_INT4, -1, "int4"), column_of(PG_INT8, -1, "int8"), modern);

    expect("int4 to int8", f.source,
           "CASE WHEN t.\"c\" IS NOT NULL THEN concat(t.\"c\")::int8 END");
    f = pair(column_of(PG_INT4, -1, "int4"), column_of(PG_INT4, -1, "int4"), modern);
    expect("int4", f.source, "t.\"c\"");
    expect("int4 has no length", f.source_length, NULL);
    f = pair(column_of(PG_TEXT, -1, "text"), column_of(PG_TEXT, -1, "text"), modern);
    expect("text", f.target, "t.\"c\"");
    expect("text is counted", f.target_length, "octet_length(t.\"c\")");
    f = pair(column_of(PG_TEXT, -1, "text"), column_of(PG_TEXT, -1, "text"),
             (struct form_servers){160000, 160000, false, true});
    expect("latin1 is counted as UTF-8", f.source_length,
           "octet_length(convert_to(t.\"c\", 'UTF8'))");
    f = pair(column_of(PG_NUMERIC, -1, "numeric"), column_of(PG_NUMERIC, -1, "numeric"), modern);
    expect("numeric keeps its scale", f.source, "t.\"c\"");
}

/* The bug was that 1.5 in a text differed from 1.50 in a numeric(5,2). */
static void
test_numbers(void)
{
    struct column target = column_of(PG_NUMERIC, (5 << 16 | 2) + 4, "numeric");
    struct form f = pair(column_of(PG_TEXT, -1, "text"), target, modern);

    expect("text to numeric", f.source,
           "trim_scale(CASE WHEN t.\"c\" IS NOT NULL THEN concat(t.\"c\")::numeric END)");
    expect("numeric from text", f.target, "trim_scale(t.\"c\")");
    f = pair(column_of(PG_NUMERIC, -1, "numeric"), target,
             (struct form_servers){120000, 160000, true, true});
    check(strstr(f.source, "rtrim") != NULL, "version 12 has no trim_scale: %s", f.source);
}

/* The bug was that the versions of both servers did not count, but only the source's. */
static void
test_floats(void)
{
    const struct form_servers old_target = {160000, 110000, true, true},
                              old_source = {110000, 160000, true, true};
    struct column f8 = column_of(PG_FLOAT8, -1, "float8"), point = column_of(PG_POINT, -1, "point");

    expect("float8", pair(f8, f8, modern).source, "t.\"c\"");
    check(strstr(pair(f8, f8, old_target).source, "float8send") != NULL, "an old target");
    check(strstr(pair(f8, f8, old_source).target, "float8send") != NULL, "an old source");
    expect("point and an old target", pair(point, point, old_target).source, NULL);
    check(pair(point, point, modern).source != NULL, "point");
}

static void
test_not_compared(void)
{
    struct column mood = {.name = "c", .oid = 20000, .type = "public.pair", .kind = 'c'};
    struct column text = column_of(PG_TEXT, -1, "text");
    struct column other = {.name = "c", .oid = 30000, .type = "public.pair", .kind = 'c'};
    struct form f = pair(mood, other, modern);

    check(f.source == NULL && f.why != NULL, "a composite with parts that are not built in");
    f = pair(text, other, modern);
    check(f.source == NULL && f.why != NULL, "text to a composite");
    mood.inside = other.inside = "a 23 -1";
    check(pair(mood, other, modern).source != NULL, "a composite of integers");
    other.inside = "a 20 -1";
    check(pair(mood, other, modern).source == NULL, "a composite of other integers");
}

static struct form
into(uint32_t oid, struct canon_column canon)
{
    struct column source = column_of(oid, -1, "type");
    struct form form;

    chform_make(&form, &source, &canon, &modern, &pool);
    return form;
}

/* The bug was that values that do not fit looked like those to which they would be cut. */
static void
test_strict(void)
{
    struct form f = into(PG_TEXT, (struct canon_column){.canon = CANON_FIXED, .width = 4});

    check(strstr(f.source, "greatest(") != NULL, "a FixedString does not cut: %s", f.source);
    f = into(PG_TIMESTAMP, (struct canon_column){.canon = CANON_DAYS});
    check(strstr(f.source, "ELSE concat(t.\"c\") END") != NULL, "a Date keeps no time: %s",
          f.source);
    f = into(PG_TIMESTAMP, (struct canon_column){.canon = CANON_SECONDS});
    check(strstr(f.source, "ELSE concat(t.\"c\") END") != NULL, "a DateTime keeps no fraction");
    f = into(PG_INET, (struct canon_column){.canon = CANON_IPV4});
    check(strstr(f.source, "masklen") != NULL, "an IPv4 is no network");
    expect("none", into(PG_INT4, (struct canon_column){.canon = CANON_NONE}).source, NULL);
}

/* Every canon has a text, and the counted ones a length. */
static void
test_all(void)
{
    for (int canon = CANON_TEXT; canon <= CANON_IPV6; canon++)
        for (int fit = CANON_STRICT; fit <= CANON_FITTING; fit++) {
            struct canon_column c = {
                .canon = (enum canon)canon, .fit = (enum canon_fit)fit, .width = 8, .scale = 3};
            struct form f;

            snprintf(c.low, sizeof c.low, "0");
            snprintf(c.high, sizeof c.high, "9");
            f = into(canon == CANON_BYTES ? PG_BYTEA : PG_NUMERIC, c);
            check(f.source != NULL && (f.source_length != NULL) == canon_counted(c.canon) &&
                      canon_find(canon_word(c.canon)) == c.canon,
                  "%s", canon_word(c.canon));
        }
    check(canon_find("nothing") == CANON_NONE, "an unknown word");
    check(!canon_limit_is_plain("1'; DROP"), "a limit with a quote");
}

int
main(void)
{
    test_names();
    test_same_types();
    test_numbers();
    test_floats();
    test_not_compared();
    test_strict();
    test_all();
    pool_free(&pool);
    return check_done();
}
