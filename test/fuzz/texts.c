/* texts: what people write: durations, numbers, LSNs, table patterns. The first byte says which.
 * links: route/filter lib/opt lib/lsn lib/err */
#include "input.h"
#include "lib/lsn.h"
#include "lib/opt.h"
#include "route/filter.h"

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
    switch (data[0] % 4) {
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
    default:
        try_filter(text);
    }
    free(text);
    return 0;
}
