/* mapping: --map.
 *
 * links: sink-pg/mapping lib/err
 */
#include "sink-pg/mapping.h"

#include <string.h>

#include "check.h"

static bool
maps(const char *text, const char *schema, const char *name, const char *expected)
{
    struct mapping map = {0};
    const char *to_schema, *to_name;
    char got[200] = "";
    struct err err;

    if (mapping_parse(&map, text, &err) == 0) {
        mapping_target(&map, schema, name, &to_schema, &to_name);
        snprintf(got, sizeof got, "%s|%s", to_schema, to_name);
    }
    mapping_free(&map);
    return strcmp(got, expected) == 0;
}

static bool
refuses(const char *text)
{
    struct mapping map = {0};
    struct err err = {0};
    bool refused = mapping_parse(&map, text, &err) == -1 && err.code == EXIT_REFUSED;

    mapping_free(&map);
    return refused;
}

int
main(void)
{
    static const char name63[] = "a23456789012345678901234567890123456789012345678901234567890123";
    char text[200];

    check(maps("a.b->c.d", "a", "b", "c|d"), "one entry");
    check(maps(" a.b -> c.d ,\n e.f -> g.h", "e", "f", "g|h"), "two, with blanks");
    check(maps("a.b -> c.d", "a", "x", "a|x"), "another table keeps its name");
    check(maps("A.B -> C.D", "a", "b", "c|d"), "names without quotes are folded");
    check(maps("\"A\".\"x\"\".y\" -> c.\"->,\"", "A", "x\".y", "c|->,"), "odd names in quotes");
    snprintf(text, sizeof text, "a.%s -> c.d", name63);
    check(maps(text, "a", name63, "c|d"), "a name of 63 bytes");
    snprintf(text, sizeof text, "a.%sx -> c.d", name63);
    check(refuses(text), "one of 64 is refused");
    check(refuses("") && refuses("a.b") && refuses("a.b -> c") && refuses("a.b -> c.d,") &&
              refuses("a.b -> c.d e") && refuses("a.\"\" -> c.d") && refuses("a.\"b -> c.d"),
          "anything else is refused");
    return check_done();
}
