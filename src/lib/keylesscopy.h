/* keylesscopy.h: a worker's side of copying a table without a key (docs/copy.md, "Tables without a
 * key"). All its ranges are read under one snapshot. Each transaction is taken once. The
 * ranges bring the changes that the snapshot contains, and the others are held until the ranges are
 * written. Until the snapshot is known all changes are held. The sink keeps them in its target. */
#ifndef WALPIPE_KEYLESSCOPY_H
#define WALPIPE_KEYLESSCOPY_H

#include "lib/copyparts.h"

/* The table's part that has such a life. NULL: none has. */
struct copypart *keylesscopy_of(const struct copying *c, uint32_t relid);

/* Whether the transaction's changes are to be held, or, of those that are, to be applied: false
 * when the snapshot contains it. */
bool keylesscopy_lacks(const struct copypart *part, uint32_t xid);

/* Its life comes to nothing: further changes are passed over, and its ranges are dropped, so that
 * pg-table-read begins another one. Held changes may be removed. */
void keylesscopy_spoil(struct copying *c, struct copypart *part);

/* ---- for copying.c ---- */

/* A life begins, of any table; state is still that of before. EXIT_REFUSED where the rows that an
 * earlier one has left were copied with a key, and now there is none, or the other way round. */
int keylesscopy_begin(struct copying *c, struct copypart *part, bool has_key,
                      struct err *err) MUST_CHECK;

/* -1 with err: EXIT_BUG for a range under another snapshot, or out of memory. */
int keylesscopy_range(struct copypart *part, const struct range_event *range,
                      struct err *err) MUST_CHECK;

/* No further range comes, and all are written. */
void keylesscopy_end(struct copying *c, struct copypart *part);

void keylesscopy_committed(struct copypart *part);

#endif
