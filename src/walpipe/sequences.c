/* sequences.c: see sequences.h. */
#include "walpipe/sequences.h"

#include <stdio.h>
#include <string.h>

#include "lib/pqx.h"

/* %s is the sequence's name in the source. */
static const char read_sql[] =
    "SELECT s.last_value, s.is_called, q.seqincrement > 0 FROM %s s, pg_sequence q"
    "  WHERE q.seqrelid = $1::oid";

enum value_field { VALUE_LAST, VALUE_CALLED, VALUE_RISES };

/* The name as SQL needs it. */
static const char *
source_name(PGconn *source, uint32_t oid, struct pool *pool, struct err *err)
{
    static const char what[] = "look up a sequence";
    const char *params[] = {pool_print(pool, "%u", oid)};
    PGresult *r = pqx_exec_params(source, what,
                                  "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c"
                                  "  JOIN pg_namespace n ON n.oid = c.relnamespace"
                                  "  WHERE c.oid = $1::oid",
                                  1, params, err);
    const char *name;

    r = r == NULL ? NULL : pqx_shaped(r, what, 1, 1, "v", err);
    if (r == NULL)
        return NULL;
    name = pool_copy(pool, PQgetvalue(r, 0, 0));
    PQclear(r);
    return name;
}

/* A literal: the names of the target may have any character. */
static const char *
quote(struct pool *pool, const char *text)
{
    char *out = pool_take(pool, 2 * strlen(text) + 3), *at = out;

    *at++ = '\'';
    for (; *text != '\0'; text++) {
        if (*text == '\'')
            *at++ = '\'';
        *at++ = *text;
    }
    *at = '\'';
    return out;
}

static const char *
make_sql(const PGresult *r, const char *target, struct pool *pool)
{
    const char *last = PQgetvalue(r, 0, VALUE_LAST);
    bool called = PQgetvalue(r, 0, VALUE_CALLED)[0] == 't';
    const char *behind = PQgetvalue(r, 0, VALUE_RISES)[0] == 't' ? "<" : ">";

    return pool_print(
        pool, "SELECT pg_catalog.setval(%s, %s, %s) FROM %s WHERE last_value %s %s%s;",
        quote(pool, target), last, called ? "true" : "false", target, behind, last,
        called ? pool_print(pool, " OR last_value = %s AND NOT is_called", last) : "");
}

static int
read_one(struct sequences_statement *s, const struct schemaobject *object, PGconn *source,
         struct pool *pool, struct err *err)
{
    const char *name = source_name(source, object->oid, pool, err);
    const char *params[] = {pool_print(pool, "%u", object->oid)};
    const char *what;
    PGresult *r;

    if (name == NULL)
        return -1;
    what = pool_print(pool, "read sequence %s of the source", name);
    r = pqx_exec_params(source, what, pool_print(pool, read_sql, name), 1, params, err);
    r = r == NULL ? NULL : pqx_shaped(r, what, 1, 1, "vvv", err);
    if (r == NULL)
        return -1;
    *s = (struct sequences_statement){
        .label = object->label, .key = object->key, .sql = make_sql(r, object->target, pool)};
    PQclear(r);
    return 0;
}

int
sequences_read(struct sequences_statement **list, size_t *count,
               const struct schemaobjects *objects, PGconn *source, struct pool *pool,
               struct err *err)
{
    *count = 0;
    *list = pool_take(pool, (objects->count + 1) * sizeof **list);
    for (size_t i = 0; i < objects->count; i++) {
        const struct schemaobject *object = &objects->list[i];

        if (!object->sequence || object->left_out)
            continue;
        if (read_one(&(*list)[*count], object, source, pool, err) != 0)
            return -1;
        ++*count;
    }
    return 0;
}

int
sequences_set(PGconn *target, const struct sink_config *sink, const struct sequences_statement *s,
              struct err *err)
{
    char what[200];
    PGresult *r;

    snprintf(what, sizeof what, "set %s", s->label);
    r = pqx_exec(target, what, s->sql, err);
    r = r == NULL ? NULL : pqx_shaped(r, what, 0, 1, "v", err);
    if (r == NULL)
        return -1;
    if (PQntuples(r) == 0)
        printf("sink %s: %s: not behind the source\n", sink->name, s->label);
    else
        printf("sink %s: %s: set to %s\n", sink->name, s->label, PQgetvalue(r, 0, 0));
    PQclear(r);
    return 0;
}
