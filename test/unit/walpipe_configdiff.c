/* walpipe_configdiff.c: the differences of two config files.
 * links: walpipe/configdiff walpipe/pool; libs: -lpq */
#include "walpipe/configdiff.h"

#include <string.h>

#include "walpipe/inifile.h"

#include "check.h"

/* An entry with key and value, before `next`. */
static struct inifile_entry
entry(const char *key, const char *value, struct inifile_entry *next)
{
    return (struct inifile_entry){.next = next, .key = key, .value = value};
}

static struct inifile_section
section(const char *kind, const char *name, struct inifile_entry *entries,
        struct inifile_section *next)
{
    return (struct inifile_section){.next = next, .kind = kind, .name = name, .entries = entries};
}

static void
differ(const struct inifile_section *a, const struct inifile_section *b, const char *expected)
{
    struct config before = {.sections = a}, after = {.sections = b};
    struct pool pool = {0};
    const char *list = configdiff_list(&before, &after, CONFIGDIFF_RENEW, &pool);

    check(strcmp(list, expected) == 0, "\"%s\", expected \"%s\"", list, expected);
    pool_free(&pool);
}

static void
identity_differs(const struct inifile_section *a, const struct inifile_section *b,
                 const char *expected)
{
    struct config before = {.sections = a}, after = {.sections = b};
    struct pool pool = {0};
    const char *list = configdiff_list(&before, &after, CONFIGDIFF_IDENTITY, &pool);

    check(strcmp(list, expected) == 0, "identity: \"%s\", expected \"%s\"", list, expected);
    pool_free(&pool);
}

static void
rows_differ(const struct inifile_section *a, const struct inifile_section *b, const char *expected)
{
    struct config before = {.sections = a}, after = {.sections = b};
    struct pool pool = {0};
    const char *list = configdiff_list(&before, &after, CONFIGDIFF_ROWS, &pool);

    check(strcmp(list, expected) == 0, "rows: \"%s\", expected \"%s\"", list, expected);
    pool_free(&pool);
}

static void
of_rows(void)
{
    struct inifile_entry login1 = entry("conninfo", "a", NULL);
    struct inifile_entry login2 = entry("conninfo", "b", NULL);
    struct inifile_entry some = entry("tables", "public.a", &login1);
    struct inifile_entry more = entry("tables", "public.*", &login2);
    struct inifile_section type = section("sink", "dst table public.a", &some, NULL);
    struct inifile_section plain = section("sink", "dst", &login1, NULL);
    struct inifile_section moved = section("sink", "dst", &login2, NULL);
    struct inifile_section fewer = section("sink", "dst", &some, NULL);
    struct inifile_section wider = section("sink", "dst", &more, NULL);
    struct inifile_section typed = section("sink", "dst", &login1, &type);
    struct inifile_section added = section("sink", "ds", &more, &plain);
    struct inifile_section source = section("source", "", &some, NULL);
    struct inifile_section other = section("source", "", &more, NULL);
    struct inifile_section pipeline = section("pipeline", "", &some, NULL);
    struct inifile_entry at1 = entry("url", "http://a", NULL), at2 = entry("url", "http://b", NULL);
    struct inifile_entry login3 = entry("user", "a", NULL), login4 = entry("user", "b", NULL);
    struct inifile_section url1 = section("sink", "dst", &at1, NULL);
    struct inifile_section url2 = section("sink", "dst", &at2, NULL);
    struct inifile_section user1 = section("sink", "dst", &login3, NULL);
    struct inifile_section user2 = section("sink", "dst", &login4, NULL);
    struct inifile_entry in1 = entry("conninfo", "host=h dbname=one user=a password=b", NULL);
    struct inifile_entry in2 = entry("conninfo", "host=h dbname=two user=a password=b", NULL);
    struct inifile_entry as2 =
        entry("conninfo", "user=c sslmode=require dbname='one' host=h", NULL);
    struct inifile_section db1 = section("sink", "dst", &in1, NULL);
    struct inifile_section db2 = section("sink", "dst", &in2, NULL);
    struct inifile_section role2 = section("sink", "dst", &as2, NULL);
    struct inifile_section from1 = section("source", "", &login1, NULL);
    struct inifile_section from2 = section("source", "", &login2, NULL);

    rows_differ(&plain, &moved, "[sink dst] conninfo");
    rows_differ(&url1, &url2, "[sink dst] url");
    rows_differ(&user1, &user2, "");
    rows_differ(&from1, &from2, "");
    rows_differ(&db1, &db2, "[sink dst] conninfo");
    rows_differ(&db1, &role2, "");
    rows_differ(&plain, &added, "");
    rows_differ(&added, &plain, "");
    rows_differ(&plain, &fewer, "[sink dst] tables");
    rows_differ(&fewer, &wider, "[sink dst] tables, [sink dst] conninfo");
    rows_differ(&plain, &typed, "[sink dst table public.a]");
    rows_differ(&typed, &plain, "[sink dst table public.a]");
    rows_differ(NULL, &typed, "");
    rows_differ(&source, &other, "[source] tables");
    rows_differ(&pipeline, NULL, "");
}

static void
in_pipeline(void)
{
    struct inifile_entry rate1 = entry("copy_rate", "1", NULL);
    struct inifile_entry rate2 = entry("copy_rate", "2", NULL);
    struct inifile_entry named1 = entry("http", "a", &rate1);
    struct inifile_entry named2 = entry("http", "b", &rate2);
    struct inifile_section none = section("pipeline", "", NULL, NULL);
    struct inifile_section first = section("pipeline", "", &named1, NULL);
    struct inifile_section second = section("pipeline", "", &named2, NULL);
    struct inifile_section rate = section("pipeline", "", &rate2, NULL);

    differ(&first, &first, "");
    differ(&first, &second, "[pipeline] http");
    differ(&none, &rate, "");
    differ(&first, &none, "[pipeline] http");
    differ(&none, &first, "[pipeline] http");
    differ(&none, NULL, "[pipeline]");
}

static void
of_identity(void)
{
    struct inifile_entry level1 = entry("log_level", "a", NULL);
    struct inifile_entry level2 = entry("log_level", "b", NULL);
    struct inifile_entry named1 = entry("name", "a", &level1);
    struct inifile_entry named2 = entry("name", "b", &level2);
    struct inifile_entry slot1 = entry("slot", "a", &named1);
    struct inifile_entry slot2 = entry("slot", "b", &named1);
    struct inifile_section sink1 = section("sink", "a", &slot1, NULL);
    struct inifile_section sink2 = section("sink", "a", &slot2, NULL);
    struct inifile_section source1 = section("source", "", &slot1, &sink1);
    struct inifile_section source2 = section("source", "", &slot2, &sink2);
    struct inifile_section pipeline1 = section("pipeline", "", &named1, &source1);
    struct inifile_section pipeline2 = section("pipeline", "", &named2, &source2);

    identity_differs(&pipeline1, &pipeline1, "");
    identity_differs(&pipeline1, &pipeline2, "[pipeline] name, [source] slot");
    identity_differs(&pipeline1, &source1, "");
    differ(&pipeline1, &pipeline2, "[pipeline] log_level, [sink a]");
}

static void
in_sinks(void)
{
    struct inifile_entry map2 = entry("map", "b -> c", NULL);
    struct inifile_entry map1 = entry("map", "a -> b", &map2);
    struct inifile_entry turned1 = entry("map", "a -> b", NULL);
    struct inifile_entry turned2 = entry("map", "b -> c", &turned1);
    struct inifile_entry rate = entry("copy_rate", "2", NULL);
    struct inifile_section one = section("sink", "dst", &map1, NULL);
    struct inifile_section order = section("sink", "dst", &turned2, NULL);
    struct inifile_section fewer = section("sink", "dst", &map2, NULL);
    struct inifile_section added = section("sink", "x", &rate, &one);
    struct inifile_section other = section("sink", "x", NULL, &one);

    differ(&one, &one, "");
    differ(&one, &order, "[sink dst]");
    differ(&one, &fewer, "[sink dst]");
    differ(&fewer, &one, "[sink dst]");
    differ(&one, &added, "[sink x]");
    differ(&added, &one, "[sink x]");
    differ(&added, &other, "[sink x]");
    differ(&other, &added, "[sink x]");
    differ(NULL, &added, "[sink x], [sink dst]");
}

int
main(void)
{
    in_pipeline();
    of_identity();
    in_sinks();
    of_rows();
    return check_done();
}
