/* mapping.c: see mapping.h. */
#include "sink-ch/mapping.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int
bad_mapping(const char *text, struct err *err)
{
    err_set(err, EXIT_REFUSED, "--map: malformed \"%s\"", text);
    return err_hint(err, "expected schema.table -> database.table or schema.table -> table, "
                         "separated by commas");
}

static struct bytes
trimmed(const char *text, size_t len)
{
    while (len > 0 && *text == ' ')
        text++, len--;
    while (len > 0 && text[len - 1] == ' ')
        len--;
    return (struct bytes){.data = (const uint8_t *)text, .len = len};
}

static bool
copy_name(char *out, size_t size, struct bytes name)
{
    if (name.len == 0 || name.len >= size)
        return false;
    memcpy(out, name.data, name.len);
    out[name.len] = '\0';
    return true;
}

static bool
parse_mapping(struct bytes line, struct mapping *mapping)
{
    const char *text = (const char *)line.data;
    const char *arrow = memmem(text, line.len, "->", 2);
    struct bytes source, target;
    const uint8_t *dot;

    if (arrow == NULL)
        return false;
    source = trimmed(text, (size_t)(arrow - text));
    target = trimmed(arrow + 2, line.len - (size_t)(arrow + 2 - text));
    if (source.len == 0 || memchr(source.data, '.', source.len) == NULL ||
        !copy_name(mapping->source, sizeof mapping->source, source))
        return false;
    dot = target.len == 0 ? NULL : memchr(target.data, '.', target.len);
    mapping->target.database[0] = '\0';
    if (dot != NULL) {
        struct bytes database = {.data = target.data, .len = (size_t)(dot - target.data)};

        if (!copy_name(mapping->target.database, sizeof mapping->target.database, database))
            return false;
        target.len -= database.len + 1;
        target.data = dot + 1;
    }
    return copy_name(mapping->target.table, sizeof mapping->target.table, target);
}

static int
add_mapping(struct mappings *mappings, struct bytes line, const char *text, struct err *err)
{
    struct mapping *more = realloc(mappings->items, (mappings->count + 1) * sizeof *more);

    if (more == NULL)
        return err_set(err, EXIT_PEER, "out of memory for a mapping");
    mappings->items = more;
    if (!parse_mapping(line, &more[mappings->count]))
        return bad_mapping(text, err);
    for (size_t i = 0; i < mappings->count; i++)
        if (strcmp(more[i].source, more[mappings->count].source) == 0)
            return err_set(err, EXIT_REFUSED, "--map: table \"%s\" stands there twice",
                           more[i].source);
    mappings->count++;
    return 0;
}

int
mapping_add(struct mappings *mappings, const char *text, struct err *err)
{
    const char *at = text;

    for (;;) {
        size_t len = strcspn(at, ",\n");
        struct bytes line = trimmed(at, len);

        if (add_mapping(mappings, line, text, err) != 0)
            return -1;
        if (at[len] == '\0')
            return 0;
        at += len + 1;
    }
}

int
mapping_target(const struct mappings *mappings, const char *database, const char *schema,
               const char *table, struct target_name *target)
{
    char source[132];
    int n;

    if ((size_t)snprintf(source, sizeof source, "%s.%s", schema, table) >= sizeof source)
        return -1;
    for (size_t i = 0; i < mappings->count; i++)
        if (strcmp(mappings->items[i].source, source) == 0) {
            *target = mappings->items[i].target;
            if (target->database[0] == '\0')
                snprintf(target->database, sizeof target->database, "%s", database);
            return 0;
        }
    n = snprintf(target->database, sizeof target->database, "%s", database);
    if (n < 0 || (size_t)n >= sizeof target->database)
        return -1;
    if (strcmp(schema, "public") == 0)
        n = snprintf(target->table, sizeof target->table, "%s", table);
    else
        n = snprintf(target->table, sizeof target->table, "%s_%s", schema, table);
    return n < 0 || (size_t)n >= sizeof target->table ? -1 : 0;
}

void
mapping_free(struct mappings *mappings)
{
    free(mappings->items);
}
