/* written.c: see written.h. */
#include "sink-ch/written.h"

#include <stdlib.h>

#include "lib/hash.h"

uint64_t
written_key(const struct written_table *table, struct bytes key)
{
    uint64_t h = hash_bytes(HASH_SEED, table, sizeof *table);

    return hash_finish(hash_bytes(h, key.data, key.len)) | 1;
}

uint64_t
written_row(struct bytes columns)
{
    return hash_finish(hash_bytes(HASH_SEED, columns.data, columns.len)) | 1;
}

/* The key's slot, or the free one where it belongs. */
static struct written_slot *
probe(const struct written *written, uint64_t key)
{
    uint32_t mask = written->size - 1;
    uint32_t at = (uint32_t)(key >> 1) & mask;

    while (written->slots[at].key != 0 && written->slots[at].key != key)
        at = (at + 1) & mask;
    return &written->slots[at];
}

static bool
grow(struct written *written)
{
    struct written larger = {.size = written->size == 0 ? 1024 : written->size * 2,
                             .used = written->used};

    larger.slots = calloc(larger.size, sizeof *larger.slots);
    if (larger.slots == NULL)
        return false;
    for (uint32_t i = 0; i < written->size; i++)
        if (written->slots[i].key != 0)
            *probe(&larger, written->slots[i].key) = written->slots[i];
    free(written->slots);
    *written = larger;
    return true;
}

static bool
put(struct written *written, uint64_t key, uint64_t row)
{
    struct written_slot *slot;

    if (written->used * 2 >= written->size && written->used < WRITTEN_MAX && !grow(written))
        return false;
    slot = probe(written, key);
    if (slot->key == 0) {
        if (written->used == WRITTEN_MAX)
            return false;
        written->used++;
    }
    *slot = (struct written_slot){.key = key, .row = row};
    return true;
}

bool
written_put(struct written *written, uint64_t key, uint64_t row)
{
    if (put(written, key, row))
        return true;
    written_forget(written);
    if (!put(written, key, row))
        written_forget(written);
    return false;
}

uint64_t
written_find(const struct written *written, uint64_t key)
{
    return written->used == 0 ? WRITTEN_NO_ROW : probe(written, key)->row;
}

void
written_forget(struct written *written)
{
    free(written->slots);
    *written = (struct written){0};
}
