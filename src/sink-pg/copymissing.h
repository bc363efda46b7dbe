/* copymissing.h: walpipe.missing in the target. It has the keys of rows that are to be read again,
 * with the names of the key's columns and the oids of their types. */
#ifndef SINK_PG_COPYMISSING_H
#define SINK_PG_COPYMISSING_H

#include "sink-pg/batch.h"
#include "sink-pg/keylist.h"
#include "sink-pg/session.h"

/* Zero-initialise, then set pipeline and hello. */
struct copymissing {
    const char *pipeline;
    const struct hello *hello;
    bool any; /* the table may have rows of this sink; other workers may add some at any time */
};

/* Checks whether the table has rows of the sink. */
int copymissing_look(struct copymissing *m, struct session *s, struct err *err) MUST_CHECK;

/* Adds the keys of those of the first `to` changes that have met no row. */
int copymissing_add(struct copymissing *m, struct session *s, const struct batch *batch,
                    uint32_t to, struct row_values *values, struct err *err) MUST_CHECK;

/* Removes keys of a table, because their rows were written or are known to be absent. */
int copymissing_remove(const struct copymissing *m, struct session *s, uint32_t relid,
                       struct keylist *keys, struct err *err) MUST_CHECK;

/* Removes keys of other columns, or of other types, than the table's identity has now. Since that
 * was changed, all its rows are read again. */
int copymissing_forget(const struct copymissing *m, struct session *s,
                       const struct relation *relation, struct err *err) MUST_CHECK;

/* Removes the keys of all workers if the table has no notes. */
int copymissing_drop(const struct copymissing *m, struct session *s, uint32_t relid,
                     struct err *err) MUST_CHECK;

/* Appends this worker's missing keys, as copydetail.h has them, within COPYMSG_OPAQUE_MAX bytes. */
int copymissing_read(const struct copymissing *m, struct session *s, uint32_t relid,
                     struct buf *keys, struct err *err) MUST_CHECK;

#endif
