/* tables.h: the source's tables as the stream described them, and the target table of each. */
#ifndef SINK_PG_TABLES_H
#define SINK_PG_TABLES_H

#include "lib/event.h"
#include "lib/relmap.h"
#include "sink-pg/differences.h"
#include "sink-pg/mapping.h"
#include "sink-pg/plan.h"

#define OP_NONE UINT32_MAX

/* One description of a table. A later one that differs is another struct table, so that rows
 * already in a batch keep theirs. */
struct table {
    struct relation relation;
    struct buf raw;                  /* the relation event's frame, to compare a later one with */
    char schema[NAME_MAX_BYTES + 1]; /* of the target */
    char name[NAME_MAX_BYTES + 1];
    char label[132];       /* "schema.name" of the target, for messages */
    bool shared;           /* its rows may be another source table's too */
    bool met;              /* copying knows it */
    bool renamed;          /* before a change goes to its target: look at that, see copytarget.h */
    bool staged;           /* its target is the staging table of a resync, see staging.h */
    bool doubles;          /* its changes go to staging as well */
    bool behind;           /* and not to the table itself */
    bool tolerates;        /* it is copied again: rows that its changes miss are of no account */
    struct table *staging; /* NULL if it was not needed yet */
    bool copied;           /* it is being copied, so rows may be missing yet */
    bool may_lack;         /* it is not, and a row may be missing nevertheless: see copying.h */
    bool lacks;            /* the attempt that is under way can note such rows */
    bool of_ranges;        /* its rows are those of ranges, so rows may be there already */
    bool covered;          /* of ranges, and a row was there already */
    struct plan *plan;     /* NULL until a row needs it */
    struct table *retired_next;
    /* The rows of the segment that is being applied, as a list through op.next. */
    uint32_t first;
    uint32_t last;
    uint32_t count;
    uint32_t inserts;
    struct table *segment_next;
    uint64_t asked;     /* the last query for signatures that it was in (see watch.h) */
    struct found found; /* by the batch that is being applied */
};

struct tables {
    const struct tablemap *mapping;
    bool target_is_source; /* they are the same database */
    struct relmap map;
    struct table *retired; /* replaced, but rows of the batch may still need them */
};

/* A table that a relation event, the whole frame, describes, and that is not one of struct tables.
 * NULL with err. */
struct table *table_new(const struct tables *tables, const struct frame *frame, struct err *err);

/* Whether the frame is the same description as the table's. */
bool table_is(const struct table *table, const struct frame *frame);

/* NULL is allowed. */
void table_free(struct table *table);

/* Takes a relation event. frame is the whole frame. *changed is set if it replaces another
 * description. */
int tables_relation(struct tables *tables, const struct frame *frame, bool *changed,
                    struct err *err) MUST_CHECK;

/* Returns NULL if there was no relation event for it. */
struct table *tables_get(const struct tables *tables, uint32_t relid);

/* Makes table->plan if it is missing or void, and finds out which tables share its rows. Refuses a
 * table whose target holds its own rows. */
int tables_plan(const struct tables *tables, struct table *table, struct session *s,
                struct err *err) MUST_CHECK;

/* Frees replaced tables. Returns true if there were any. */
bool tables_drop_retired(struct tables *tables);
void tables_free(struct tables *tables);

#endif
