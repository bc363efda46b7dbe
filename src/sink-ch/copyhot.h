/* copyhot.h: missing keys whose rows were read again but not written, because a whole change of the
 * key had come in the meantime. Such a row is in ClickHouse, but it is still noted as missing. If
 * whole changes come faster than keys are read, this would happen at each reading. So the next
 * whole change of such a key notes that the row is there. */
#ifndef WALPIPE_SINKCH_COPYHOT_H
#define WALPIPE_SINKCH_COPYHOT_H

#include "lib/event.h"

/* Zero-initialise. */
struct copyhot {
    struct buf keys; /* of each relid, length and bytes */
    uint32_t count;
    struct buf key; /* of the current row */
};

/* Remembers a key, in the form of copymissing.h. If there are too many, some are left out, and come
 * again when missing keys are asked for the next time. */
void copyhot_add(struct copyhot *hot, uint32_t relid, struct bytes key);

/* Forgets the key. Returns false if it is not remembered. */
bool copyhot_take(struct copyhot *hot, uint32_t relid, struct bytes key);

void copyhot_free(struct copyhot *hot);

#endif
