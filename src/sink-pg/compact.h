/* compact.h: many changes of one table to one net change per key, so that a set-based statement
 * sees each row once (traps 79 to 81). Pure: no connection.
 *
 * - insert, then update: an insert of the final row.
 * - update, then update: one update; what the later one did not send stays as the earlier said.
 * - anything, then delete: a delete; also after an insert: the row may be older than the batch.
 * - delete, then insert: a replace: the row goes, a new one comes.
 * - update that changes the key: a delete of the old key, an insert of the new one.
 *
 * Under REPLICA IDENTITY FULL the source's key may be deferrable: it can belong to two rows for a
 * moment, of which one may be there since before the batch. So a row is compared with what the
 * changes before it left, and one that comes and goes leaves the key alone.
 *
 * What cannot be written so is odd: the changes are then applied one by one.
 *
 * By row, under FULL only: one net change per row, all its values: the rows that go and those that
 * come, whichever keys they shared on the way. */
#ifndef SINK_PG_COMPACT_H
#define SINK_PG_COMPACT_H

#include "sink-pg/batch.h"
#include "sink-pg/outcome.h"

enum net_kind {
    NET_INSERT = 'I',
    NET_REPLACE = 'R',
    NET_EVICT = 'E', /* an insert, before which the row of its key goes, if there is one */
    NET_UPDATE = 'U',
    NET_DELETE = 'D',
    NET_NONE = 'N' /* the row came and went */
};

struct net {
    enum net_kind kind;
    bool expected;   /* the row must be in the target: the first change was an update or delete */
    uint32_t op;     /* whose new row it is; for a delete, whose match finds the row */
    uint32_t merged; /* 1 + place in values of the row put together of several; 0: op's own */
    uint64_t key_at; /* in keys */
    uint32_t key_len;
    uint64_t hash;
};

/* Zero-initialise; reused for the process's life. */
struct compact {
    const struct batch *batch;
    const struct table *table;
    bool by_row;
    struct net *nets; /* in the order of their keys' first change */
    uint32_t count;
    uint32_t size;
    uint32_t *slots; /* 1 + place in nets; 0: free */
    uint32_t slots_size;
    struct buf keys;
    struct value *values;
    size_t values_count;
    size_t values_size;
    struct row_values before; /* the row an update adds to, beside the one in hand */
    /* Kinds in nets, by compact_count; replaces are those of NET_EVICT too. */
    uint32_t deletes, replaces, evicts, updates, inserts;
};

/* For the changes of one table. */
int compact_start(struct compact *c, const struct op_list *list, bool by_row,
                  struct err *err) MUST_CHECK;
/* DONE; NOT: it is odd; RETRY: out of memory, err is set. */
enum outcome compact_add(struct compact *c, uint32_t op, const struct change *change,
                         struct err *err) MUST_CHECK;
void compact_count(struct compact *c);

/* The net change's values in source order: of a delete those that find the row. values is room for
 * a decoded row. */
int compact_row(const struct compact *c, const struct net *net, struct row_values *values,
                const struct value **row, struct err *err) MUST_CHECK;
void compact_free(struct compact *c);

#endif
