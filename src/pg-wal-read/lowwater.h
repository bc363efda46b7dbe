/* lowwater.h: when the replication socket wakes us. A reader that wakes up for every message halves
 * the walsender's speed, so while the stream is busy the socket gathers messages for a moment;
 * while it is not, a lone commit must not wait. Must not know what the messages are. */
#ifndef WALPIPE_PGWALREAD_LOWWATER_H
#define WALPIPE_PGWALREAD_LOWWATER_H

#include "lib/base.h"

/* Zero-initialise to use. */
struct lowwater {
    bool busy;
    uint64_t since; /* while not busy: since when messages are counted, of clock_micros */
    size_t messages;
};

/* A read gave so many messages; more: not all that were there. */
void lowwater_read(struct lowwater *l, int fd, size_t messages, bool more);

/* From now on every byte counts. */
void lowwater_end(struct lowwater *l, int fd);

/* True where the caller must let bytes gather itself: poll without the socket, then read. */
bool lowwater_gathers(const struct lowwater *l, int fd);

/* How long to poll at most while busy, in microseconds; then read what is there. */
uint64_t lowwater_patience(bool gathers);

#endif
