/* lib_names.c: every odd name, in each of the lists that people write.
 * links: lib/names lib/err */
#include "lib/names.h"

#include <string.h>

#include "check.h"

#define NAME63  "a23456789012345678901234567890123456789012345678901234567890123"
#define NAME255 NAME63 NAME63 NAME63 NAME63 "abc"

/* The written form of a name, and the name. */
static const struct {
    const char *written;
    const char *is;
} names[] = {
    {"t", "t"},
    {"_$9", "_$9"},
    {"9t", "9t"},
    {"größe", "größe"},
    {"\"größe\"", "größe"},
    {"\"Orders\"", "Orders"},
    {"\"Odd,name\"", "Odd,name"},
    {"\"a.b\"", "a.b"},
    {"\"a->b\"", "a->b"},
    {"\"->\"", "->"},
    {"\"*\"", "*"},
    {"\"!t\"", "!t"},
    {"\" t \"", " t "},
    {"\"a\tb\nc\"", "a\tb\nc"},
    {"\"\"\"\"", "\""},
    {"\"a\"\"b\"", "a\"b"},
    {"\"a\\b'c`d\"", "a\\b'c`d"},
    {"\"\001\"", "\001"},
    {"\"my-table\"", "my-table"},
    {NAME63, NAME63},
    {"\"" NAME63 "\"", NAME63},
};

/* Texts that no list accepts as a name. */
static const char *const no_names[] = {
    "",
    " ",
    "Orders",
    "oRders",
    "a b",
    "a-b",
    "a\"b\"",
    "\"a\"b",
    "\"\"",
    "\"a",
    "\"",
    "a;b",
    "'a'",
    "`a`",
    "a,,b",
    ",a",
    "a,",
    "\"a\"\"",
    "(a)",
    "a/b",
    "\001",
    NAME63 "4",
    "\"" NAME63 "4\"",
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

static bool
reads_name(const char *list, const char *expected)
{
    char name[NAME_MAX_BYTES + 1];
    const char *at = list;
    struct err err = {0};

    return names_next(&at, name, &err) == 0 && strcmp(name, expected) == 0;
}

static void
test_names(void)
{
    for (size_t i = 0; i < COUNT(names); i++) {
        char list[400], shown[200];

        snprintf(list, sizeof list, " \t%s \n, next", names[i].written);
        check(reads_name(names[i].written, names[i].is) && reads_name(list, names[i].is),
              "name %zu", i);
        names_show(names[i].is, shown, sizeof shown);
        check(reads_name(shown, names[i].is), "name %zu as it is shown", i);
    }
}

static void
test_no_names(void)
{
    for (size_t i = 0; i < COUNT(no_names); i++) {
        char name[NAME_MAX_BYTES + 1];
        const char *at = no_names[i];
        struct err err = {0};
        int rc = 0;

        while (rc == 0 && at != NULL)
            rc = names_next(&at, name, &err);
        check(rc == -1 && err.code == EXIT_REFUSED && err.message[0] != '\0' && err.hint[0] != '\0',
              "no name %zu", i);
    }
}

static bool
reads_mapping(const char *list, const char *const parts[4])
{
    struct table_mapping m;
    const char *at = list;
    struct err err = {0};

    return names_next_mapping(&at, &m, &err) == 0 && strcmp(m.schema, parts[0]) == 0 &&
           strcmp(m.table, parts[1]) == 0 && strcmp(m.to_schema, parts[2]) == 0 &&
           strcmp(m.to_table, parts[3]) == 0;
}

static void
test_mappings(void)
{
    char list[1200];

    for (size_t i = 0; i < COUNT(names); i++) {
        const char *is = names[i].is, *w = names[i].written;

        snprintf(list, sizeof list, "%s.%s->%s.%s, a.b -> c", w, w, w, w);
        check(reads_mapping(list, (const char *const[]){is, is, is, is}), "mapping %zu", i);
        snprintf(list, sizeof list, " %s . t -> %s ", w, w);
        check(reads_mapping(list, (const char *const[]){is, "t", "", is}), "mapping %zu, bare", i);
    }
    for (size_t i = 0; i < COUNT(no_names); i++) {
        struct table_mapping m;
        struct err err = {0};
        const char *at = list;

        if (strchr(no_names[i], ',') != NULL)
            continue;
        snprintf(list, sizeof list, "s.%s -> t", no_names[i]);
        check(names_next_mapping(&at, &m, &err) == -1, "no source %zu", i);
    }
    check(reads_mapping("a.b -> " NAME255 "." NAME255,
                        (const char *const[]){"a", "b", NAME255, NAME255}),
          "a target of 255 bytes");
}

static void
test_no_mappings(void)
{
    static const char *const bad[] = {
        "a.b",        "a -> b",    "a.b ->",    "a.b -> c.d.e", "a.b.c -> d", "a.b - > c",
        "a.b -> c d", "!a.b -> c", "a.* -> c",  "a.b -> *",     "-> c",       "a.b => c",
        "a.b -> C",   "a.B -> c",  "a.b -> c.", "a.b -> .c",    "a..b -> c",  "a.b -> " NAME255 "x",
    };

    for (size_t i = 0; i < COUNT(bad); i++) {
        struct table_mapping m;
        const char *at = bad[i];
        struct err err = {0};

        check(names_next_mapping(&at, &m, &err) == -1 && err.code == EXIT_REFUSED &&
                  err.hint[0] != '\0',
              "%s", bad[i]);
    }
}

static bool
takes(const char *written, const char *schema, const char *table)
{
    struct table_pattern p;
    const char *at = written;
    struct err err = {0};

    return names_next_pattern(&at, &p, &err) == 0 && names_match(&p.schema, schema) &&
           names_match(&p.table, table);
}

static void
test_typed(void)
{
    static const char *const wrong[] = {"",           "a",         "a Int8",       "a ->",
                                        "a -> ,b",    "A -> Int8", "a -> Int8,",   "a -> D(1",
                                        "a -> E('x)", "a -> )",    "a -> Int8) x", "a -> (a))"};
    const char *at = "a -> Enum8('x,)' = 1, 'it\\'s' = 2) ,\n\"B,\"->Decimal( 9,2 )";
    struct typed_name typed = {0};
    struct err err = {0};

    check(names_next_typed(&at, &typed, &err) == 0 && strcmp(typed.name, "a") == 0 &&
              typed.type_len == 29 && strncmp(typed.type, "Enum8(", 6) == 0,
          "commas in quotes and parentheses");
    check(names_next_typed(&at, &typed, &err) == 0 && strcmp(typed.name, "B,") == 0 &&
              typed.type_len == 14 && at == NULL,
          "the last one");
    for (size_t i = 0; i < COUNT(wrong); i++) {
        int rc = 0;

        for (at = wrong[i]; at != NULL && rc == 0;)
            rc = names_next_typed(&at, &typed, &err);
        check(rc != 0 && err.hint[0] != '\0', "refused: %s", wrong[i]);
    }
}

static void
test_table(void)
{
    static const char *const wrong[] = {"", "a", "a.", "a.b.c", "a.b, c.d", "a.*", "!a.b", "a.B"};
    struct table_name table;
    struct err err = {0};

    check(names_table(" a . \"B c\" ", &table, &err) == 0 && strcmp(table.schema, "a") == 0 &&
              strcmp(table.table, "B c") == 0,
          "a table");
    for (size_t i = 0; i < COUNT(wrong); i++)
        check(names_table(wrong[i], &table, &err) != 0, "refused: %s", wrong[i]);
}

/* As it may come through a shell, and as messages print it. */
static void
test_option_table(void)
{
    static const char *const wrong[] = {"",        "a",    "a.",     ".b",           "a.b.c",
                                        "\"a.b.c", "a.B.", "a\"B.c", "a." NAME63 "B"};
    static const char *const right[][3] = {{"Sales.OrderLine", "Sales", "OrderLine"},
                                           {"\"Sales\".\"OrderLine\"", "Sales", "OrderLine"},
                                           {"a.\"b.c\"", "a", "b.c"},
                                           {" a . b ", "a", "b"},
                                           {"a.b c-d", "a", "b c-d"}};
    struct table_name table;
    struct err err = {0};

    for (size_t i = 0; i < COUNT(wrong); i++)
        check(names_option_table(wrong[i], &table, &err) != 0 && err.hint[0] != '\0', "refused: %s",
              wrong[i]);
    for (size_t i = 0; i < COUNT(right); i++) {
        check(names_option_table(right[i][0], &table, &err) == 0 &&
                  strcmp(table.schema, right[i][1]) == 0 && strcmp(table.table, right[i][2]) == 0 &&
                  err.message[0] == '\0' && err.hint[0] == '\0',
              "taken: %s", right[i][0]);
        check(names_table(names_show_table(right[i][1], right[i][2]).text, &table, &err) == 0 &&
                  strcmp(table.schema, right[i][1]) == 0 && strcmp(table.table, right[i][2]) == 0,
              "shown: %s", right[i][0]);
    }
}

static void
test_patterns(void)
{
    for (size_t i = 0; i < COUNT(names); i++) {
        char list[600];

        snprintf(list, sizeof list, " ! %s.%s , x.y", names[i].written, names[i].written);
        check(takes(list, names[i].is, names[i].is) && !takes(list, names[i].is, "other"),
              "pattern %zu", i);
    }
    check(takes("*.*", "Any", "\001*\n") && takes("a*.*b", "a", "b") && takes("a*.*b", "axx", "bb"),
          "stars");
    check(takes("p.\"Odd,\"*\" x\"", "p", "Odd, x") && takes("p.\"Odd,\"*\" x\"", "p", "Odd,y x") &&
              !takes("p.\"Odd,\"*\" x\"", "p", "Odd,yx"),
          "quotes and stars in one part");
    check(takes("p.\"*\"", "p", "*") && !takes("p.\"*\"", "p", "t"), "a star in quotes is itself");
    check(takes("p.a*b*c", "p", "abbbcbc") && !takes("p.a*b*c", "p", "abbbcb"), "backtracking");
    check(!takes("p.\"\001\"", "p", "t"), "the bug was that the byte 1 in quotes was a star");
}

static void
test_no_patterns(void)
{
    static const char *const bad[] = {"p",     "p.",   ".t",   "!",      "!!p.t", "p.t.u",
                                      "p.t u", "P.*",  "p.T*", "p.\"a",  "p.-",   "p.t -> x",
                                      "p.t,",  ",p.t", "",     "p.\"\"", "p. ",   "p." NAME63 "*"};

    for (size_t i = 0; i < COUNT(bad); i++) {
        struct table_pattern p;
        const char *at = bad[i];
        struct err err = {0};
        int rc = 0;

        while (rc == 0 && at != NULL)
            rc = names_next_pattern(&at, &p, &err);
        check(rc == -1 && err.code == EXIT_REFUSED && err.hint[0] != '\0', "%s", bad[i]);
    }
}

static void
test_show_pattern(void)
{
    static const char *const written[] = {"public.*", "!a.b*c", "*.\"Odd,\"*\"*\"", "\"a\"\"b\".t"};

    for (size_t i = 0; i < COUNT(written); i++) {
        struct table_pattern p;
        const char *at = written[i];
        struct err err = {0};
        char shown[200];

        check(names_next_pattern(&at, &p, &err) == 0, "%s is read", written[i]);
        names_show_pattern(&p, shown, sizeof shown);
        at = shown;
        check(names_next_pattern(&at, &p, &err) == 0 && at == NULL, "and again: %s", shown);
        if (i < 2)
            check(strcmp(shown, written[i]) == 0, "the same: %s", shown);
    }
}

static void
test_messages(void)
{
    char name[NAME_MAX_BYTES + 1];
    const char *at = "public.Orders";
    struct table_pattern p;
    struct err err = {0};

    check(names_next_pattern(&at, &p, &err) == -1 &&
              strcmp(err.message, "\"Orders\" has an upper-case letter: write the name in double "
                                  "quotes, or in lower case") == 0,
          "upper case: %s", err.message);
    at = "a b";
    check(names_next(&at, name, &err) == -1 &&
              strcmp(err.message, "expected a comma or the end at \"b\"") == 0,
          "where it went wrong: %s", err.message);
    at = "a, ";
    check(names_next(&at, name, &err) == 0 && names_next(&at, name, &err) == -1 &&
              strcmp(err.message, "expected a name at the end") == 0,
          "the end: %s", err.message);
}

int
main(void)
{
    test_names();
    test_no_names();
    test_mappings();
    test_no_mappings();
    test_typed();
    test_table();
    test_option_table();
    test_patterns();
    test_no_patterns();
    test_show_pattern();
    test_messages();
    return check_done();
}
