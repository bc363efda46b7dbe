/* statements.c: see statements.h. Must not know batches' order or transactions. */
#include "sink-pg/statements.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sink-pg/changesql.h"
#include "sink-pg/sqltext.h"
#include "sink-pg/valuesql.h"

/* ---- one statement for each shape of change ---- */

struct shape {
    uint8_t kind;
    bool key_changed;
    bool source_types;
    bool partial;
    bool copied;
    enum insert_way insert;
    uint8_t nulls;
};

static bool
same_shape(const struct plan *plan, const struct plan_stmt *stmt, const struct shape *shape,
           const struct change *c)
{
    if (stmt->kind != shape->kind || stmt->key_changed != shape->key_changed ||
        stmt->source_types != shape->source_types || stmt->partial != shape->partial ||
        stmt->copied != shape->copied || stmt->insert != shape->insert ||
        stmt->nulls != shape->nulls)
        return false;
    if (!shape->partial)
        return true;
    for (uint32_t i = 0; i < plan->columns_count; i++)
        if ((c->new_row[plan->columns[i].source].kind == VALUE_UNCHANGED) != stmt->mask[i])
            return false;
    return true;
}

static struct plan_stmt *
make_stmt(struct pipe *pipe, struct plan *plan, const struct shape *shape, const struct change *c,
          struct err *err)
{
    struct plan_stmt *stmt = calloc(1, sizeof *stmt);

    if (stmt != NULL) {
        stmt->mask = calloc(plan->columns_count + 1, 1);
        stmt->params = calloc(2 * plan->columns_count + 1, sizeof *stmt->params);
    }
    if (stmt == NULL || stmt->mask == NULL || stmt->params == NULL) {
        if (stmt != NULL) {
            free(stmt->mask);
            free(stmt->params);
        }
        free(stmt);
        err_set(err, EXIT_PEER, "out of memory for a statement");
        return NULL;
    }
    stmt->kind = shape->kind;
    stmt->key_changed = shape->key_changed;
    stmt->source_types = shape->source_types;
    stmt->partial = shape->partial;
    stmt->copied = shape->copied;
    stmt->insert = shape->insert;
    stmt->nulls = shape->nulls;
    for (uint32_t i = 0; i < plan->columns_count && shape->partial; i++)
        stmt->mask[i] = c->new_row[plan->columns[i].source].kind == VALUE_UNCHANGED;
    snprintf(stmt->stmt.name, sizeof stmt->stmt.name, "w%llu",
             (unsigned long long)++pipe->session->names);
    stmt->next = plan->statements;
    plan->statements = stmt;
    plan->statements_count++;
    return stmt;
}

static int
prepare(struct pipe *pipe, const struct plan *plan, struct plan_stmt *stmt, struct err *err)
{
    struct buf sql = {0};
    Oid *types = calloc(2 * plan->columns_count + 1, sizeof *types);
    int rc = -1;

    changesql_write(&sql, plan, stmt);
    if (types == NULL || sqltext_get(&sql) == NULL) {
        err_set(err, EXIT_PEER, "out of memory for a statement");
        pipe->failure.lost = true;
        goto out;
    }
    for (uint32_t i = 0; i < stmt->params_count; i++) {
        const struct plan_column *col = &plan->columns[stmt->params[i].column];

        types[i] = valuesql_param_type(col, stmt->source_types);
    }
    rc = pipe_prepare(pipe, &stmt->stmt, sqltext_get(&sql), (int)stmt->params_count, types, err);
out:
    free(types);
    buf_free(&sql);
    return rc;
}

static bool
has_odd_binary(const struct plan *plan, const struct value *row)
{
    for (uint32_t i = 0; i < plan->columns_count && row != NULL; i++)
        if (row[plan->columns[i].source].kind == VALUE_BINARY &&
            plan->columns[i].rule.binary == BINARY_BY_TEXT)
            return true;
    return false;
}

static uint8_t
nulls_of(const struct plan *plan, const struct change *c)
{
    uint8_t nulls = 0;

    for (uint32_t i = 0; i < plan->columns_count; i++)
        if (plan->columns[i].indexed != 0 && c->match[plan->columns[i].source].kind == VALUE_NULL)
            nulls |= (uint8_t)(1u << (plan->columns[i].indexed - 1));
    return nulls;
}

/* Looking for the row first takes time. If a plain insert can fail and be repeated, that comes
 * first. */
static enum insert_way
insert_way(const struct plan *plan)
{
    if (!plan->overwrites || plan->fires == FIRES_RULES)
        return INSERT_PLAINLY;
    return plan->met || plan->index != INDEX_ARBITER || plan->fires != FIRES_NOTHING
               ? INSERT_AND_NOTICE
               : INSERT_PLAINLY;
}

/* False when the change does nothing. */
static bool
choose_shape(const struct plan *plan, const struct change *c, struct shape *shape)
{
    bool sets = false;

    *shape = (struct shape){.kind = c->type};
    if (plan->odd_types)
        shape->source_types = has_odd_binary(plan, c->new_row) || has_odd_binary(plan, c->match);
    if (c->type != FRAME_INSERT && plan->match == MATCH_ROW)
        shape->nulls = nulls_of(plan, c);
    if (c->type == FRAME_INSERT)
        shape->insert = insert_way(plan);
    if (c->type != FRAME_UPDATE)
        return true;
    shape->key_changed = c->key_changed;
    shape->partial = !c->complete;
    shape->copied = c->copied && shape->partial;
    for (uint32_t i = 0; i < plan->columns_count; i++)
        if (c->new_row[plan->columns[i].source].kind != VALUE_UNCHANGED &&
            (!plan->columns[i].key || c->key_changed || plan->fires >= FIRES_TRIGGERS))
            sets = true;
    /* There are only key columns, and they are unchanged. So the only work is to insert the row if
     * it is missing. */
    if (!sets) {
        shape->kind = FRAME_INSERT;
        shape->insert = INSERT_OVER;
    }
    return sets || (!shape->partial && plan->overwrites && plan->index == INDEX_ARBITER);
}

/* ---- parameters ---- */

static int
reserve(struct parameters *p, size_t count, struct err *err)
{
    if (count <= p->size)
        return 0;
    free(p->block);
    p->size = 0;
    p->block = malloc(count * (sizeof *p->values + sizeof *p->lengths + sizeof *p->formats));
    if (p->block == NULL)
        return err_set(err, EXIT_PEER, "out of memory for parameters");
    p->size = count;
    p->values = p->block;
    p->lengths = (int *)(p->values + count);
    p->formats = p->lengths + count;
    return 0;
}

static const struct value *
value_of(const struct plan *plan, const struct plan_param *param, const struct change *c)
{
    uint32_t source = plan->columns[param->column].source;

    return param->match ? &c->match[source] : &c->new_row[source];
}

/* Oids below this are the same in every database of every version. */
#define FIRST_UNPINNED_OID 10000

/* In binary format regclass and similar types are oids of the source, which here belong to nothing,
 * or to another object (trap 69). */
static int
check_binary(const struct plan_column *column, const struct value *v, struct err *err)
{
    if (v->kind != VALUE_BINARY)
        return 0;
    if (column->rule.binary == BINARY_REFUSED) {
        err_set(
            err, EXIT_REFUSED,
            "the value of column \"%s\" comes in binary format, and whether the source's type is "
            "the target's %s is not known",
            column->name, column->full_type);
        return err_hint(err, "set binary = off in [source]: the value then comes as text");
    }
    if (!column->rule.oids)
        return 0;
    if (column->rule.scalar && v->len == 4 && v->data[0] == 0 && v->data[1] == 0 &&
        (v->data[2] << 8 | v->data[3]) < FIRST_UNPINNED_OID)
        return 0;
    err_set(err, EXIT_REFUSED,
            "the value of column \"%s\" names an object by its oid in the source, which is another "
            "one here",
            column->name);
    return err_hint(err, "set binary = off in [source]: the value then comes by name");
}

/* libpq takes text NUL-terminated. A NUL inside would cut the value silently. */
static int
check_values(const struct plan *plan, const struct plan_stmt *stmt, const struct change *c,
             size_t *total, struct err *err)
{
    for (uint32_t i = 0; i < stmt->params_count; i++) {
        const struct value *v = value_of(plan, &stmt->params[i], c);

        if (v->kind == VALUE_TEXT && v->len > 0 && memchr(v->data, 0, v->len) != NULL)
            return err_set(err, EXIT_REFUSED, "the value of column \"%s\" holds a NUL byte",
                           plan->columns[stmt->params[i].column].name);
        if (check_binary(&plan->columns[stmt->params[i].column], v, err) != 0)
            return -1;
        *total += v->kind == VALUE_TEXT ? v->len + 1u : 0;
    }
    return 0;
}

static int
bind_values(const struct plan *plan, const struct plan_stmt *stmt, const struct change *c,
            struct parameters *p, struct err *err)
{
    size_t total = 0;

    if (check_values(plan, stmt, c, &total, err) != 0 || reserve(p, stmt->params_count, err) != 0)
        return -1;
    buf_reset(&p->text, 1u << 20);
    if (buf_reserve(&p->text, total) != 0)
        return err_set(err, EXIT_PEER, "out of memory for parameters");
    for (uint32_t i = 0; i < stmt->params_count; i++) {
        const struct value *v = value_of(plan, &stmt->params[i], c);

        p->formats[i] = v->kind == VALUE_BINARY;
        p->lengths[i] = (int)v->len;
        p->values[i] =
            v->kind == VALUE_NULL || v->kind == VALUE_UNCHANGED ? NULL : (const char *)v->data;
        if (v->kind == VALUE_TEXT) {
            p->values[i] = (const char *)p->text.data + p->text.end;
            buf_append(&p->text, v->data, v->len);
            buf_append(&p->text, "", 1);
        }
    }
    return 0;
}

/* Trap 49. */
static int
incomplete_insert(struct err *err)
{
    err_set(err, EXIT_REFUSED,
            "the source did not send a TOASTed value that it took for "
            "unchanged: the publication's row filter turned an update into "
            "this insert");
    return err_hint(err, "exclude the table (tables = ..., !schema.table), then copy it again; "
                         "REPLICA IDENTITY FULL on the source table prevents it");
}

int
statements_queue(struct pipe *pipe, struct plan *plan, const struct change *c, uint32_t number,
                 struct parameters *params, bool *queued, struct err *err)
{
    struct plan_stmt *stmt = plan->statements;
    struct shape shape;

    *queued = false;
    if (c->type == FRAME_INSERT && !c->complete)
        return incomplete_insert(err);
    if (!choose_shape(plan, c, &shape))
        return 0;
    while (stmt != NULL && !same_shape(plan, stmt, &shape, c))
        stmt = stmt->next;
    if (stmt == NULL)
        stmt = make_stmt(pipe, plan, &shape, c, err);
    if (stmt == NULL)
        return -1;
    if (stmt->stmt.state == STMT_NEW && prepare(pipe, plan, stmt, err) != 0)
        return -1;
    if (bind_values(plan, stmt, c, params, err) != 0)
        return -1;
    *queued = true;
    if (pipe_execute(pipe, STEP_CHANGE, number, &stmt->stmt, (int)stmt->params_count,
                     params->values, params->lengths, params->formats, err) != 0)
        return -1;
    pipe->steps[pipe->count - 1].upsert =
        c->type == FRAME_UPDATE && (stmt->kind == FRAME_INSERT || stmt->upserts);
    pipe->steps[pipe->count - 1].notices =
        c->type == FRAME_INSERT && stmt->insert == INSERT_AND_NOTICE;
    return 0;
}

const char *
statements_column(const struct plan *plan, const struct change *c, uint32_t number)
{
    const struct plan_stmt *stmt = plan->statements;
    struct shape shape;

    if (!choose_shape(plan, c, &shape))
        return NULL;
    while (stmt != NULL && !same_shape(plan, stmt, &shape, c))
        stmt = stmt->next;
    if (stmt == NULL || number == 0 || number > stmt->params_count)
        return NULL;
    return plan->columns[stmt->params[number - 1].column].name;
}

void
parameters_free(struct parameters *p)
{
    buf_free(&p->text);
    free(p->block);
    *p = (struct parameters){0};
}
