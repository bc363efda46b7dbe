/* lib_tablemap.c: lib/tablemap and lib/tablefilter, which are lists of tables, and their decisions.
 * links: lib/tablemap lib/tablefilter lib/names lib/err */
#include "lib/tablemap.h"

#include <string.h>

#include "check.h"
#include "lib/tablefilter.h"

static bool
maps(const char *list, const char *schema, const char *table, const char *expected)
{
    struct tablemap map = {0};
    const struct table_mapping *m;
    char got[600] = "";
    struct err err;

    if (tablemap_add(&map, list, TABLEMAP_QUALIFIED, &err) == 0) {
        m = tablemap_find(&map, schema, table);
        snprintf(got, sizeof got, "%s", m == NULL ? "none" : m->to_schema);
        if (m != NULL)
            snprintf(got + strlen(got), sizeof got - strlen(got), "|%s", m->to_table);
    }
    tablemap_free(&map);
    return strcmp(got, expected) == 0;
}

static bool
refuses(const char *list, enum tablemap_target target)
{
    struct tablemap map = {0};
    struct err err = {0};
    bool refused = tablemap_add(&map, list, target, &err) == -1 && err.code == EXIT_REFUSED;

    tablemap_free(&map);
    return refused;
}

static void
test_map(void)
{
    static const char name64[] = "a234567890123456789012345678901234567890123456789012345678901234";
    char list[200];

    check(maps("a.b->c.d", "a", "b", "c|d"), "one entry");
    check(maps(" a.b -> c.d ,\n e.f -> g.h", "e", "f", "g|h"), "two, with blanks");
    check(maps("a.b -> c.d", "a", "x", "none"), "another table is not in it");
    check(maps("\"Odd,name\".t -> x.y", "Odd,name", "t", "x|y"),
          "the bug was that this was valid for one sink and malformed for the other");
    check(refuses("A.B -> c.d", TABLEMAP_QUALIFIED) && refuses("A.B -> c.d", TABLEMAP_ANY),
          "the bug was that one sink folded names and the other did not");
    check(refuses("a.b -> c", TABLEMAP_QUALIFIED) && !refuses("a.b -> c", TABLEMAP_ANY),
          "a target without a schema");
    snprintf(list, sizeof list, "a.b -> c.%s", name64);
    check(refuses(list, TABLEMAP_QUALIFIED) && !refuses(list, TABLEMAP_ANY),
          "a target of 64 bytes");
    check(refuses("a.b -> c.d, a.b -> c.e", TABLEMAP_QUALIFIED) &&
              refuses("a.b -> c.d, a.\"b\" -> c.d", TABLEMAP_ANY) &&
              !refuses("a.b -> c.d, \"a.b\".b -> c.d", TABLEMAP_ANY),
          "a table is listed twice");
}

static bool
takes(const char *list, const char *schema, const char *table)
{
    struct tablefilter filter = {0};
    struct err err;
    bool taken =
        tablefilter_add(&filter, list, &err) == 0 && tablefilter_takes(&filter, schema, table);

    tablefilter_free(&filter);
    return taken;
}

static void
test_filter(void)
{
    struct tablefilter none = {0};

    check(tablefilter_takes(&none, "a", "b"), "no pattern takes all");
    check(takes("a.*", "a", "b") && !takes("a.*", "b", "b"), "one");
    check(takes("!a.b", "a", "c") && !takes("!a.b", "a", "b"), "only exclusions");
    check(takes("a.*, !a.b", "a", "c") && !takes("!a.b, a.*", "a", "b"),
          "an exclusion wins wherever it stands");
}

int
main(void)
{
    test_map();
    test_filter();
    return check_done();
}
