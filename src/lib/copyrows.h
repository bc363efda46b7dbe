/* copyrows.h: rows of the stream and of ranges as lib/tracked knows them: keys, and the values of
 * partial updates. For copying.c; a sink uses copying.h. */
#ifndef WALPIPE_COPYROWS_H
#define WALPIPE_COPYROWS_H

#include "lib/copyparts.h"

/* The bytes of a row's key; valid until the next call. A value that did not change is taken from
 * old, which may be NULL. EXIT_REFUSED: a value of it is not text. */
int copyrows_key(struct copying *c, const struct relation *relation, const struct tuple *row,
                 const struct tuple *old, struct bytes *key, struct err *err) MUST_CHECK;

/* Tracks a row event. type is FRAME_INSERT, FRAME_UPDATE or FRAME_DELETE. */
int copyrows_track(struct copying *c, const struct relation *relation, uint32_t xid, uint8_t type,
                   const struct row_event *row, struct err *err) MUST_CHECK;

/* Tracks a whole change of this row's key. */
int copyrows_track_key(struct copying *c, const struct relation *relation, uint32_t xid,
                       const struct tuple *row, struct err *err) MUST_CHECK;

/* Lays the partial updates of the key that the range lacks over its row. EXIT_BUG: they have
 * other columns than the range. */
int copyrows_lay_over(struct copying *c, const struct heldrange *range, struct bytes key,
                      struct tuple *row, struct err *err) MUST_CHECK;

#endif
