/* renames.c: see renames.h. pg_dump qualifies every name with its schema. */
#include "walpipe/renames.h"

#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "walpipe/sqltoken.h"

/* pg_dump may write a long name, whose quotes are doubled. */
#define WORD_MAX 300

static int
compare(const void *left, const void *right)
{
    const struct rename_entry *a = left, *b = right;
    int schemas = strcmp(a->schema, b->schema);

    return schemas != 0 ? schemas : strcmp(a->name, b->name);
}

void
renames_sort(struct renames *r)
{
    if (r->count > 0)
        qsort(r->entries, r->count, sizeof *r->entries, compare);
}

/* The token's text without quotes. Returns false if it is too long for a name. */
static bool
read_name(const struct sqltoken *t, char name[WORD_MAX])
{
    char quote = t->start[0];
    bool quoted = quote == '"' || quote == '\'';
    size_t len = 0;

    if (t->len >= WORD_MAX)
        return false;
    for (size_t i = quoted; i + quoted < t->len; i++) {
        name[len++] = t->start[i];
        if (quoted && t->start[i] == quote)
            i++;
    }
    name[len] = '\0';
    return true;
}

/* The entry for the name that the tokens first, a dot, and the one at *at are. Moves *at behind. */
static const struct rename_entry *
find(const struct renames *r, const struct sqltoken *first, const char **at)
{
    char schema[WORD_MAX], name[WORD_MAX];
    const struct rename_entry key = {.schema = schema, .name = name};
    const struct rename_entry *found;
    const char *behind = *at;
    struct sqltoken t;

    sqltoken_next(&behind, &t);
    if (!sqltoken_is(&t, '.'))
        return NULL;
    sqltoken_next(&behind, &t);
    if (t.kind != SQLTOKEN_NAME || !read_name(first, schema) || !read_name(&t, name))
        return NULL;
    found = bsearch(&key, r->entries, r->count, sizeof *r->entries, compare);
    if (found != NULL)
        *at = behind;
    return found;
}

/* A string in front of ::regclass. */
static bool
put_string(const struct renames *r, const struct sqltoken *t, const char *behind, struct buf *out)
{
    const struct rename_entry *entry;
    struct sqltoken first;
    char text[WORD_MAX];
    const char *at = text;

    if (strncmp(behind, "::regclass", 10) != 0 || !read_name(t, text))
        return false;
    sqltoken_next(&at, &first);
    entry = first.kind == SQLTOKEN_NAME ? find(r, &first, &at) : NULL;
    if (entry == NULL || *at != '\0')
        return false;
    buf_append(out, "'", 1);
    for (const char *c = entry->to; *c != '\0'; c++)
        buf_append(out, *c == '\'' ? "''" : c, *c == '\'' ? 2 : 1);
    buf_append(out, "'", 1);
    return true;
}

/* dotted: the token stands behind a dot, so no schema begins here. */
static void
put_token(const struct renames *r, const struct sqltoken *t, bool dotted, const char **at,
          struct buf *out)
{
    const struct rename_entry *entry = t->kind == SQLTOKEN_NAME && !dotted ? find(r, t, at) : NULL;

    if (entry != NULL)
        buf_append(out, entry->to, strlen(entry->to));
    else if (t->kind != SQLTOKEN_STRING || !put_string(r, t, *at, out))
        buf_append(out, t->start, t->len);
}

const char *
renames_in(const struct renames *r, const char *sql, struct pool *pool)
{
    struct buf out = {0};
    struct sqltoken t;
    const char *at = sql, *result;
    bool dotted = false;

    if (r->count == 0)
        return sql;
    for (sqltoken_next(&at, &t); t.kind != SQLTOKEN_END; sqltoken_next(&at, &t)) {
        put_token(r, &t, dotted, &at, &out);
        dotted = sqltoken_is(&t, '.');
    }
    result = out.failed ? NULL : pool_copy_bytes(pool, (const char *)out.data, buf_len(&out));
    buf_free(&out);
    return result;
}
