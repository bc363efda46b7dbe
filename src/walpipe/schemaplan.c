/* schemaplan.c: see schemaplan.h. */
#include "walpipe/schemaplan.h"

#include <stdlib.h>
#include <string.h>

enum fate {
    FATE_MADE,  /* the plan makes it */
    FATE_THERE, /* the target has it, and it keeps the defaults and keys that it has */
    FATE_SAME   /* another source table has the same target, which becomes like that one */
};

struct planned_table {
    uint32_t relid;
    uint32_t parent; /* 0 if it is no partition */
    const char *key;
    enum fate fate;
};

struct planning {
    struct schemaplan *plan;
    const struct schemaobjects *objects;
    const struct schemaplan_target *target;
    struct pool *pool;
    struct planned_table *tables; /* those of the dump */
    size_t tables_count;
};

static int
compare_key(const void *key, const void *element)
{
    return strcmp(key, *(const char *const *)element);
}

bool
schemaplan_has(const struct schemaplan_target *t, const char *key)
{
    return t->keys_count > 0 &&
           bsearch(key, t->keys, t->keys_count, sizeof *t->keys, compare_key) != NULL;
}

static enum fate
fate_of(const struct planning *p, uint32_t relid)
{
    for (size_t i = p->tables_count; i > 0; i--)
        if (p->tables[i - 1].relid == relid)
            return p->tables[i - 1].fate;
    return FATE_SAME;
}

static enum fate
decide(const struct planning *p, const char *key)
{
    for (size_t i = 0; i < p->tables_count; i++)
        if (strcmp(p->tables[i].key, key) == 0)
            return FATE_SAME;
    return schemaplan_has(p->target, key) ? FATE_THERE : FATE_MADE;
}

static const struct schemaobject *
object_of(const struct planning *p, const struct dumpentry *entry)
{
    return entry->classid != 0 ? schemaobjects_find(p->objects, entry->classid, entry->oid)
                               : schemaobjects_find_head(p->objects, entry->head);
}

/* A new partition gets the indexes of its parent by itself, if the target has the parent already.
 */
static bool
comes_by_itself(const struct planning *p, const struct schemaobject *object)
{
    for (size_t i = p->tables_count; object->inherited && i > 0; i--)
        if (p->tables[i - 1].relid == object->relid)
            return p->tables[i - 1].fate == FATE_MADE && p->tables[i - 1].parent != 0 &&
                   fate_of(p, p->tables[i - 1].parent) == FATE_THERE;
    return false;
}

/* Before the statements, since a sequence may stand in front of the table that owns it. */
static void
decide_tables(struct planning *p, const struct dumpentry *entries, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct schemaobject *object = object_of(p, &entries[i]);
        struct planned_table *t = &p->tables[p->tables_count];

        if (object == NULL || object->kind != SCHEMAOBJECT_TABLE || entries[i].classid == 0)
            continue;
        *t = (struct planned_table){.relid = object->oid,
                                    .parent = object->parent,
                                    .key = object->key,
                                    .fate = decide(p, object->key)};
        p->tables_count++;
        if (t->fate == FATE_THERE)
            p->plan->existing[p->plan->existing_count++] = object->label;
    }
}

static void
add(struct planning *p, const struct schemaobject *object, const char *label,
    const struct dumpentry *entry, enum schemaplan_stage stage)
{
    const char *sql = renames_in(&p->objects->renames, entry->sql, p->pool);

    if (object->kind == SCHEMAOBJECT_TABLE && object->drops[0] != '\0' && label == object->label)
        sql = pool_print(p->pool, "%s\n\nALTER TABLE %s%s;", sql, object->target, object->drops);
    p->plan->list[p->plan->count++] =
        (struct schemaplan_statement){.stage = stage, .label = label, .sql = sql};
}

static enum schemaplan_stage
second_stage(const struct schemaobject *object, bool attach)
{
    if (attach)
        return SCHEMAPLAN_ATTACH;
    if (object->kind == SCHEMAOBJECT_REFERENCE)
        return SCHEMAPLAN_REFERENCES;
    if (object->kind == SCHEMAOBJECT_TRIGGER)
        return SCHEMAPLAN_TRIGGERS;
    return SCHEMAPLAN_INDEXES;
}

static bool
is_copied(const struct planning *p, const struct schemaobject *object)
{
    const struct schemaplan_target *t = p->target;

    return t->is_copied(t->context, object->published) &&
           (object->kind != SCHEMAOBJECT_REFERENCE ||
            t->is_copied(t->context, object->published_too));
}

static void
add_second(struct planning *p, const struct schemaobject *object, const struct dumpentry *entry)
{
    bool attach = entry->classid == 0;
    const char *key = attach ? pool_print(p->pool, "attached %s", object->key) : object->key;
    const char *label =
        attach ? pool_print(p->pool, "%s to its parent", object->label) : object->label;

    if (fate_of(p, object->relid) == FATE_SAME || schemaplan_has(p->target, key))
        return;
    if (is_copied(p, object))
        add(p, object, label, entry, second_stage(object, attach));
    else
        p->plan->waiting++;
}

static void
add_first(struct planning *p, const struct schemaobject *object, const struct dumpentry *entry)
{
    bool attach = entry->classid == 0;

    if (object->relid != 0 ? fate_of(p, object->relid) != FATE_MADE
                           : schemaplan_has(p->target, object->key))
        return;
    add(p, object,
        !attach            ? object->label
        : object->sequence ? pool_print(p->pool, "owner of %s", object->label)
                           : pool_print(p->pool, "%s to its parent", object->label),
        entry, SCHEMAPLAN_FIRST);
}

/* The target's schemas are made apart. */
static bool
is_schema_of_table(const struct planning *p, const struct schemaobject *object)
{
    for (size_t i = 0; i < p->objects->schemas_count; i++)
        if (strcmp(p->objects->schemas[i].key, object->key) == 0)
            return true;
    return false;
}

static void
take_entry(struct planning *p, const struct dumpentry *entry)
{
    const struct schemaobject *object = object_of(p, entry);

    if (object == NULL || object->left_out || is_schema_of_table(p, object) ||
        comes_by_itself(p, object))
        return;
    if (object->kind == SCHEMAOBJECT_TABLE || object->kind == SCHEMAOBJECT_BASE ||
        object->kind == SCHEMAOBJECT_KEY)
        add_first(p, object, entry);
    else
        add_second(p, object, entry);
}

/* pg_dump writes only schemas of the source, and never public. */
static void
add_schemas(struct planning *p)
{
    for (size_t i = 0; i < p->objects->schemas_count; i++) {
        const struct schemaobjects_schema *s = &p->objects->schemas[i];

        if (!schemaplan_has(p->target, s->key))
            p->plan->list[p->plan->count++] = (struct schemaplan_statement){
                .stage = SCHEMAPLAN_FIRST,
                .label = pool_print(p->pool, "schema %s", s->name),
                .sql = pool_print(p->pool, "CREATE SCHEMA IF NOT EXISTS %s;", s->name)};
    }
}

/* The sort is stable, since a stage's statements stay in the order of the dump. */
static void
order(struct schemaplan *plan, struct pool *pool)
{
    struct schemaplan_statement *sorted = pool_take(pool, (plan->count + 1) * sizeof *sorted);
    size_t count = 0;

    for (int stage = 0; stage < SCHEMAPLAN_STAGES; stage++)
        for (size_t i = 0; i < plan->count; i++)
            if ((int)plan->list[i].stage == stage)
                sorted[count++] = plan->list[i];
    plan->list = sorted;
}

static size_t
count_tables(const struct schemaobjects *objects)
{
    size_t count = 0;

    for (size_t i = 0; i < objects->count; i++)
        count += objects->list[i].kind == SCHEMAOBJECT_TABLE;
    return count;
}

int
schemaplan_make(struct schemaplan *plan, const struct schemaobjects *objects,
                const struct dumpentry *entries, size_t entries_count,
                const struct schemaplan_target *target, struct pool *pool, struct err *err)
{
    size_t most = entries_count + objects->schemas_count + 1;
    struct planning p = {.plan = plan,
                         .objects = objects,
                         .target = target,
                         .pool = pool,
                         .tables = pool_take(pool, most * sizeof(struct planned_table))};

    *plan = (struct schemaplan){.list = pool_take(pool, most * sizeof *plan->list),
                                .existing = pool_take(pool, most * sizeof(char *))};
    decide_tables(&p, entries, entries_count);
    add_schemas(&p);
    for (size_t i = 0; i < entries_count; i++)
        take_entry(&p, &entries[i]);
    if (p.tables_count != count_tables(objects)) {
        err_set(err, EXIT_PEER, "pg_dump wrote %zu of %zu tables", p.tables_count,
                count_tables(objects));
        return err_hint(
            err, "try again: the source's tables may have been changed while pg_dump read them");
    }
    order(plan, pool);
    return 0;
}
