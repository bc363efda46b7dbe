/* layers.h: finds the worker that had a change before the sink's layout was changed. One rule is
 * enough for every change of the layout and for all positions at which workers have stopped. A
 * change is applied if and only if its position is beyond the progress of the worker that owned it
 * under each older layout. Pure, without a connection. */
#ifndef SINK_PG_LAYERS_H
#define SINK_PG_LAYERS_H

#include "lib/intake.h"
#include "lib/relmap.h"

/* At most this many changes of the layout may wait for the workers to pass the older ones'
 * positions. */
#define LAYERS_MAX 8

/* Every transaction with end LSN <= lsn is durable in the target. So are the changes up to
 * partial_ordinal of the one that commits at partial_commit_lsn (0 if none). */
struct position {
    uint64_t lsn;
    uint64_t partial_commit_lsn;
    uint64_t partial_ordinal;
};

struct layer {
    int64_t generation;
    struct layout layout;
    struct position at[WORKERS_MAX]; /* where each of its workers stopped, zero if it had nothing */
};

/* Zero-initialise and set values. layers_free keeps them. */
struct layers {
    struct layer *list[LAYERS_MAX];
    uint32_t count;
    uint64_t highest;     /* no layer has any part of a transaction that commits here or later */
    struct relmap places; /* relid to a struct placement for each layer */
    struct row_values *values; /* borrowed, for the current row */
};

/* The first commit LSN of which a layer has no part. */
uint64_t layer_highest(const struct layer *layer);

/* Takes over the layer. Returns -1 if there are LAYERS_MAX. */
int layers_add(struct layers *l, struct layer *layer) MUST_CHECK;

/* Notes a relation event. Call it before asking about any change of that relation. */
int layers_relation(struct layers *l, const struct relation *relation, struct err *err) MUST_CHECK;

/* Sets *has if the change of the item, a row or a truncate, is in the target already. */
int layers_have(struct layers *l, const struct intake_item *item, uint64_t commit_lsn, bool *has,
                struct err *err) MUST_CHECK;

void layers_free(struct layers *l);

#endif
