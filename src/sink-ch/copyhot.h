/* copyhot.h: missing keys whose rows were read again and left out, because a whole change had come
 * meanwhile. Such a row is in ClickHouse, but that it was missing is noted still. Where whole
 * changes come faster than keys are read, each reading would end so. So the next whole change of
 * such a key notes that it is there. */
#ifndef WALPIPE_SINKCH_COPYHOT_H
#define WALPIPE_SINKCH_COPYHOT_H

#include "lib/event.h"

/* Zero-initialise. */
struct copyhot {
    struct buf keys; /* of each relid, length and bytes */
    uint32_t count;
    struct buf key; /* of the current row */
};

/* Remembers a key, in the form of copymissing.h. Some are left out when there are many. They come
 * again with the next question. */
void copyhot_add(struct copyhot *hot, uint32_t relid, struct bytes key);

/* Forgets the key. Returns false if it is not remembered. */
bool copyhot_take(struct copyhot *hot, uint32_t relid, struct bytes key);

void copyhot_free(struct copyhot *hot);

#endif
