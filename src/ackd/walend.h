/* walend.h: the file DIR/wal_end, which holds the last known end of the source's WAL. While the
 * source is away, a new ackd computes the sinks' lag from it. No decision depends on it. So it is
 * not synced, and a file that cannot be read counts as none. It has one line:
 *
 *     7300000000000000000 0/1A2B3C4D */
#ifndef WALPIPE_ACKD_WALEND_H
#define WALPIPE_ACKD_WALEND_H

#include "lib/base.h"

struct walend {
    uint64_t system_identifier;
    uint64_t lsn; /* 0 if not known */
};

/* Reads it from directory dir. A missing or malformed file counts as not known. */
struct walend walend_read(int dir);

/* Writes it. A write that fails is tried again with the next position. */
void walend_write(int dir, const struct walend *end);

#endif
