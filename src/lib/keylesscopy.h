/* keylesscopy.h: a worker's side of copying a table without a key (docs/copy.md, "Tables without a
 * key"). All its ranges are read under one snapshot. Each transaction is taken once. The
 * ranges bring the changes that the snapshot contains, and the others are held until the ranges are
 * written. Until the snapshot is known all changes are held. The sink keeps them in its target. */
#ifndef WALPIPE_KEYLESSCOPY_H
#define WALPIPE_KEYLESSCOPY_H

#include "lib/copyparts.h"

/* Returns the part of the table that has such a life, or NULL. */
struct copypart *keylesscopy_of(const struct copying *c, uint32_t relid);

/* Whether the snapshot may lack the transaction. Then its changes must be held, and held changes of
 * it must be applied at the end of the copy. */
bool keylesscopy_lacks(const struct copypart *part, uint32_t xid);

/* Lets the life fail. Further changes are skipped, and its ranges are dropped, so that
 * pg-table-read begins another one. Held changes may be removed. */
void keylesscopy_spoil(struct copying *c, struct copypart *part);

/* ---- for copying.c and copylife.c ---- */

/* Call it when the life of any table begins, before its state changes. EXIT_REFUSED if an earlier
 * life copied rows with a key and the table has none now, or the other way round. */
int keylesscopy_begin(struct copying *c, struct copypart *part, bool has_key,
                      struct err *err) MUST_CHECK;

/* Returns 0, or -1 with err. EXIT_BUG means that the range was read under another snapshot. */
int keylesscopy_range(struct copypart *part, const struct range_event *range,
                      struct err *err) MUST_CHECK;

/* No further range comes, and all are written. */
void keylesscopy_end(struct copying *c, struct copypart *part);

void keylesscopy_committed(struct copypart *part);

#endif
