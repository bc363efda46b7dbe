/* walend.h: DIR/wal_end: how far the source's WAL went when it was last seen. While the source is
 * away, a new ackd says from it how far the sinks are behind. Nothing is decided by it, so it is
 * not synced, and a file that cannot be read counts as none. One line:
 *
 *     7300000000000000000 0/1A2B3C4D */
#ifndef WALPIPE_ACKD_WALEND_H
#define WALPIPE_ACKD_WALEND_H

#include "lib/base.h"

struct walend {
    uint64_t system_identifier;
    uint64_t lsn; /* 0: not known */
};

/* Reads it from directory dir; what is not there, or malformed, is not known. */
struct walend walend_read(int dir);

/* Writes it. What fails is tried again with the next position. */
void walend_write(int dir, const struct walend *end);

#endif
