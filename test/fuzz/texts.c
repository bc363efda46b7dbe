/* texts: what people write: durations, numbers, LSNs, table patterns, publications, mappings. The
 * first byte says which. */
/* clang-format off: make reads one line
 * links: route/filter pg-wal-read/source sink-pg/mapping lib/pqx lib/pqconn lib/clock lib/opt lib/lsn lib/err; libs: -lpq */
/* clang-format on */
#include "input.h"
#include "lib/lsn.h"
#include "lib/opt.h"
#include "pg-wal-read/source.h"
#include "route/filter.h"
#include "sink-pg/mapping.h"

static void
try_lsn(const char *text)
{
    uint64_t lsn, again;

    if (!lsn_parse(text, &lsn))
        return;
    require(lsn_parse(lsn_format(lsn).text, &again) && again == lsn);
}

static void
try_filter(const char *text)
{
    static const char *const names[] = {"",    "public", "orders",
                                        "a*b", "a\"b",   "aaaaaaaaaaaaaaaaaaab"};
    struct filter filter = {0};
    struct err err = {0};

    if (filter_parse(&filter, text, &err) == 0) {
        require(filter.count > 0);
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
            for (size_t k = 0; k < sizeof names / sizeof *names; k++)
                (void)filter_takes(&filter, names[i], names[k]);
    }
    filter_free(&filter);
}

static void
try_publications(const char *text)
{
    static struct source_options options;
    struct err err = {0};

    options.publications_count = 0;
    if (source_parse_publications(text, &options, &err) != 0) {
        require(err.code == EXIT_REFUSED);
        return;
    }
    require(options.publications_count > 0 && options.publications_count <= PUBLICATIONS_MAX);
    for (uint32_t i = 0; i < options.publications_count; i++)
        require(options.publications[i][0] != '\0');
}

static void
try_mapping(const char *text)
{
    struct mapping map = {0};
    const char *schema, *name;
    struct err err = {0};

    if (mapping_parse(&map, text, &err) == 0) {
        require(map.count > 0);
        mapping_target(&map, map.entries[0].from_schema, map.entries[0].from_name, &schema, &name);
        require(schema[0] != '\0' && name[0] != '\0');
    }
    mapping_free(&map);
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
        try_publications(text);
        break;
    default:
        try_mapping(text);
    }
    free(text);
    return 0;
}
