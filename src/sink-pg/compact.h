/* compact.h: reduces many changes of one table to one net change per key, so that a set-based
 * statement sees each row once (traps 79 to 81). Pure, without a connection.
 *
 * - Insert, then update is an insert of the final row.
 * - Update, then update is one update. Values that the later one did not send stay as in the
 *   earlier one.
 * - Any change, then delete is a delete. That holds also after an insert, because the row may be
 *   older than the batch.
 * - Delete, then insert is a replace, in which the row goes and a new one comes.
 * - An update that changes the key is a delete of the old key and an insert of the new one.
 *
 * Under REPLICA IDENTITY FULL the source's key may be deferrable. It can belong to two rows for a
 * moment, and one of them may be there since before the batch. So a row is compared with the row
 * that the earlier changes left, and a row that is inserted and deleted again does not affect the
 * key.
 *
 * Changes that cannot be expressed in this way are odd, and are then applied one by one.
 *
 * By row, under FULL only, there is one net change per row with all its values. It has the rows
 * that are removed and those that are added, no matter which keys they had in between. */
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
    bool expected; /* the row must be in the target, because the first change was an update or
                      delete */
    uint32_t op;   /* the op that has the new row, for a delete the op whose match finds the row */
    uint32_t merged; /* 1 + place in values of a row merged from several, 0 for op's own */
    uint64_t key_at; /* in keys */
    uint32_t key_len;
    uint64_t hash;
};

/* Zero-initialise to use. Reused for the process's life. */
struct compact {
    const struct batch *batch;
    const struct table *table;
    bool by_row;
    struct net *nets; /* in the order of their keys' first change */
    uint32_t count;
    uint32_t size;
    uint32_t *slots; /* 1 + place in nets, 0 if free */
    uint32_t slots_size;
    struct buf keys;
    struct value *values;
    size_t values_count;
    size_t values_size;
    struct row_values before; /* the row that an update adds to, beside the current one */
    /* Kinds in nets, by compact_count. replaces includes those of NET_EVICT. */
    uint32_t deletes, replaces, evicts, updates, inserts;
};

/* For the changes of one table. */
int compact_start(struct compact *c, const struct op_list *list, bool by_row,
                  struct err *err) MUST_CHECK;
/* Returns DONE, NOT if the change is odd, or RETRY with err when memory is out. */
enum outcome compact_add(struct compact *c, uint32_t op, const struct change *change,
                         struct err *err) MUST_CHECK;
void compact_count(struct compact *c);

/* The net change's values in source order. For a delete they are those that find the row. values is
 * room for a decoded row. */
int compact_row(const struct compact *c, const struct net *net, struct row_values *values,
                const struct value **row, struct err *err) MUST_CHECK;
void compact_free(struct compact *c);

#endif
