/* batch.c: see batch.h. */
#include "sink-ch/batch.h"

#include <stdlib.h>

#include "lib/hash.h"

/* Memory kept from batch to batch. More is freed after an unusually large row. */
#define ARENA_KEEP   ((size_t)32 << 20)
#define ENTRIES_KEEP (1u << 20)

void
batch_init(struct batch *batch)
{
    *batch = (struct batch){.first_table = BATCH_NONE, .last_table = BATCH_NONE};
}

void
batch_free(struct batch *batch)
{
    buf_free(&batch->arena);
    free(batch->entries);
    free(batch->holes);
    free(batch->tables);
    free(batch->slots);
    batch_init(batch);
}

void
batch_reset(struct batch *batch)
{
    uint32_t next;

    for (uint32_t t = batch->first_table; t != BATCH_NONE; t = next) {
        next = batch->tables[t].next;
        batch->tables[t] = (struct batch_table){BATCH_NONE, BATCH_NONE, 0, BATCH_NONE};
    }
    batch->first_table = batch->last_table = BATCH_NONE;
    if (batch->entries_size > ENTRIES_KEEP) {
        free(batch->entries);
        free(batch->slots);
        batch->entries = NULL;
        batch->slots = NULL;
        batch->entries_size = batch->slots_size = 0;
    }
    for (uint32_t i = 0; i < batch->slots_size; i++)
        batch->slots[i] = BATCH_NONE;
    batch->slots_used = 0;
    batch->entries_count = batch->alive = batch->holes_count = 0;
    buf_reset(&batch->arena, ARENA_KEEP);
}

size_t
batch_bytes(const struct batch *batch)
{
    return buf_len(&batch->arena) + batch->entries_count * sizeof *batch->entries +
           batch->holes_count * sizeof *batch->holes;
}

/* ---- keys ---- */

static uint64_t
hash_of(uint32_t table, struct bytes key)
{
    return hash_finish(hash_bytes(hash_bytes(HASH_SEED, &table, sizeof table), key.data, key.len));
}

static struct bytes
key_of(const struct batch *batch, const struct batch_entry *entry)
{
    return (struct bytes){.data = batch->arena.data + entry->at, .len = entry->key_len};
}

/* The slot that holds the key, or the free one where it belongs. */
static uint32_t
probe(const struct batch *batch, uint32_t table, struct bytes key)
{
    uint32_t mask = batch->slots_size - 1;
    uint32_t at = (uint32_t)hash_of(table, key) & mask;

    for (; batch->slots[at] != BATCH_NONE; at = (at + 1) & mask) {
        const struct batch_entry *entry = &batch->entries[batch->slots[at]];

        if (entry->table == table && entry->key_len == key.len &&
            memcmp(key_of(batch, entry).data, key.data, key.len) == 0)
            break;
    }
    return at;
}

static int
grow_slots(struct batch *batch)
{
    uint32_t old_size = batch->slots_size;
    uint32_t size = old_size == 0 ? 1024 : old_size * 2;
    uint32_t *old = batch->slots;

    batch->slots = malloc(size * sizeof *batch->slots);
    if (batch->slots == NULL) {
        batch->slots = old;
        return -1;
    }
    batch->slots_size = size;
    for (uint32_t i = 0; i < size; i++)
        batch->slots[i] = BATCH_NONE;
    for (uint32_t i = 0; i < old_size; i++)
        if (old[i] != BATCH_NONE) {
            const struct batch_entry *entry = &batch->entries[old[i]];

            batch->slots[probe(batch, entry->table, key_of(batch, entry))] = old[i];
        }
    free(old);
    return 0;
}

uint32_t
batch_find(const struct batch *batch, uint32_t table, struct bytes key)
{
    return batch->slots_size == 0 ? BATCH_NONE : batch->slots[probe(batch, table, key)];
}

/* ---- entries ---- */

static int
grow_entries(struct batch *batch)
{
    uint32_t size = batch->entries_size == 0 ? 1024 : batch->entries_size * 2;
    struct batch_entry *more = realloc(batch->entries, size * sizeof *more);

    if (more == NULL)
        return -1;
    batch->entries = more;
    batch->entries_size = size;
    return 0;
}

static int
grow_tables(struct batch *batch, uint32_t table)
{
    uint32_t size = batch->tables_size == 0 ? 16 : batch->tables_size;
    struct batch_table *more;

    while (size <= table)
        size *= 2;
    more = realloc(batch->tables, size * sizeof *more);
    if (more == NULL)
        return -1;
    for (uint32_t i = batch->tables_size; i < size; i++)
        more[i] = (struct batch_table){BATCH_NONE, BATCH_NONE, 0, BATCH_NONE};
    batch->tables = more;
    batch->tables_size = size;
    return 0;
}

uint32_t
batch_add_hole(struct batch *batch, const struct batch_hole *hole)
{
    if (batch->holes_count == batch->holes_size) {
        uint32_t size = batch->holes_size == 0 ? 64 : batch->holes_size * 2;
        struct batch_hole *more = realloc(batch->holes, size * sizeof *more);

        if (more == NULL)
            return BATCH_NONE;
        batch->holes = more;
        batch->holes_size = size;
    }
    batch->holes[batch->holes_count] = *hole;
    return batch->holes_count++;
}

/* Appends the entry to its table's chain. */
static void
link_entry(struct batch *batch, uint32_t number)
{
    struct batch_entry *entry = &batch->entries[number];
    struct batch_table *table = &batch->tables[entry->table];

    entry->next = BATCH_NONE;
    if (table->first == BATCH_NONE) {
        table->first = number;
        if (batch->last_table == BATCH_NONE)
            batch->first_table = entry->table;
        else
            batch->tables[batch->last_table].next = entry->table;
        batch->last_table = entry->table;
    } else {
        batch->entries[table->last].next = number;
    }
    table->last = number;
    table->alive++;
    batch->alive++;
}

static void
kill_entry(struct batch *batch, uint32_t victim, uint32_t by)
{
    batch->entries[victim].killed_by = by;
    batch->tables[batch->entries[victim].table].alive--;
    batch->alive--;
}

int
batch_add(struct batch *batch, const struct batch_entry *row)
{
    uint32_t number = batch->entries_count;
    struct batch_entry *entry;

    if ((number == batch->entries_size && grow_entries(batch) != 0) ||
        (row->table >= batch->tables_size && grow_tables(batch, row->table) != 0) ||
        (batch->slots_used * 2 >= batch->slots_size && grow_slots(batch) != 0))
        return -1;
    entry = &batch->entries[number];
    *entry = *row;
    entry->killed_by = BATCH_NONE;
    if (entry->key_len > 0) {
        uint32_t *slot = &batch->slots[probe(batch, entry->table, key_of(batch, entry))];

        if (*slot == BATCH_NONE)
            batch->slots_used++;
        else
            kill_entry(batch, *slot, number);
        *slot = number;
    }
    batch->entries_count++;
    link_entry(batch, number);
    return 0;
}

void
batch_drop(struct batch *batch, uint32_t number)
{
    kill_entry(batch, number, number);
}

/* Chains are rebuilt, because a table whose first row goes leaves the order of tables too. */
void
batch_rollback(struct batch *batch, uint32_t mark)
{
    uint32_t next;

    for (uint32_t t = batch->first_table; t != BATCH_NONE; t = next) {
        next = batch->tables[t].next;
        batch->tables[t] = (struct batch_table){BATCH_NONE, BATCH_NONE, 0, BATCH_NONE};
    }
    batch->first_table = batch->last_table = BATCH_NONE;
    batch->alive = 0;
    batch->entries_count = mark;
    for (uint32_t i = 0; i < mark; i++) {
        struct batch_entry *entry = &batch->entries[i];

        link_entry(batch, i);
        if (entry->killed_by != BATCH_NONE && entry->killed_by >= mark)
            entry->killed_by = BATCH_NONE;
        if (entry->killed_by != BATCH_NONE)
            kill_entry(batch, i, entry->killed_by);
    }
}
