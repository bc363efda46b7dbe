/* texts.c: texts that people write, which are durations, numbers, LSNs, table patterns,
 * publications and mappings. The first byte chooses. */
/* clang-format off: make reads one line
 * links: lib/names lib/tablefilter lib/tablemap lib/opt lib/lsn lib/err */
/* clang-format on */
#include "input.h"
#include "lib/lsn.h"
#include "lib/opt.h"
#include "lib/tablefilter.h"
#include "lib/tablemap.h"

static void
try_lsn(const char *text)
{
    uint64_t lsn, again;

    if (!lsn_parse(text, &lsn))
        return;
    require(lsn_parse(lsn_format(lsn).text, &again) && again == lsn);
}

/* A name that was read is read again from its shown form. */
static void
require_shown(const char *name)
{
    char shown[2 * TARGET_NAME_MAX + 3], again[NAME_MAX_BYTES + 1];
    const char *at = shown;
    struct err err = {0};

    names_show(name, shown, sizeof shown);
    if (strlen(name) <= NAME_MAX_BYTES)
        require(names_next(&at, again, &err) == 0 && at == NULL && strcmp(again, name) == 0);
}

static void
try_filter(const char *text)
{
    static const char *const names[] = {"",    "public", "orders",
                                        "a*b", "a\"b",   "aaaaaaaaaaaaaaaaaaab"};
    struct tablefilter filter = {0}, again = {0};
    struct err err = {0};
    char shown[600];

    if (tablefilter_add(&filter, text, &err) == 0) {
        require(filter.count > 0);
        for (size_t i = 0; i < filter.count; i++) {
            names_show_pattern(&filter.patterns[i], shown, sizeof shown);
            require(tablefilter_add(&again, shown, &err) == 0);
        }
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
            for (size_t k = 0; k < sizeof names / sizeof *names; k++)
                require(tablefilter_takes(&filter, names[i], names[k]) ==
                        tablefilter_takes(&again, names[i], names[k]));
    } else {
        require(err.code == EXIT_REFUSED && err.message[0] != '\0');
    }
    tablefilter_free(&filter);
    tablefilter_free(&again);
}

static void
try_names(const char *text)
{
    char name[NAME_MAX_BYTES + 1];
    const char *at = text;
    struct err err = {0};

    while (at != NULL) {
        if (names_next(&at, name, &err) != 0) {
            require(err.code == EXIT_REFUSED && err.hint[0] != '\0');
            return;
        }
        require(name[0] != '\0');
        require_shown(name);
    }
}

static void
try_map(const char *text, enum tablemap_target target)
{
    struct tablemap map = {0};
    struct err err = {0};

    if (tablemap_add(&map, text, target, &err) == 0) {
        const struct table_mapping *m = &map.entries[map.count - 1];

        require(tablemap_find(&map, m->schema, m->table) == m);
        require(m->to_table[0] != '\0');
        require(target == TABLEMAP_ANY || m->to_schema[0] != '\0');
        require_shown(m->schema);
        require_shown(m->to_table);
    } else {
        require(err.code == EXIT_REFUSED && err.message[0] != '\0');
    }
    tablemap_free(&map);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = {0};
    uint64_t n = 7;
    char *text;

    if (size == 0)
        return 0;
    text = malloc(size);
    require(text != NULL);
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    switch (data[0] % 6) {
    case 0:
        (void)!opt_duration("x", text, &n, &err);
        break;
    case 1:
        if (opt_number("x", text, 5, UINT64_MAX - 1, &n, &err) == 0)
            require(n >= 5 && n < UINT64_MAX);
        break;
    case 2:
        try_lsn(text);
        break;
    case 3:
        try_filter(text);
        break;
    case 4:
        try_names(text);
        break;
    default:
        try_map(text, TABLEMAP_QUALIFIED);
        try_map(text, TABLEMAP_ANY);
    }
    free(text);
    return 0;
}
