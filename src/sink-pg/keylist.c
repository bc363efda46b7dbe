/* keylist.c: see keylist.h. */
#include "sink-pg/keylist.h"

#include <inttypes.h>
#include <stdio.h>

#include "sink-pg/sqltext.h"

/* As an element of an array literal. */
static void
add_element(struct buf *array, const void *text, size_t len)
{
    const char *at = text;

    buf_append(array, buf_len(array) == 0 ? "{\"" : ",\"", 2);
    for (size_t i = 0; i < len; i++) {
        if (at[i] == '"' || at[i] == '\\')
            buf_append(array, "\\", 1);
        buf_append(array, &at[i], 1);
    }
    buf_append(array, "\"", 1);
}

int
keylist_start(struct keylist *k, const struct relation *relation, struct err *err)
{
    char type[16];

    k->columns = k->count = 0;
    buf_reset(&k->names, 1u << 16);
    for (uint32_t i = 0; i < relation->columns_count; i++) {
        const char *name = relation->columns[i].name;

        if (!relation->columns[i].key)
            continue;
        k->columns++;
        add_element(&k->names, name, strlen(name));
    }
    for (uint32_t i = 0; i < relation->columns_count; i++) {
        if (!relation->columns[i].key)
            continue;
        snprintf(type, sizeof type, "%" PRIu32, relation->columns[i].type_oid);
        add_element(&k->names, type, strlen(type));
    }
    buf_append(&k->names, "}", 1);
    if (k->columns > KEYLIST_COLUMNS_MAX)
        return err_set(err, EXIT_REFUSED, "the key of %s.%s has more than %u columns",
                       relation->schema, relation->name, KEYLIST_COLUMNS_MAX);
    for (uint32_t i = 0; i < k->columns; i++)
        buf_reset(&k->arrays[i], 1u << 20);
    return 0;
}

int
keylist_add(struct keylist *k, const struct relation *relation, const struct value *row,
            struct err *err)
{
    uint32_t column = 0;

    for (uint32_t i = 0; i < relation->columns_count; i++) {
        if (!relation->columns[i].key)
            continue;
        if (row[i].kind != VALUE_TEXT) {
            err_set(err, EXIT_REFUSED, "a key of %s.%s that is missing is not text",
                    relation->schema, relation->name);
            return err_hint(err, "set binary = off in [source] while tables are copied");
        }
        add_element(&k->arrays[column++], row[i].data, row[i].len);
    }
    k->count++;
    return 0;
}

int
keylist_finish(struct keylist *k, const char *out[KEYLIST_COLUMNS_MAX])
{
    for (uint32_t i = 0; i < k->columns; i++) {
        buf_append(&k->arrays[i], buf_len(&k->arrays[i]) == 0 ? "{}" : "}",
                   buf_len(&k->arrays[i]) == 0 ? 2 : 1);
        out[i] = sqltext_get(&k->arrays[i]);
        if (out[i] == NULL)
            return -1;
    }
    return 0;
}

void
keylist_from(const struct keylist *k, struct buf *sql, int first)
{
    sqltext_add(sql, "ROWS FROM (");
    for (uint32_t i = 0; i < k->columns; i++)
        sqltext_add(sql, "%spg_catalog.unnest($%u::pg_catalog.text[])", i == 0 ? "" : ", ",
                    (uint32_t)first + i);
    sqltext_add(sql, ") AS k(");
    for (uint32_t i = 0; i < k->columns; i++)
        sqltext_add(sql, "%sc%u", i == 0 ? "" : ", ", i);
    sqltext_add(sql, ")");
}

void
keylist_row(const struct keylist *k, struct buf *sql)
{
    sqltext_add(sql, "ARRAY[");
    for (uint32_t i = 0; i < k->columns; i++)
        sqltext_add(sql, "%sk.c%u", i == 0 ? "" : ", ", i);
    sqltext_add(sql, "]");
}

void
keylist_free(struct keylist *k)
{
    for (uint32_t i = 0; i < KEYLIST_COLUMNS_MAX; i++)
        buf_free(&k->arrays[i]);
    buf_free(&k->names);
    *k = (struct keylist){0};
}
