/* lowwater.h: when the replication socket wakes us. A reader that wakes up for every message halves
 * the walsender's speed, so while the stream is busy the socket gathers messages for a moment;
 * while it is not, a lone commit must not wait. Must not know what the messages are.
 *
 * A walsender on this machine pays for more than waking us: each of its messages goes through the
 * whole of TCP, up to our socket, for as long as there is room in that. When there is none, a
 * message is only added to what the walsender's own socket holds. So there our socket is made
 * small, and left alone for a moment. (15, 1 million rows of 100 bytes: 0.8 s of system time in the
 * walsender instead of 1.7.) Between machines the small buffer would be a limit, and is not set. */
#ifndef WALPIPE_PGWALREAD_LOWWATER_H
#define WALPIPE_PGWALREAD_LOWWATER_H

#include "lib/base.h"

enum lowwater_way { LOWWATER_TCP, LOWWATER_LOCAL_TCP, LOWWATER_UNIX };

struct lowwater {
    enum lowwater_way way;
    bool busy;
    uint64_t since; /* while not busy: since when messages are counted, of clock_micros */
    size_t messages;
};

/* fd: a connected socket. */
struct lowwater lowwater_start(int fd);

/* A read gave so many messages; more: not all that were there. */
void lowwater_read(struct lowwater *l, int fd, size_t messages, bool more);

/* From now on every byte counts. */
void lowwater_end(struct lowwater *l, int fd);

/* True where the caller must let bytes gather itself: poll without the socket, then read. */
bool lowwater_gathers(const struct lowwater *l, int fd);

/* How long to poll at most while busy, in microseconds; then read what is there. */
uint64_t lowwater_patience(const struct lowwater *l);

#endif
