/* misses.c: see misses.h. */
#include "sink-ch/misses.h"

void
misses_doubt(struct worker *w, const struct table *table, const struct batch_entry *entry)
{
    const struct batch *batch = &w->batch;
    const struct batch_hole *hole = &batch->holes[entry->hole];
    const struct bytes key = {batch_bytes_at(batch, hole->named_at), hole->named_len};

    copymissing_miss(&w->copies.missing, &table->relation, key,
                     w->transaction.open ? w->transaction.commit_lsn : state_position(w));
}

int
misses_enter(struct worker *w, const struct table *table, uint32_t number, struct err *err)
{
    struct batch *batch = &w->batch;
    struct batch_entry *entry = &batch->entries[number];
    size_t at = buf_len(&batch->arena), suffix = table->version_width + table->has_deleted;

    misses_doubt(w, table, entry);
    /* Room first: the key is copied within the arena, which must not move meanwhile. */
    if (buf_reserve(&batch->arena, entry->key_len + suffix) != 0)
        return err_set(err, EXIT_PEER, "out of memory for a missing row");
    buf_append(&batch->arena, batch_bytes_at(batch, entry->at), entry->key_len);
    for (uint32_t i = table->keys_count; i < table->columns_count; i++)
        convert_default(&table->columns[i].type, &batch->arena);
    if (buf_reserve(&batch->arena, suffix) != 0 || batch->arena.failed)
        return err_set(err, EXIT_PEER, "out of memory for a missing row");
    buf_append(&batch->arena, batch_bytes_at(batch, entry->at + entry->len - suffix),
               table->version_width);
    convert_put(&batch->arena, 1, 1);
    entry->at = at;
    entry->len = buf_len(&batch->arena) - at;
    entry->hole = BATCH_NONE;
    entry->tombstone = true;
    return 0;
}

int
misses_write(struct worker *w, struct err *err)
{
    return copymissing_write_missed(&w->copies.missing, err);
}
