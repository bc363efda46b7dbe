/* tables.c: see tables.h. */
#include "sink-pg/tables.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sink-pg/neighbours.h"

void
table_free(struct table *table)
{
    if (table == NULL)
        return;
    table_free(table->staging);
    plan_free(table->plan);
    relation_free(&table->relation);
    buf_free(&table->raw);
    free(table);
}

/* Changes of two source tables that meet in one target table must keep their order. A row that
 * moves between two partitions is a delete and an insert of the same key. */
static bool
meet(const struct table *a, const struct table *b)
{
    if (strcmp(a->schema, b->schema) == 0 && strcmp(a->name, b->name) == 0)
        return true;
    /* One is a part of the other. Two partitions have different rows. */
    return a->plan != NULL && b->plan != NULL && a->plan->tree == b->plan->tree &&
           (a->plan->kind == 'p' || b->plan->kind == 'p');
}

/* The range of a copy has a description of its own, of the same source table. */
static void
mark_shared(const struct tables *tables, struct table *table)
{
    size_t at = 0;
    struct table *other;

    while ((other = relmap_next(&tables->map, &at)) != NULL)
        if (other->relation.relid != table->relation.relid && meet(other, table))
            other->shared = table->shared = true;
    for (other = tables->retired; other != NULL; other = other->retired_next)
        if (other != table && meet(other, table))
            other->shared = true;
}

struct table *
table_new(const struct tables *tables, const struct frame *frame, struct err *err)
{
    struct table *table = calloc(1, sizeof *table);
    struct cursor body = frame->body;
    const char *schema, *name;
    uint32_t elements;
    uint8_t type;

    if (table == NULL) {
        err_set(err, EXIT_PEER, "out of memory for a table");
        return NULL;
    }
    buf_append(&table->raw, frame->raw.data, frame->raw.len);
    buf_fit(&table->raw);
    if (table->raw.failed) {
        err_set(err, EXIT_PEER, "out of memory for a table");
        goto failed;
    }
    if (!frame_type(&body, &type, &elements)) {
        err_set(err, EXIT_REFUSED, "malformed relation event");
        goto failed;
    }
    if (relation_decode(&body, elements, &table->relation, err) != 0)
        goto failed;
    mapping_target(tables->mapping, table->relation.schema, table->relation.name, &schema, &name);
    if (strlen(schema) > NAME_MAX_BYTES || strlen(name) > NAME_MAX_BYTES) {
        err_set(err, EXIT_REFUSED, "the name of table %.80s.%.80s is longer than %d bytes", schema,
                name, NAME_MAX_BYTES);
        goto failed;
    }
    snprintf(table->schema, sizeof table->schema, "%s", schema);
    snprintf(table->name, sizeof table->name, "%s", name);
    snprintf(table->label, sizeof table->label, "%s.%s", schema, name);
    table->first = table->last = OP_NONE;
    return table;
failed:
    table_free(table);
    return NULL;
}

bool
table_is(const struct table *table, const struct frame *frame)
{
    return buf_len(&table->raw) == frame->raw.len &&
           memcmp(table->raw.data, frame->raw.data, frame->raw.len) == 0;
}

/* The server repeats RELATION without a change (trap 41). */
static struct table *
find_same(const struct tables *tables, const struct frame *frame)
{
    struct cursor body = frame->body;
    uint32_t elements, relid;
    struct table *table;
    uint8_t type;

    if (!frame_type(&body, &type, &elements) || !mp_uint32(&body, &relid))
        return NULL;
    table = relmap_get(&tables->map, relid);
    return table != NULL && table_is(table, frame) ? table : NULL;
}

int
tables_relation(struct tables *tables, const struct frame *frame, bool *changed, struct err *err)
{
    struct table *table;
    void *replaced;

    *changed = false;
    if (find_same(tables, frame) != NULL)
        return 0;
    table = table_new(tables, frame, err);
    if (table == NULL)
        return -1;
    if (relmap_put(&tables->map, table->relation.relid, table, &replaced) != 0) {
        table_free(table);
        return err_set(err, EXIT_PEER, "out of memory for a table");
    }
    if (replaced != NULL) {
        struct table *old = replaced;

        old->retired_next = tables->retired;
        tables->retired = old;
        *changed = true;
    }
    mark_shared(tables, table);
    return 0;
}

struct table *
tables_get(const struct tables *tables, uint32_t relid)
{
    return relmap_get(&tables->map, relid);
}

/* Not before a row needs the table. Under publish_via_partition_root the source describes the
 * partitions too, whose rows come as the root's. */
static int
refuse_loop(const struct tables *tables, const struct table *table, struct session *s,
            struct err *err)
{
    const char *const target[2] = {table->schema, table->name};

    if (!tables->target_is_source)
        return 0;
    if (neighbours_refuse_loop(tables->mapping, &table->relation, err) != 0)
        return -1;
    return neighbours_refuse_way_back(s, tables->mapping, &table->relation, target, err);
}

int
tables_plan(const struct tables *tables, struct table *table, struct session *s, struct err *err)
{
    struct signature signature = {0};

    if (table->plan != NULL && table->plan->generation == s->generation)
        return 0;
    plan_free(table->plan);
    table->plan = NULL;
    if (signature_read(s, table->schema, table->name, &signature, err) == 0 &&
        refuse_loop(tables, table, s, err) == 0)
        table->plan = plan_make(s, &table->relation, table->schema, table->name, NULL, err);
    if (table->plan != NULL) {
        table->plan->signature = signature;
        /* The relation behind a view may be the target of others. */
        table->shared = table->shared || table->plan->kind == 'v';
        mark_shared(tables, table);
        return 0;
    }
    signature_free(&signature);
    snprintf(err->relation, sizeof err->relation, "%s", table->label);
    err->culprit = table->relation.relid;
    return -1;
}

bool
tables_drop_retired(struct tables *tables)
{
    bool any = tables->retired != NULL;

    while (tables->retired != NULL) {
        struct table *table = tables->retired;

        tables->retired = table->retired_next;
        table_free(table);
    }
    return any;
}

void
tables_free(struct tables *tables)
{
    size_t at = 0;
    struct table *table;

    tables_drop_retired(tables);
    while ((table = relmap_next(&tables->map, &at)) != NULL)
        table_free(table);
    relmap_free(&tables->map);
}
