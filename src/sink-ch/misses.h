/* misses.h: rows of the batch with values that were not sent and are not in ClickHouse either, in a
 * table that is copied. Their keys are noted as missing, and read again later. */
#ifndef WALPIPE_SINKCH_MISSES_H
#define WALPIPE_SINKCH_MISSES_H

#include "sink-ch/state.h"

/* Remembers the key of an entry with holes, and turns the entry into a tombstone: until the key is
 * read again, the target shows no row of it. */
int misses_enter(struct worker *worker, const struct table *table, uint32_t entry,
                 struct err *err) MUST_CHECK;

/* Remembers the key of an entry with holes whose values come from a row that may be wrong, as its
 * table is copied again. The entry stays: the target shows no fewer rows than it did. */
void misses_doubt(struct worker *worker, const struct table *table,
                  const struct batch_entry *entry);

/* Notes the keys that were remembered; before the rows of the batch are sent. After a crash between
 * the two, the replayed change finds its own tombstone, and would not be missed again. */
int misses_write(struct worker *worker, struct err *err) MUST_CHECK;

#endif
