/* copymissing.h: walpipe_missing: keys of rows that a change with unchanged TOASTed values has not
 * found, in tables that are copied. pg-table-read reads them again.
 *
 * A row records for a key whether its row is missing. The version is made of a position in the
 * stream, so of two workers' rows the one of the later position is valid. At the same position a
 * key that was found has a higher version than one that was missed, since ranges are written after
 * the changes. */
#ifndef WALPIPE_SINKCH_COPYMISSING_H
#define WALPIPE_SINKCH_COPYMISSING_H

#include "lib/copydetail.h"
#include "sink-ch/notetable.h"

/* Zero-initialise, then set table. */
struct copymissing {
    struct notetable table;
    bool any; /* keys may be missing */
    struct buf missed, found;
    struct buf names; /* and types of the columns of a key */
};

/* Creates walpipe_missing if it does not exist, and reads it. */
int copymissing_load(struct copymissing *m, struct err *err) MUST_CHECK;

/* Appends the key of a row in the form that pg-table-read expects. An unchanged value is taken from
 * the old row (NULL: none). EXIT_REFUSED: a value of it is not text. */
int copymissing_put_key(const struct relation *relation, const struct tuple *row,
                        const struct tuple *old, struct buf *out, struct err *err) MUST_CHECK;

/* Remembers that a key is missing, or that its row is there or known not to exist, as of a position
 * in the stream. */
void copymissing_miss(struct copymissing *m, const struct relation *relation, struct bytes key,
                      uint64_t position);
void copymissing_find(struct copymissing *m, const struct relation *relation, struct bytes key,
                      uint64_t position);

/* Write the keys that were remembered. Call the first one before the rows of the changes are sent,
 * and the second one after it. */
int copymissing_write_missed(struct copymissing *m, struct err *err) MUST_CHECK;
int copymissing_write_found(struct copymissing *m, struct err *err) MUST_CHECK;

/* Whether keys of the table are missing in any worker. */
int copymissing_any_of(struct copymissing *m, uint32_t relid, bool *any,
                       struct err *err) MUST_CHECK;

/* Appends this worker's keys that are missing, as copydetail.h has them, within COPYMSG_OPAQUE_MAX
 * bytes. */
int copymissing_list(struct copymissing *m, uint32_t relid, struct buf *keys,
                     struct err *err) MUST_CHECK;

/* Forgets keys of other columns, or types, than the table's identity has now. All rows of the table
 * are read again after such a change. */
int copymissing_forget_others(struct copymissing *m, const struct relation *relation,
                              uint64_t position, struct err *err) MUST_CHECK;

void copymissing_free(struct copymissing *m);

#endif
