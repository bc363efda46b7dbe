/* copyrows.c: see copyrows.h. A key is the values of the identity's columns, each behind its
 * length. The values of a partial update stand behind a hash of their columns' names. */
#include "lib/copyrows.h"

#include "lib/hash.h"

static int
out_of_memory(struct err *err)
{
    return err_set(err, EXIT_PEER, "out of memory for the tables that are copied");
}

/* The values of the identity's columns, each with its length. A TOASTed one that did not change is
 * in the old row only. */
int
copyrows_key(struct copying *c, const struct relation *relation, const struct tuple *row,
             const struct tuple *old, struct bytes *key, struct err *err)
{
    buf_reset(&c->key, 1u << 16);
    for (uint32_t i = 0; i < relation->columns_count && i < row->count; i++) {
        const struct value *value = &row->values[i];

        if (!relation->columns[i].key)
            continue;
        if (value->kind == VALUE_UNCHANGED && old != NULL && i < old->count)
            value = &old->values[i];
        if (value->kind != VALUE_TEXT)
            return copyparts_refuse(relation, "a value of its key is not text",
                                    "set binary = off in [source] while tables are copied", err);
        buf_append(&c->key, &value->len, sizeof value->len);
        buf_append(&c->key, value->data, value->len);
    }
    *key = (struct bytes){.data = c->key.data + c->key.start, .len = buf_len(&c->key)};
    return c->key.failed ? out_of_memory(err) : 0;
}

static int
track_whole(struct copying *c, const struct relation *relation, uint32_t xid,
            const struct tuple *row, const struct tuple *old, struct err *err)
{
    struct bytes key;

    if (copyrows_key(c, relation, row, old, &key, err) != 0)
        return -1;
    return tracked_whole(&c->tracked, relation->relid, xid, key) == 0 ? 0 : out_of_memory(err);
}

static uint64_t
hash_names(const struct relation *relation)
{
    uint64_t h = HASH_SEED;

    for (uint32_t i = 0; i < relation->columns_count; i++)
        h = hash_bytes(h, relation->columns[i].name, strlen(relation->columns[i].name) + 1);
    return h;
}

static int
track_partial(struct copying *c, const struct relation *relation, uint32_t xid,
              const struct row_event *row, struct err *err)
{
    struct packer p = {.buf = &c->values};
    struct bytes key, values;

    if (copyrows_key(c, relation, &row->new_row, row->old_kind == OLD_NONE ? NULL : &row->old_row,
                     &key, err) != 0)
        return -1;
    buf_reset(&c->values, 1u << 20);
    pack_uint(&p, hash_names(relation));
    tuple_pack(&p, &row->new_row);
    if (c->values.failed)
        return out_of_memory(err);
    values = (struct bytes){.data = c->values.data + c->values.start, .len = buf_len(&c->values)};
    return tracked_partial(&c->tracked, relation->relid, xid, key, values) == 0
               ? 0
               : out_of_memory(err);
}

/* The old row has another key than the new one. */
static bool
key_changes(const struct relation *relation, const struct row_event *row)
{
    if (row->old_kind == OLD_NONE)
        return false;
    for (uint32_t i = 0; i < relation->columns_count; i++) {
        const struct value *old = &row->old_row.values[i], *new = &row->new_row.values[i];

        if (relation->columns[i].key && new->kind != VALUE_UNCHANGED &&
            (old->len != new->len || memcmp(old->data, new->data, new->len) != 0))
            return true;
    }
    return false;
}

static bool
is_partial(const struct row_event *row)
{
    for (uint32_t i = 0; i < row->new_row.count; i++)
        if (row->new_row.values[i].kind == VALUE_UNCHANGED &&
            (row->old_kind == OLD_NONE || row->old_row.values[i].kind == VALUE_NULL))
            return true;
    return false;
}

static int
track_update(struct copying *c, const struct relation *relation, uint32_t xid,
             const struct row_event *row, struct err *err)
{
    if (!key_changes(relation, row))
        return is_partial(row) ? track_partial(c, relation, xid, row, err)
                               : track_whole(c, relation, xid, &row->new_row, &row->old_row, err);
    if (track_whole(c, relation, xid, &row->old_row, NULL, err) != 0)
        return -1;
    return track_whole(c, relation, xid, &row->new_row, &row->old_row, err);
}

int
copyrows_track_key(struct copying *c, const struct relation *relation, uint32_t xid,
                   const struct tuple *row, struct err *err)
{
    return track_whole(c, relation, xid, row, NULL, err);
}

int
copyrows_track(struct copying *c, const struct relation *relation, uint32_t xid, uint8_t type,
               const struct row_event *row, struct err *err)
{
    if (type == FRAME_UPDATE)
        return track_update(c, relation, xid, row, err);
    return copyrows_track_key(c, relation, xid,
                              type == FRAME_INSERT ? &row->new_row : &row->old_row, err);
}

/* The values that a partial update brought, in the order of the range's columns. */
static bool
unpack_values(struct bytes values, const struct relation *relation, struct tuple *tuple,
              struct value newer[COLUMNS_MAX])
{
    struct cursor cursor = cursor_over(values.data, values.len);
    uint64_t names;

    return mp_uint(&cursor, &names) && names == hash_names(relation) &&
           tuple_unpack(&cursor, tuple, newer) && tuple->count == relation->columns_count;
}

int
copyrows_lay_over(struct copying *c, const struct heldrange *range, struct bytes key,
                  struct tuple *row, struct err *err)
{
    static struct value newer[COLUMNS_MAX];
    const struct relation *relation = &range->range.relation;
    struct tuple tuple;
    struct bytes values;
    uint32_t at = 0;

    while (tracked_next(&c->tracked, relation->relid, key, &range->range.snapshot, &at, &values)) {
        if (!unpack_values(values, relation, &tuple, newer))
            return err_set(err, EXIT_BUG,
                           "the event stream is not in order: a range of %s.%s has other columns "
                           "than an update that it lacks",
                           relation->schema, relation->name);
        for (uint32_t i = 0; i < tuple.count && i < row->count; i++)
            if (newer[i].kind != VALUE_UNCHANGED)
                row->values[i] = newer[i];
    }
    return 0;
}
