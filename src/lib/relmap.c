/* relmap.c: see relmap.h. Open addressing with linear probing. No entry is ever removed. */
#include "lib/relmap.h"

#include <stdlib.h>

static size_t
probe(const struct relmap_slot *slots, size_t size, uint32_t relid)
{
    size_t at = (relid * UINT32_C(2654435769)) & (size - 1);

    while (slots[at].value != NULL && slots[at].relid != relid)
        at = (at + 1) & (size - 1);
    return at;
}

void *
relmap_get(const struct relmap *map, uint32_t relid)
{
    if (map->size == 0)
        return NULL;
    return map->slots[probe(map->slots, map->size, relid)].value;
}

static int
grow(struct relmap *map)
{
    size_t size = map->size == 0 ? 64 : map->size * 2;
    struct relmap_slot *slots = calloc(size, sizeof *slots);

    if (slots == NULL)
        return -1;
    for (size_t i = 0; i < map->size; i++)
        if (map->slots[i].value != NULL)
            slots[probe(slots, size, map->slots[i].relid)] = map->slots[i];
    free(map->slots);
    map->slots = slots;
    map->size = size;
    return 0;
}

int
relmap_put(struct relmap *map, uint32_t relid, void *value, void **replaced)
{
    struct relmap_slot *slot;

    if (map->count * 2 >= map->size && grow(map) != 0)
        return -1;
    slot = &map->slots[probe(map->slots, map->size, relid)];
    *replaced = slot->value;
    if (slot->value == NULL)
        map->count++;
    *slot = (struct relmap_slot){.relid = relid, .value = value};
    return 0;
}

void *
relmap_next(const struct relmap *map, size_t *at)
{
    while (*at < map->size) {
        void *value = map->slots[(*at)++].value;

        if (value != NULL)
            return value;
    }
    return NULL;
}

void
relmap_free(struct relmap *map)
{
    free(map->slots);
    *map = (struct relmap){0};
}
