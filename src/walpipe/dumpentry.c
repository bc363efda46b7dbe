/* dumpentry.c: see dumpentry.h. A name or a function's body in the source may contain any text,
 * also that of a head. So a head counts only where a command could begin. */
#include "walpipe/dumpentry.h"

#include <stdlib.h>
#include <string.h>

#include "walpipe/sqltoken.h"

static const char toc_word[] = "-- TOC entry ";
static const char name_word[] = "-- Name: ";

struct splitting {
    struct dumpentry *entries;
    size_t count;
    struct dumpentry *open; /* the entry whose commands are being read, NULL if none */
    char *cut;              /* where a setting for the entries behind it begins, NULL if none */
    bool fresh;             /* a command may begin here */
};

static bool
begins_with(const struct sqltoken *t, const char *word)
{
    return t->len >= strlen(word) && memcmp(t->start, word, strlen(word)) == 0;
}

static void
trim(char *start, char *end)
{
    while (end > start && strchr(" \t\r\n", end[-1]) != NULL)
        end--;
    *end = '\0';
}

static void
close_entry(struct splitting *s, char *at)
{
    if (s->open != NULL)
        trim((char *)(uintptr_t)s->open->sql, s->cut != NULL ? s->cut : at);
    s->open = NULL;
    s->cut = NULL;
}

/* "215 (class 1259 OID 16385)". */
static bool
read_numbers(const char *text, struct dumpentry *e)
{
    const char *class = strstr(text, "(class "), *oid;

    if (class == NULL || class > text + strcspn(text, "\n"))
        return false;
    e->classid = (uint32_t)strtoul(class + 7, NULL, 10);
    oid = strstr(class, " OID ");
    if (oid == NULL || oid > class + strcspn(class, "\n"))
        return false;
    e->oid = (uint32_t)strtoul(oid + 5, NULL, 10);
    return true;
}

/* line is a comment of a head. Its text ends at its line break, which becomes a NUL. */
static char *
read_head_line(struct splitting *s, char *line)
{
    struct dumpentry *e = &s->entries[s->count];
    char *end = line + strcspn(line, "\n");

    if (strncmp(line, toc_word, sizeof toc_word - 1) == 0 && !read_numbers(line, e))
        e->classid = 0;
    if (strncmp(line, name_word, sizeof name_word - 1) == 0)
        e->head = line + sizeof name_word - 1;
    if (*end == '\0')
        return end;
    *end = '\0';
    return end + 1;
}

/* at is behind the first "--" of a head. Returns the byte behind the last. */
static char *
read_head(struct splitting *s, char *at)
{
    at = read_head_line(s, at + 1);
    while (strncmp(at, "-- ", 3) == 0)
        at = read_head_line(s, at);
    if (strncmp(at, "--\n", 3) != 0 || s->entries[s->count].head == NULL)
        return at;
    s->open = &s->entries[s->count++];
    s->open->sql = at + 3 + strspn(at + 3, "\n");
    return at + 3;
}

/* pg_dump writes SET default_... for the entries that follow. It is not for those that are picked.
 */
static bool
is_setting(const struct sqltoken *t, const char *rest)
{
    return t->kind == SQLTOKEN_NAME && t->len == 3 && begins_with(t, "SET") &&
           strncmp(rest, " default_", 9) == 0;
}

static const char *
take_token(struct splitting *s, const struct sqltoken *t, const char *at)
{
    char *start = (char *)(uintptr_t)t->start;

    if (t->kind == SQLTOKEN_COMMENT && s->fresh) {
        close_entry(s, start);
        if (t->len == 2 && *at == '\n' && strncmp(at + 1, toc_word, sizeof toc_word - 1) == 0)
            return read_head(s, (char *)(uintptr_t)at);
    } else if (s->fresh && s->cut == NULL && is_setting(t, at)) {
        s->cut = start;
    }
    if (strchr(" \t\r\n", t->start[0]) == NULL)
        s->fresh = sqltoken_is(t, ';') || t->kind == SQLTOKEN_COMMENT;
    return at;
}

struct dumpentry *
dumpentry_split(char *text, size_t *count, struct pool *pool)
{
    struct splitting s = {.fresh = true};
    struct sqltoken t;
    const char *at = text;
    size_t most = 1;

    for (const char *p = text; (p = strstr(p, toc_word)) != NULL; p++)
        most++;
    s.entries = pool_take(pool, most * sizeof *s.entries);
    for (sqltoken_next(&at, &t); t.kind != SQLTOKEN_END; sqltoken_next(&at, &t))
        at = take_token(&s, &t, at);
    close_entry(&s, (char *)(uintptr_t)at);
    *count = s.count;
    return s.entries;
}
