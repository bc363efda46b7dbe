/* layers.c: see layers.h. */
#include "sink-pg/layers.h"

#include <stdlib.h>

/* The change at commit_lsn and ordinal is at or before the position. */
static bool
position_has(const struct position *p, uint64_t commit_lsn, uint64_t ordinal)
{
    return commit_lsn < p->lsn ||
           (p->partial_commit_lsn == commit_lsn && ordinal <= p->partial_ordinal);
}

uint64_t
layer_highest(const struct layer *layer)
{
    uint64_t highest = 0;

    for (uint32_t i = 0; i < layer->layout.shards; i++) {
        const struct position *p = &layer->at[i];

        if (p->lsn > highest)
            highest = p->lsn;
        if (p->partial_commit_lsn >= highest && p->partial_commit_lsn != 0)
            highest = p->partial_commit_lsn + 1;
    }
    return highest;
}

int
layers_add(struct layers *l, struct layer *layer)
{
    uint64_t highest = layer_highest(layer);

    if (l->count == LAYERS_MAX)
        return -1;
    l->list[l->count++] = layer;
    if (highest > l->highest)
        l->highest = highest;
    return 0;
}

int
layers_relation(struct layers *l, const struct relation *relation, struct err *err)
{
    struct placement *places;
    void *replaced = NULL;

    if (l->count == 0)
        return 0;
    places = calloc(l->count, sizeof *places);
    if (places == NULL)
        return err_set(err, EXIT_PEER, "out of memory for a table");
    for (uint32_t i = 0; i < l->count; i++)
        if (layout_place(&l->list[i]->layout, relation, &places[i], err) != 0) {
            free(places);
            return -1;
        }
    if (relmap_put(&l->places, relation->relid, places, &replaced) != 0) {
        free(places);
        return err_set(err, EXIT_PEER, "out of memory for a table");
    }
    free(replaced);
    return 0;
}

/* The worker that the layer gave the change to. It is the applier if the change concerned
 * several. */
static int
owner_of(struct layers *l, uint32_t layer, const struct intake_item *item, uint32_t *owner,
         struct err *err)
{
    const struct placement *places;
    struct row_shards shards;

    *owner = 0;
    if (item->kind == INTAKE_TRUNCATE)
        return 0;
    places = relmap_get(&l->places, item->header.relid);
    if (places == NULL)
        return err_set(err, EXIT_BUG, "a row of a relation that was not described");
    if (!layout_shards(&l->list[layer]->layout, &places[layer], item->type, &item->header,
                       item->body, item->elements, l->values, &shards))
        return err_set(err, EXIT_REFUSED, "malformed row event");
    *owner = shards.new_shard;
    return 0;
}

int
layers_have(struct layers *l, const struct intake_item *item, uint64_t commit_lsn, bool *has,
            struct err *err)
{
    uint64_t ordinal =
        item->kind == INTAKE_TRUNCATE ? item->truncate->ordinal : item->header.ordinal;

    *has = false;
    for (uint32_t i = 0; i < l->count && !*has; i++) {
        uint32_t owner;

        if (owner_of(l, i, item, &owner, err) != 0)
            return -1;
        *has = position_has(&l->list[i]->at[owner], commit_lsn, ordinal);
    }
    return 0;
}

void
layers_free(struct layers *l)
{
    void *places;
    size_t at = 0;

    while ((places = relmap_next(&l->places, &at)) != NULL)
        free(places);
    relmap_free(&l->places);
    for (uint32_t i = 0; i < l->count; i++) {
        layout_free(&l->list[i]->layout);
        free(l->list[i]);
    }
    *l = (struct layers){.values = l->values};
}
