/* override.c: see override.h. */
#include "walpipe/override.h"

#include <ctype.h>
#include <string.h>

struct override {
    const char *kind, *name; /* of the section, as in struct inifile_section */
    const char *key;
    const char *value;
    const char *place; /* "--set source.slot" */
};

/* The first byte of that kind outside of double quotes, or with last the last one. NULL if none. */
static const char *
find(const char *text, char wanted, bool last)
{
    const char *found = NULL;
    bool quoted = false;

    for (; *text != '\0' && (last || found == NULL); text++) {
        quoted = quoted != (*text == '"');
        if (*text == wanted && !quoted)
            found = text;
    }
    return found;
}

/* Anything else may be a value, which no message shows: "postgresql://u:password@host?sslmode". */
static bool
is_key(const char *text)
{
    bool quoted = false;

    for (; *text != '\0'; text++) {
        quoted = quoted != (*text == '"');
        if (!quoted && (*text & 0x80) == 0 && !isalnum((unsigned char)*text) &&
            strchr("_.-$\"", *text) == NULL)
            return false;
    }
    return true;
}

static int
refuse_form(size_t number, struct err *err)
{
    err_set(err, EXIT_REFUSED, "option --set number %zu: expected SECTION.KEY=VALUE", number);
    return err_hint(
        err, "write it as in source.slot=orders, pipeline.log_level=debug or sink.dst.shards=2");
}

/* "table" as a word of the section's name stands between blanks in the file. */
static const char *
section_name(struct pool *pool, const char *name)
{
    static const char table[] = ".table.";
    const char *at = strstr(name, table);

    return at == NULL
               ? name
               : pool_print(pool, "%.*s table %s", (int)(at - name), name, at + strlen(table));
}

static int
parse(const char *given, size_t number, struct override *o, struct pool *pool, struct err *err)
{
    const char *equals = find(given, '=', false);
    char *left = pool_copy_bytes(pool, given, equals == NULL ? 0 : (size_t)(equals - given));
    char *dot = (char *)find(left, '.', true), *first;

    o->place = pool_print(pool, "--set %s", left);
    if (dot == NULL || dot == left || dot[1] == '\0' || !is_key(left))
        return refuse_form(number, err);
    *dot = '\0';
    o->key = dot + 1;
    o->kind = left;
    o->name = "";
    first = strchr(left, '.');
    if (first != NULL) {
        *first = '\0';
        o->name = section_name(pool, first + 1);
    }
    o->value = equals + 1;
    if (strpbrk(o->value, "\r\n") != NULL || strlen(o->value) > INIFILE_LINE_MAX) {
        err_set(err, EXIT_REFUSED, "%s: value has a line break or more than %d bytes", o->place,
                INIFILE_LINE_MAX);
        return err_hint(err, "write it into the config file");
    }
    return 0;
}

/* All entries with the key go, and the new one comes to the end. */
static void
replace(struct inifile_section *section, struct inifile_entry *entry)
{
    struct inifile_entry **at = &section->entries;

    while (*at != NULL)
        if (strcmp((*at)->key, entry->key) == 0)
            *at = (*at)->next;
        else
            at = &(*at)->next;
    *at = entry;
}

/* Words may stand apart by any number of blanks. */
static bool
same_words(const char *a, const char *b)
{
    while (*a != '\0' && *a == *b) {
        bool blank = *a == ' ';

        a += blank ? strspn(a, " ") : 1;
        b += blank ? strspn(b, " ") : 1;
    }
    return *a == *b;
}

static int
apply(const struct override *o, const char *path, struct inifile_section *sections,
      struct pool *pool, struct err *err)
{
    struct inifile_section *s = sections;
    struct inifile_entry *entry;

    while (s != NULL && (strcmp(s->kind, o->kind) != 0 || !same_words(s->name, o->name)))
        s = s->next;
    if (s == NULL) {
        err_set(err, EXIT_REFUSED, "%s: there is no section [%s%s%s] in %s", o->place, o->kind,
                o->name[0] == '\0' ? "" : " ", o->name, path);
        return err_hint(err, "--set changes the keys of sections that the config file has");
    }
    entry = pool_take(pool, sizeof *entry);
    *entry = (struct inifile_entry){
        .key = o->key, .value = o->value, .line = s->line, .override = o->place};
    replace(s, entry);
    return 0;
}

int
override_sections(const struct overrides *overrides, const char *path,
                  struct inifile_section *sections, struct pool *pool, struct err *err)
{
    for (size_t i = 0; i < overrides->count; i++) {
        struct override o;

        if (parse(overrides->given[i], i + 1, &o, pool, err) != 0 ||
            apply(&o, path, sections, pool, err) != 0)
            return -1;
    }
    return 0;
}
