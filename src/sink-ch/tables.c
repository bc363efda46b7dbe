/* tables.c: see tables.h. */
#include "sink-ch/tables.h"

#include <stdlib.h>

#include "sink-ch/ddl.h"
#include "sink-ch/history.h"
#include "sink-ch/repeated.h"
#include "sink-ch/schema.h"

bool
tables_same_relation(const struct relation *a, const struct relation *b)
{
    if (a->replica_identity != b->replica_identity || a->columns_count != b->columns_count ||
        strcmp(a->schema, b->schema) != 0 || strcmp(a->name, b->name) != 0)
        return false;
    for (uint32_t i = 0; i < a->columns_count; i++) {
        const struct relation_column *x = &a->columns[i], *y = &b->columns[i];

        if (strcmp(x->name, y->name) != 0 || x->key != y->key || x->type_oid != y->type_oid ||
            x->typmod != y->typmod || strcmp(x->type_schema, y->type_schema) != 0 ||
            strcmp(x->type_name, y->type_name) != 0)
            return false;
    }
    return true;
}

static int
reserve_number(struct worker *w, struct err *err)
{
    struct table **more;

    if ((w->tables_count & (w->tables_count - 1)) != 0)
        return 0; /* there is room up to the next power of two */
    more = realloc(w->by_number, (w->tables_count == 0 ? 1 : 2 * (size_t)w->tables_count) *
                                     sizeof(struct table *));
    if (more == NULL)
        return err_set(err, EXIT_PEER, "out of memory for a table");
    w->by_number = more;
    return 0;
}

/* A table under the number of `old`, or under a new one. Takes over the relation. */
static struct table *
make_table(struct worker *w, struct relation *relation, const struct table *old, struct err *err)
{
    uint32_t number = old == NULL ? w->tables_count : old->number;
    struct table *table = NULL;

    if (old != NULL || reserve_number(w, err) == 0)
        table = table_new(relation, number, w->options, err);
    else
        relation_free(relation);
    if (table == NULL)
        return NULL;
    table->written.number = number;
    table->written.description = old == NULL ? 0 : old->written.description + 1;
    table->system_identifier = w->intake.hello.system_identifier;
    table->timeline = w->intake.hello.timeline;
    return table;
}

/* Puts it where `old` was. */
static int
enter(struct worker *w, struct relmap *map, struct table *table, struct table *old, struct err *err)
{
    void *replaced;

    if (relmap_put(map, table->relation.relid, table, &replaced) != 0) {
        table_free(table);
        return err_set(err, EXIT_PEER, "out of memory for a table");
    }
    if (old != NULL) {
        table->seen = old->seen;
        old->seen = (struct seen){0};
    }
    w->by_number[table->number] = table;
    w->tables_count += old == NULL;
    table_free(old);
    return 0;
}

int
tables_put(struct worker *w, struct relation *relation, struct table *old, struct err *err)
{
    struct table *table = make_table(w, relation, old, err);

    if (table == NULL)
        return -1;
    if (ddl_look_at_name(w, table, old, err) != 0) {
        table_free(table);
        return -1;
    }
    return enter(w, &w->tables, table, old, err);
}

/* ---- the target table ---- */

struct hearer {
    const struct worker *worker;
    const struct table *table;
    struct err unfit; /* the first thing that was wrong */
};

static void
hear(void *context, enum finding finding, const char *text, const char *hint)
{
    struct hearer *h = context;
    const struct log_field fields[] = {{.name = "relation", .text = h->table->source_name}};

    if (finding == FINDING_CHOICE)
        log_write_fields(h->worker->log, LOG_WARNING, fields, 1, "table \"%s\": %s; %s",
                         h->table->source_name, text, hint);
    if (finding == FINDING_FAIL && h->unfit.message[0] == '\0') {
        err_set(&h->unfit, EXIT_REFUSED, "%s", text);
        err_hint(&h->unfit, "%s", hint);
    }
}

static int
load_table(struct worker *w, struct table *table, struct err *err)
{
    struct hearer hearer = {.worker = w, .table = table};
    struct report report = {.say = hear, .context = &hearer};

    if (table_check_target(table, w->by_number, w->tables_count, true, err) != 0)
        return table_error(table, w->transaction.commit_lsn, err);
    switch (schema_load(&w->server, w->options, table, w->options->create_tables, &report, err)) {
    case SCHEMA_READY:
        if (history_admit(w, table, err) == 0 && repeated_begin(w, table, err) == 0 &&
            ddl_look_at_columns(w, table, err) == 0)
            return 0;
        break;
    case SCHEMA_MISSING:
    case SCHEMA_NARROW:
        err_set(err, EXIT_REFUSED, "table %s for rows of \"%s\" does not exist in ClickHouse",
                table->target_sql, table->source_name);
        err_hint(err, "create it, set map to send the table to another, leave it out of the "
                      "sink's tables, or set create_tables");
        break;
    case SCHEMA_UNFIT:
        *err = hearer.unfit;
        break;
    case SCHEMA_ERROR:
        break;
    }
    return table_error(table, w->transaction.commit_lsn, err);
}

int
tables_make_ready(struct worker *w, struct table *table, struct err *err)
{
    return table->loaded ? 0 : load_table(w, table, err);
}

/* ---- ranges ---- */

static int
read_relation(const struct buf *frame, struct relation *relation, struct err *err)
{
    struct cursor body =
        cursor_over(frame->data + frame->start + FRAME_HEADER, buf_len(frame) - FRAME_HEADER);
    uint32_t elements;
    uint8_t type;

    return frame_type(&body, &type, &elements)
               ? relation_decode(&body, elements, relation, err)
               : err_set(err, EXIT_BUG, "a relation event does not parse");
}

static int
copy_relation(const struct relation *relation, struct relation *copy, struct err *err)
{
    struct buf frame = {0};
    int rc;

    if (relation_encode(&frame, relation) != 0)
        return err_set(err, EXIT_PEER, "out of memory for a table");
    rc = read_relation(&frame, copy, err);
    buf_free(&frame);
    return rc;
}

static struct table *
find_of_range(struct worker *w, const struct relation *relation, struct err *err)
{
    struct table *table = relmap_get(&w->tables, relation->relid), *old;
    struct relation copy;

    if (table != NULL && tables_same_relation(&table->relation, relation))
        return table;
    old = relmap_get(&w->range_tables, relation->relid);
    if (old != NULL && tables_same_relation(&old->relation, relation))
        return old;
    if (copy_relation(relation, &copy, err) != 0)
        return NULL;
    table = make_table(w, &copy, old, err);
    if (table == NULL || enter(w, &w->range_tables, table, old, err) != 0)
        return NULL;
    return table;
}

struct table *
tables_of_range(struct worker *w, const struct relation *relation, struct err *err)
{
    struct table *table = find_of_range(w, relation, err);

    return table == NULL || tables_make_ready(w, table, err) != 0 ? NULL : table;
}

struct table *
tables_of_described(struct worker *w, const struct buf *described, struct err *err)
{
    struct relation relation;
    struct table *table;

    if (read_relation(described, &relation, err) != 0)
        return NULL;
    table = tables_of_range(w, &relation, err);
    relation_free(&relation);
    return table;
}
