/* canon.c: see canon.h. */
#include "lib/canon.h"

#include <string.h>

static const char *const words[] = {
    [CANON_LABEL] = "label",     [CANON_NONE] = "none",     [CANON_TEXT] = "text",
    [CANON_BYTES] = "bytes",     [CANON_FIXED] = "fixed",   [CANON_INTEGER] = "integer",
    [CANON_DECIMAL] = "decimal", [CANON_FLOAT4] = "float4", [CANON_FLOAT8] = "float8",
    [CANON_UUID] = "uuid",       [CANON_DAYS] = "days",     [CANON_SECONDS] = "seconds",
    [CANON_TIME] = "time",       [CANON_IPV4] = "ipv4",     [CANON_IPV6] = "ipv6",
};

const char *
canon_word(enum canon canon)
{
    return words[canon];
}

enum canon
canon_find(const char *word)
{
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(words[i], word) == 0)
            return (enum canon)i;
    return CANON_NONE;
}

bool
canon_limit_is_plain(const char *limit)
{
    return strlen(limit) < CANON_LIMIT_SIZE && limit[strspn(limit, "0123456789-:. ")] == '\0';
}

bool
canon_counted(enum canon canon)
{
    return canon == CANON_TEXT || canon == CANON_LABEL || canon == CANON_BYTES;
}
