/* filter.c: see filter.h. */
#include "route/filter.h"

#include <stdlib.h>
#include <string.h>

#include "lib/limits.h"

#define ANY '\001' /* a * outside of quotes; no identifier has this byte */

struct filter_pattern {
    bool exclude;
    char schema[NAME_MAX_BYTES + 1];
    char table[NAME_MAX_BYTES + 1];
};

static bool
bare(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '$' || (unsigned char)c >= 0x80;
}

/* One part of a pattern from *at into out; false when it is empty, too long or malformed. */
static bool
parse_part(const char **at, char out[NAME_MAX_BYTES + 1])
{
    const char *p = *at;
    bool quoted = false;
    size_t n = 0;

    for (;; p++) {
        char c = *p;

        if (quoted) {
            if (c == '\0')
                return false;
            if (c == '"' && p[1] != '"') {
                quoted = false;
                continue;
            }
            p += c == '"';
        } else if (c == '"') {
            quoted = true;
            continue;
        } else if (c == '*') {
            c = ANY;
        } else if (!bare(c)) {
            break;
        }
        if (n == NAME_MAX_BYTES)
            return false;
        out[n++] = c;
    }
    out[n] = '\0';
    *at = p;
    return n > 0;
}

static bool
parse_pattern(const char **at, struct filter_pattern *pattern)
{
    const char *p = *at;

    p += strspn(p, " \t");
    pattern->exclude = *p == '!';
    p += pattern->exclude;
    p += strspn(p, " \t");
    if (!parse_part(&p, pattern->schema) || *p++ != '.' || !parse_part(&p, pattern->table))
        return false;
    p += strspn(p, " \t");
    *at = p;
    return *p == '\0' || *p == ',';
}

int
filter_parse(struct filter *filter, const char *list, struct err *err)
{
    const char *p = list;

    for (;;) {
        struct filter_pattern *patterns =
            realloc(filter->patterns, (filter->count + 1) * sizeof *patterns);

        if (patterns == NULL)
            return err_set(err, EXIT_PEER, "out of memory for table patterns");
        filter->patterns = patterns;
        if (!parse_pattern(&p, &patterns[filter->count])) {
            err_set(err, EXIT_REFUSED, "malformed table pattern in \"%s\", before \"%.40s\"", list,
                    p);
            return err_hint(err, "expected schema.table, with * for any characters and ! to "
                                 "exclude: public.*, !public.audit");
        }
        filter->count++;
        if (*p++ == '\0')
            return 0;
    }
}

static bool
matches(const char *pattern, const char *name)
{
    const char *after_any = NULL, *retry = NULL;

    while (*name != '\0') {
        if (*pattern == ANY) {
            after_any = ++pattern;
            retry = name;
        } else if (*pattern == *name) {
            pattern++;
            name++;
        } else if (after_any != NULL) {
            pattern = after_any;
            name = ++retry;
        } else {
            return false;
        }
    }
    while (*pattern == ANY)
        pattern++;
    return *pattern == '\0';
}

bool
filter_takes(const struct filter *filter, const char *schema, const char *table)
{
    bool any_positive = false, taken = false;

    for (size_t i = 0; i < filter->count; i++) {
        const struct filter_pattern *p = &filter->patterns[i];
        bool match = matches(p->schema, schema) && matches(p->table, table);

        if (p->exclude && match)
            return false;
        any_positive = any_positive || !p->exclude;
        taken = taken || (match && !p->exclude);
    }
    return taken || !any_positive;
}

void
filter_free(struct filter *filter)
{
    free(filter->patterns);
    *filter = (struct filter){0};
}
