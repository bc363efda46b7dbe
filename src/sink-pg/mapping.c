/* mapping.c: see mapping.h. */
#include "sink-pg/mapping.h"

#include <stdlib.h>
#include <string.h>

static void
skip_blank(const char **at)
{
    *at += strspn(*at, " \t\r\n");
}

static bool
append(char *out, size_t *len, char c)
{
    if (*len == NAME_MAX_BYTES)
        return false;
    out[(*len)++] = c;
    out[*len] = '\0';
    return true;
}

static bool
take_quoted(const char **at, char *out, size_t *len)
{
    for ((*at)++; **at != '\0'; (*at)++) {
        if (**at == '"' && (*at)[1] != '"') {
            (*at)++;
            return *len > 0;
        }
        if (**at == '"')
            (*at)++;
        if (!append(out, len, **at))
            return false;
    }
    return false;
}

/* Letters, digits, underscore, dollar, and every byte of a UTF-8 sequence. */
static bool
is_name_char(char c)
{
    unsigned char u = (unsigned char)c;

    return (u >= 'a' && u <= 'z') || (u >= 'A' && u <= 'Z') || (u >= '0' && u <= '9') || u == '_' ||
           u == '$' || u >= 0x80;
}

static bool
take_name(const char **at, char *out)
{
    size_t len = 0;

    skip_blank(at);
    if (**at == '"')
        return take_quoted(at, out, &len);
    for (; is_name_char(**at); (*at)++)
        if (!append(out, &len, **at >= 'A' && **at <= 'Z' ? (char)(**at + 'a' - 'A') : **at))
            return false;
    return len > 0;
}

static bool
take_word(const char **at, const char *word)
{
    size_t n = strlen(word);

    skip_blank(at);
    if (strncmp(*at, word, n) != 0)
        return false;
    *at += n;
    return true;
}

static bool
take_entry(const char **at, struct mapping_entry *e)
{
    return take_name(at, e->from_schema) && take_word(at, ".") && take_name(at, e->from_name) &&
           take_word(at, "->") && take_name(at, e->to_schema) && take_word(at, ".") &&
           take_name(at, e->to_name);
}

int
mapping_parse(struct mapping *map, const char *text, struct err *err)
{
    const char *at = text;

    do {
        struct mapping_entry *grown =
            realloc(map->entries, (map->count + 1) * sizeof *map->entries);
        struct mapping_entry entry = {0};

        if (grown == NULL)
            return err_set(err, EXIT_PEER, "out of memory for --map");
        map->entries = grown;
        if (!take_entry(&at, &entry)) {
            err_set(err, EXIT_REFUSED, "--map: cannot read \"%s\" at \"%s\"", text, at);
            return err_hint(err, "expected schema.table -> schema.table, separated by commas; odd "
                                 "names in double quotes");
        }
        map->entries[map->count++] = entry;
    } while (take_word(&at, ","));
    skip_blank(&at);
    if (*at != '\0')
        return err_set(err, EXIT_REFUSED, "--map: unexpected \"%s\" in \"%s\"", at, text);
    return 0;
}

void
mapping_target(const struct mapping *map, const char *schema, const char *name,
               const char **to_schema, const char **to_name)
{
    *to_schema = schema;
    *to_name = name;
    for (size_t i = 0; i < map->count; i++) {
        const struct mapping_entry *e = &map->entries[i];

        if (strcmp(e->from_schema, schema) == 0 && strcmp(e->from_name, name) == 0) {
            *to_schema = e->to_schema;
            *to_name = e->to_name;
        }
    }
}

void
mapping_free(struct mapping *map)
{
    free(map->entries);
    *map = (struct mapping){0};
}
