/* compact.c: see compact.h. Keys are compared as bytes, so 1.0 and 1.00 are two keys here. That is
 * right as long as deletes are applied before inserts (trap 88). */
#include "sink-pg/compact.h"

#include <stdlib.h>
#include <string.h>

#include "lib/hash.h"

int
compact_start(struct compact *c, const struct op_list *list, bool by_row, struct err *err)
{
    uint32_t size = 64;

    /* An update may take two places. */
    while (size < 4 * (uint64_t)list->count)
        size *= 2;
    c->batch = list->batch;
    c->table = list->table;
    c->by_row = by_row;
    c->count = 0;
    c->values_count = 0;
    buf_reset(&c->keys, 1u << 20);
    if (size > c->slots_size) {
        free(c->slots);
        c->slots = malloc(size * sizeof *c->slots);
        c->slots_size = c->slots == NULL ? 0 : size;
    }
    if (c->slots == NULL)
        return err_set(err, EXIT_PEER, "out of memory to compact %u changes", list->count);
    memset(c->slots, 0, c->slots_size * sizeof *c->slots);
    return 0;
}

/* ---- the table of keys ---- */

static void
append_value(struct compact *c, const struct value *v)
{
    uint8_t kind = (uint8_t)v->kind;

    buf_append(&c->keys, &kind, 1);
    buf_append(&c->keys, &v->len, sizeof v->len);
    buf_append(&c->keys, v->data, v->len);
}

static void
append_key(struct compact *c, const struct value *row)
{
    const struct plan *plan = c->table->plan;

    if (c->by_row)
        for (uint32_t i = 0; i < c->table->relation.columns_count; i++)
            append_value(c, &row[i]);
    else
        for (uint32_t k = 0; k < plan->keys_count; k++)
            append_value(c, &row[plan->columns[plan->keys[k]].source]);
}

/* Returns the net change of row's key. Makes it if there is none, and then sets *fresh. NULL when
 * memory is out. */
static struct net *
find_net(struct compact *c, const struct value *row, bool *fresh)
{
    struct net net = {.key_at = c->keys.end};
    uint32_t at;

    append_key(c, row);
    if (c->keys.failed)
        return NULL;
    net.key_len = (uint32_t)(c->keys.end - net.key_at);
    net.hash = hash_finish(hash_bytes(HASH_SEED, c->keys.data + net.key_at, net.key_len));
    for (at = (uint32_t)net.hash & (c->slots_size - 1); c->slots[at] != 0;
         at = (at + 1) & (c->slots_size - 1)) {
        struct net *other = &c->nets[c->slots[at] - 1];

        if (other->hash == net.hash && other->key_len == net.key_len &&
            memcmp(c->keys.data + other->key_at, c->keys.data + net.key_at, net.key_len) == 0) {
            c->keys.end = net.key_at;
            *fresh = false;
            return other;
        }
    }
    if (c->count == c->size) {
        uint32_t size = c->size == 0 ? 1024 : c->size * 2;
        struct net *nets = realloc(c->nets, size * sizeof *nets);

        if (nets == NULL)
            return NULL;
        c->nets = nets;
        c->size = size;
    }
    *fresh = true;
    c->nets[c->count] = net;
    c->slots[at] = ++c->count;
    return &c->nets[c->count - 1];
}

/* ---- rows put together ---- */

int
compact_row(const struct compact *c, const struct net *net, struct row_values *values,
            const struct value **row, struct err *err)
{
    struct change change;

    if (net->merged != 0) {
        *row = c->values + (net->merged - 1);
        return 0;
    }
    if (change_decode(c->batch, &c->batch->ops[net->op], values, &change, err) != 0)
        return -1;
    *row = net->kind == NET_DELETE ? change.match : change.new_row;
    return 0;
}

static struct value *
new_values(struct compact *c, uint32_t n)
{
    if (c->values_count + n > c->values_size) {
        size_t size = c->values_size == 0 ? 4096 : c->values_size * 2;
        struct value *values;

        while (size < c->values_count + n)
            size *= 2;
        values = realloc(c->values, size * sizeof *values);
        if (values == NULL)
            return NULL;
        c->values = values;
        c->values_size = size;
    }
    c->values_count += n;
    return c->values + c->values_count - n;
}

/* Puts the new row of `change` over the row of `earlier`. Unchanged values keep the earlier ones.
 * Sets *merged, and *complete if no unchanged value is left. */
static int
merge_rows(struct compact *c, const struct net *earlier, const struct change *change,
           uint32_t *merged, bool *complete, struct err *err)
{
    uint32_t n = c->table->relation.columns_count;
    struct value *out = new_values(c, n);
    const struct value *before;

    if (out == NULL)
        return err_set(err, EXIT_PEER, "out of memory for merged rows");
    if (compact_row(c, earlier, &c->before, &before, err) != 0)
        return -1;
    *complete = true;
    for (uint32_t i = 0; i < n; i++) {
        out[i] = change->new_row[i].kind == VALUE_UNCHANGED ? before[i] : change->new_row[i];
        *complete = *complete && out[i].kind != VALUE_UNCHANGED;
    }
    *merged = 1 + (uint32_t)(out - c->values);
    return 0;
}

/* ---- the changes ---- */

static enum outcome
no_memory(struct err *err)
{
    err_set(err, EXIT_PEER, "out of memory to compact a batch");
    return OUTCOME_RETRY;
}

/* Under REPLICA IDENTITY FULL the source's key may be deferrable. Two rows can then hold one key
 * for a moment (trap 115), and a change that finds its row by the key alone could be about
 * either. */
static bool
is_full(const struct compact *c)
{
    return c->table->relation.replica_identity == 'f';
}

/* Whether the old row of `change` is the one that the changes before it left under its key. */
static bool
is_same_row(struct compact *c, const struct net *net, const struct change *change)
{
    const struct value *before;
    struct err ignored = {0};

    if (!is_full(c))
        return true;
    if (compact_row(c, net, &c->before, &before, &ignored) != 0)
        return false;
    for (uint32_t i = 0; i < c->table->relation.columns_count; i++)
        if (!value_equal(&before[i], &change->match[i]))
            return false;
    return true;
}

/* The row that `change` takes from its key goes. Returns false if it is not the one that the
 * changes before left there. */
static bool
leave(struct compact *c, struct net *net, bool fresh, uint32_t op, const struct change *change)
{
    if (fresh || net->kind == NET_NONE) {
        net->expected = true;
        net->kind = NET_DELETE;
    } else if (net->kind == NET_DELETE || !is_same_row(c, net, change)) {
        return false;
    } else {
        net->kind = is_full(c) && net->kind == NET_INSERT ? NET_NONE : NET_DELETE;
    }
    net->op = op;
    net->merged = 0;
    return true;
}

static enum outcome
add_insert(struct compact *c, uint32_t op, const struct change *change, struct err *err)
{
    bool fresh;
    struct net *net;

    if (!change->complete)
        return OUTCOME_NOT;
    net = find_net(c, change->new_row, &fresh);
    if (net == NULL)
        return no_memory(err);
    if (!fresh && is_full(c) && net->kind != NET_DELETE && net->kind != NET_NONE)
        return OUTCOME_NOT;
    net->kind =
        !fresh && (net->kind == NET_DELETE || net->kind == NET_REPLACE) ? NET_REPLACE : NET_INSERT;
    net->op = op;
    net->merged = 0;
    return OUTCOME_DONE;
}

static enum outcome
add_delete(struct compact *c, uint32_t op, const struct change *change, struct err *err)
{
    bool fresh;
    struct net *net = find_net(c, change->match, &fresh);

    if (net == NULL)
        return no_memory(err);
    return leave(c, net, fresh, op, change) ? OUTCOME_DONE : OUTCOME_NOT;
}

static enum outcome
add_update(struct compact *c, uint32_t op, const struct change *change, struct err *err)
{
    uint32_t merged = 0;
    bool fresh, complete;
    struct net *net = find_net(c, change->new_row, &fresh);

    if (net == NULL)
        return no_memory(err);
    if (!fresh && net->kind != NET_NONE &&
        (net->kind == NET_DELETE || !is_same_row(c, net, change)))
        return OUTCOME_NOT;
    if (fresh || net->kind == NET_NONE) {
        net->kind = NET_UPDATE;
        net->expected = true;
    } else if (!change->complete && merge_rows(c, net, change, &merged, &complete, err) != 0) {
        return OUTCOME_RETRY;
    }
    net->op = op;
    net->merged = merged;
    return OUTCOME_DONE;
}

/* Columns that only the target has would be lost with the old row. */
static enum outcome
add_key_change(struct compact *c, uint32_t op, const struct change *change, struct err *err)
{
    uint32_t merged = 0;
    bool fresh, complete = change->complete;
    struct net *net;

    if (c->table->plan->extras_count > 0)
        return OUTCOME_NOT;
    net = find_net(c, change->match, &fresh);
    if (net == NULL)
        return no_memory(err);
    if (!complete && !fresh && net->kind != NET_DELETE &&
        merge_rows(c, net, change, &merged, &complete, err) != 0)
        return OUTCOME_RETRY;
    if (!complete)
        return OUTCOME_NOT;
    if (!leave(c, net, fresh, op, change))
        return OUTCOME_NOT;
    net = find_net(c, change->new_row, &fresh);
    if (net == NULL)
        return no_memory(err);
    fresh = fresh || net->kind == NET_NONE;
    if (!fresh && net->kind != NET_DELETE)
        return OUTCOME_NOT;
    net->kind = fresh ? NET_INSERT : NET_REPLACE;
    net->op = op;
    net->merged = merged;
    return OUTCOME_DONE;
}

/* The keys of rows on the way do not matter. Only the rows that are there in the end do. */
static enum outcome
count_row(struct compact *c, uint32_t op, const struct value *row, enum net_kind kind,
          struct err *err)
{
    bool fresh;
    struct net *net = find_net(c, row, &fresh);

    if (net == NULL)
        return no_memory(err);
    if (!fresh && net->kind == kind)
        return OUTCOME_NOT;
    net->kind = fresh || net->kind == NET_NONE ? kind : NET_NONE;
    net->op = op;
    return OUTCOME_DONE;
}

static enum outcome
add_by_row(struct compact *c, uint32_t op, const struct change *change, struct err *err)
{
    enum outcome result = OUTCOME_DONE;

    if (!change->complete)
        return OUTCOME_NOT;
    if (change->type != FRAME_INSERT)
        result = count_row(c, op, change->match, NET_DELETE, err);
    if (result == OUTCOME_DONE && change->type != FRAME_DELETE)
        result = count_row(c, op, change->new_row, NET_INSERT, err);
    return result;
}

enum outcome
compact_add(struct compact *c, uint32_t op, const struct change *change, struct err *err)
{
    if (c->by_row)
        return add_by_row(c, op, change, err);
    switch (change->type) {
    case FRAME_INSERT:
        return add_insert(c, op, change, err);
    case FRAME_DELETE:
        return add_delete(c, op, change, err);
    default:
        return change->key_changed ? add_key_change(c, op, change, err)
                                   : add_update(c, op, change, err);
    }
}

void
compact_count(struct compact *c)
{
    c->deletes = c->replaces = c->evicts = c->updates = c->inserts = 0;
    for (uint32_t i = 0; i < c->count; i++)
        switch (c->nets[i].kind) {
        case NET_DELETE:
            c->deletes++;
            break;
        case NET_REPLACE:
            c->replaces++;
            break;
        case NET_EVICT:
            c->replaces++;
            c->evicts++;
            break;
        case NET_UPDATE:
            c->updates++;
            break;
        case NET_INSERT:
            c->inserts++;
            break;
        case NET_NONE:
            break;
        }
}

void
compact_free(struct compact *c)
{
    free(c->nets);
    free(c->slots);
    free(c->values);
    buf_free(&c->keys);
    *c = (struct compact){0};
}
