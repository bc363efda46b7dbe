/* lowwater.h: when the replication socket wakes us. A reader that wakes up for every message halves
 * the walsender's speed, so while the stream is busy the socket gathers messages for a moment;
 * while it is not, a lone commit must not wait. Must not know what the messages are.
 *
 * A walsender on this machine pays for more than waking us: each of its messages goes through the
 * whole of TCP, up to our socket, for as long as there is room in that. When there is none, a
 * message is only added to what the walsender's own socket holds. So there our socket is made
 * small, and left alone for a moment. (15, 1 million rows of 100 bytes: 0.8 s of system time in the
 * walsender instead of 1.7.) Between machines the small buffer would be a limit, and is not set.
 *
 * A kernel may hold a message back that is larger than the window of so small a buffer, until a
 * timer of 200 ms splits it (seen with a quarter of the size). When that seems to happen, the
 * buffer is made large and the low-water mark used instead. */
#ifndef WALPIPE_PGWALREAD_LOWWATER_H
#define WALPIPE_PGWALREAD_LOWWATER_H

#include "lib/base.h"

enum lowwater_way { LOWWATER_TCP, LOWWATER_LOCAL_TCP, LOWWATER_UNIX };

struct lowwater {
    enum lowwater_way way;
    bool busy;
    uint64_t since; /* while not busy: since when messages are counted, of clock_micros */
    size_t messages;
    uint64_t waits_since; /* for bytes, with nothing else in the way; 0: not */
    uint64_t stalled_at;
    uint32_t stalls;
};

/* fd: a connected socket. */
struct lowwater lowwater_start(int fd);

/* Before every wait: whether bytes of the socket are waited for. Before every read: bytes may be
 * there. */
void lowwater_wait(struct lowwater *l, bool for_bytes);
void lowwater_wake(struct lowwater *l, int fd);

/* A read gave so many messages; more: not all that were there. */
void lowwater_read(struct lowwater *l, int fd, size_t messages, bool more);

/* From now on every byte counts. */
void lowwater_end(struct lowwater *l, int fd);

/* True where the caller must let bytes gather itself: poll without the socket, then read. */
bool lowwater_gathers(const struct lowwater *l, int fd);

/* How long to poll at most while busy, in microseconds; then read what is there. */
uint64_t lowwater_patience(const struct lowwater *l);

#endif
