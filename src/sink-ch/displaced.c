/* displaced.c: rows that share a key for a moment. Under REPLICA IDENTITY FULL the key may be
 * deferrable. Then two rows can hold one key inside a transaction, for example when they swap keys
 * (trap 115). A later change of the older row, which it names by its whole old row, must not be
 * taken for a change of the newer row. The newer row is in the batch. If a batch was cut inside the
 * transaction, it may be in ClickHouse, and written.h remembers the hashes of such rows. */
#include "sink-ch/displaced.h"

static uint32_t
suffix_length(const struct table *table)
{
    return (table->has_version ? table->version_width : 0) + table->has_deleted;
}

static struct bytes
columns_of(const struct batch *batch, const struct table *table, const struct batch_entry *entry)
{
    return (struct bytes){.data = batch_bytes_at(batch, entry->at + entry->key_len),
                          .len = entry->len - entry->key_len - suffix_length(table)};
}

void
displaced_keep_written(struct worker *worker)
{
    const struct batch *batch = &worker->batch;
    bool said = false;

    for (uint32_t i = worker->transaction.mark; i < batch->entries_count; i++) {
        const struct batch_entry *entry = &batch->entries[i];
        const struct table *table = worker->by_number[entry->table];
        struct bytes key = {batch_bytes_at(batch, entry->at), entry->key_len};
        uint64_t row = WRITTEN_NO_ROW;

        if (entry->killed_by != BATCH_NONE || !table->keyed ||
            table->relation.replica_identity != 'f')
            continue;
        if (!entry->tombstone)
            row = written_row(columns_of(batch, table, entry));
        if (written_put(&worker->written, written_key(&table->written, key), row) || said)
            continue;
        said = true;
        log_write(
            worker->log, LOG_WARNING,
            "a transaction with more than %u changes of %s: rows that exchange keys in it may not "
            "be told apart",
            WRITTEN_MAX, table->target_sql);
    }
}

/* The old row's columns behind the key, in worker->old_row. */
static bool
encode_old_row(const struct change *change)
{
    const struct table *table = change->table;
    struct buf *encoded = &change->worker->old_row;
    struct err ignored = {0};

    buf_reset(encoded, 1u << 20);
    for (uint32_t i = table->keys_count; i < table->columns_count; i++) {
        const struct value *v = &change->row->old_row.values[table->columns[i].source];

        if (v->kind == VALUE_UNCHANGED ||
            rows_put_value(change, &change->row->old_row, &table->columns[i], v, encoded,
                           &ignored) != 0)
            return false;
    }
    return !encoded->failed;
}

bool
displaced_is_about(const struct change *change)
{
    struct worker *worker = change->worker;
    const struct batch *batch = &worker->batch;
    const struct table *table = change->table;
    uint32_t number = batch_find(batch, table->number, change->old_key);
    struct bytes encoded, other;
    uint64_t row;

    if (change->row->old_kind != OLD_FULL)
        return false;
    if (number == BATCH_NONE || number < worker->transaction.mark) {
        row = written_find(&worker->written, written_key(&table->written, change->old_key));
        if (row == WRITTEN_NO_ROW || !encode_old_row(change))
            return false;
        encoded = (struct bytes){worker->old_row.data, buf_len(&worker->old_row)};
        return written_row(encoded) != row;
    }
    if (batch->entries[number].tombstone || batch->entries[number].hole != BATCH_NONE ||
        !encode_old_row(change))
        return false;
    encoded = (struct bytes){worker->old_row.data, buf_len(&worker->old_row)};
    other = columns_of(batch, table, &batch->entries[number]);
    return encoded.len != other.len ||
           (other.len > 0 && memcmp(encoded.data, other.data, other.len) != 0);
}
