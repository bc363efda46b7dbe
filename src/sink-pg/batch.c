/* batch.c: see batch.h. Must not know SQL. */
#include "sink-pg/batch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sink-pg/readable.h"

static int
add_op(struct batch *b, struct op op, struct err *err)
{
    if (b->count == b->size) {
        uint32_t size = b->size == 0 ? 1024 : b->size * 2;
        struct op *ops = realloc(b->ops, size * sizeof *ops);

        if (ops == NULL)
            return err_set(err, EXIT_PEER, "out of memory for a batch of %u changes", size);
        b->ops = ops;
        b->size = size;
    }
    b->ops[b->count++] = op;
    return 0;
}

int
batch_add_row(struct batch *b, struct table *table, uint8_t type, struct bytes body,
              uint64_t commit_lsn, struct err *err)
{
    struct op op = {.table = table,
                    .offset = buf_len(&b->bytes),
                    .length = (uint32_t)body.len,
                    .commit_lsn = commit_lsn,
                    .type = type};

    buf_append(&b->bytes, body.data, body.len);
    if (b->bytes.failed)
        return err_set(err, EXIT_PEER, "out of memory for a batch");
    b->rows++;
    return add_op(b, op, err);
}

int
batch_add_truncate(struct batch *b, const struct tables *tables,
                   const struct truncate_event *truncate, uint64_t commit_lsn, struct err *err)
{
    struct op_truncate *t = calloc(1, sizeof *t + 2 * (size_t)truncate->count * sizeof *t->tables);

    if (t == NULL)
        return err_set(err, EXIT_PEER, "out of memory for a truncate");
    t->flags = truncate->flags;
    t->next = b->truncates;
    b->truncates = t;
    for (uint32_t i = 0; i < truncate->count; i++) {
        struct table *table = tables_get(tables, truncate->relids[i]);

        if (table == NULL)
            return err_set(err, EXIT_BUG,
                           "the stream truncates relation %u without having described it",
                           truncate->relids[i]);
        if (!table->behind)
            t->tables[t->count++] = table;
        if (table->doubles)
            t->tables[t->count++] = table->staging;
    }
    b->rows++;
    return add_op(b,
                  (struct op){.truncate = t,
                              .offset = buf_len(&b->bytes),
                              .commit_lsn = commit_lsn,
                              .type = FRAME_TRUNCATE},
                  err);
}

int
batch_add_cut(struct batch *b, struct err *err)
{
    if (b->count == 0)
        return 0;
    return add_op(b, (struct op){.offset = buf_len(&b->bytes), .type = BATCH_CUT}, err);
}

void
batch_drop(struct batch *b, uint32_t n)
{
    uint32_t left = b->count - n;
    uint64_t bytes = left > 0 ? b->ops[n].offset : buf_len(&b->bytes);

    for (uint32_t i = 0; i < n; i++)
        if (b->ops[i].type != BATCH_CUT)
            b->rows--;
    if (left > 0) {
        memmove(b->ops, b->ops + n, left * sizeof *b->ops);
        for (uint32_t i = 0; i < left; i++)
            b->ops[i].offset -= bytes;
        buf_consume(&b->bytes, bytes);
    } else {
        buf_reset(&b->bytes, 2 * BATCH_BYTES_MAX);
        while (b->truncates != NULL) {
            struct op_truncate *t = b->truncates;

            b->truncates = t->next;
            free(t);
        }
    }
    b->count = left;
    b->boundary = b->boundary > n ? b->boundary - n : 0;
}

void
batch_free(struct batch *b)
{
    batch_drop(b, b->count);
    buf_free(&b->bytes);
    free(b->ops);
    *b = (struct batch){0};
}

uint32_t
op_list_next(const struct op_list *list, uint32_t at)
{
    if (list->linked)
        return list->batch->ops[at].next;
    return at + 1 < list->end ? at + 1 : OP_NONE;
}

/* ---- one row ---- */

bool
value_equal(const struct value *a, const struct value *b)
{
    return a->kind == b->kind && a->len == b->len &&
           (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}

/* A TOASTed key column that did not change is in the old key only. FULL's old row has everything
 * (traps 48, 50). */
static void
fill_unchanged(const struct table *table, struct row_event *row)
{
    const struct relation *r = &table->relation;

    for (uint32_t i = 0; i < row->new_row.count; i++)
        if (row->new_row.values[i].kind == VALUE_UNCHANGED &&
            (row->old_kind == OLD_FULL || (row->old_kind == OLD_KEY && r->columns[i].key)))
            row->new_row.values[i] = row->old_row.values[i];
}

static void
look_at_columns(const struct plan *plan, struct change *c)
{
    c->complete = true;
    c->key_changed = false;
    if (c->new_row == NULL)
        return;
    for (uint32_t i = 0; i < plan->columns_count; i++) {
        const struct plan_column *col = &plan->columns[i];
        const struct value *value = &c->new_row[col->source];

        if (value->kind == VALUE_UNCHANGED)
            c->complete = false;
        if (col->key && !value_equal(value, &c->match[col->source]))
            c->key_changed = true;
    }
}

static int
malformed(const struct op *op, const char *what, struct err *err)
{
    snprintf(err->relation, sizeof err->relation, "%s", op->table->label);
    err->lsn = op->commit_lsn;
    return err_set(err, EXIT_REFUSED, "malformed row event for %s: %s", op->table->label, what);
}

/* The values that the plan needs to find the row must be there. */
static const char *
missing_match(const struct plan *plan, const struct row_event *row, const struct change *c)
{
    if (c->type == FRAME_INSERT)
        return NULL;
    if (plan->match == MATCH_ROW && row->old_kind != OLD_FULL)
        return "replica identity full, but the old row is not there";
    for (uint32_t k = 0; k < plan->keys_count; k++)
        if (c->match[plan->columns[plan->keys[k]].source].kind == VALUE_UNCHANGED)
            return "the value of a key column was not sent";
    return NULL;
}

static int
refuse_without_identity(const struct op *op, struct err *err)
{
    snprintf(err->relation, sizeof err->relation, "%s", op->table->label);
    err->lsn = op->commit_lsn;
    err_set(err, EXIT_REFUSED,
            "cannot apply %s of %s: the source announces no replica identity for it",
            op->type == FRAME_UPDATE ? "an update" : "a delete", op->table->label);
    err->culprit = op->table->relation.relid;
    return err_hint(err, "give the source's table a primary key, or REPLICA IDENTITY FULL; under "
                         "publish_via_partition_root the root needs it, not only its partitions");
}

int
change_decode(const struct batch *b, const struct op *op, struct row_values *values,
              struct change *c, struct err *err)
{
    struct cursor body = cursor_over(b->bytes.data + b->bytes.start + op->offset, op->length);
    uint32_t columns = op->table->relation.columns_count, elements;
    const char *missing;
    struct row_event row;
    uint8_t type;

    if (!frame_type(&body, &type, &elements) ||
        !row_decode(&body, op->type, elements, &row, values))
        return malformed(op, "it cannot be decoded", err);
    if ((op->type != FRAME_DELETE && row.new_row.count != columns) ||
        (row.old_kind != OLD_NONE && row.old_row.count != columns))
        return malformed(op, "its number of columns is not the table's", err);
    fill_unchanged(op->table, &row);
    c->type = op->type;
    c->copied = op->table->copied || op->table->lacks;
    c->new_row = op->type == FRAME_DELETE ? NULL : row.new_row.values;
    c->match = row.old_kind == OLD_NONE ? row.new_row.values : row.old_row.values;
    look_at_columns(op->table->plan, c);
    if (op->table->plan->match == MATCH_NOTHING && c->type != FRAME_INSERT)
        return refuse_without_identity(op, err);
    missing = missing_match(op->table->plan, &row, c);
    return missing == NULL ? 0 : malformed(op, missing, err);
}

/* "(id, part)=(5, x)", cut where it gets long. */
static void
describe_key(const struct table *table, const struct change *c, char *out, size_t size)
{
    const struct plan *plan = table->plan;
    size_t len = 0;

    for (uint32_t k = 0; k < plan->keys_count && len < size; k++)
        len += (size_t)snprintf(out + len, size - len, "%s%s", k == 0 ? "(" : ", ",
                                plan->columns[plan->keys[k]].name);
    for (uint32_t k = 0; k < plan->keys_count && len < size; k++) {
        uint32_t source = plan->columns[plan->keys[k]].source;
        const struct value *v = &c->match[source];
        const char *before = k == 0 ? ")=(" : ", ";
        char text[64] = "null";

        if (v->kind == VALUE_BINARY)
            readable_binary(table->relation.columns[source].type_oid, v, text, sizeof text);
        else if (v->kind == VALUE_TEXT)
            snprintf(text, sizeof text, "%.*s", (int)(v->len < 60 ? v->len : 60),
                     (const char *)v->data);
        len += (size_t)snprintf(out + len, size - len, "%s%s", before, text);
    }
    if (len < size)
        snprintf(out + len, size - len, ")");
}

void
change_name(const struct op *op, const struct change *c, struct err *err)
{
    static const char *const verbs[] = {[FRAME_INSERT] = "insert into",
                                        [FRAME_UPDATE] = "update of",
                                        [FRAME_DELETE] = "delete from"};
    const struct plan *plan = op->table->plan;
    char key[200] = "", was[sizeof err->message];

    snprintf(err->relation, sizeof err->relation, "%s", op->table->label);
    err->lsn = op->commit_lsn;
    if (plan->keys_count > 0)
        describe_key(op->table, c, key, sizeof key);
    snprintf(was, sizeof was, "%s", err->message);
    snprintf(err->message, sizeof err->message, "%s %s%s%s: %.600s", verbs[op->type],
             op->table->label, key[0] == '\0' ? "" : " ", key, was);
}
