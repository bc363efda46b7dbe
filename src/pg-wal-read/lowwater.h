/* lowwater.h: decides when the replication socket wakes us. A reader that wakes up for every
 * message halves the walsender's speed. So the socket gathers messages for a moment while the
 * stream is busy. While it is not busy, a lone commit must not wait. Must not know the messages'
 * content.
 *
 * A walsender on this machine has further costs. The kernel processes each of its messages in the
 * walsender's time up to our socket, as long as our socket has room. Without room, a message is
 * only added to the walsender's own socket. So on one machine our socket is made small, and left
 * alone for a moment. (15, 1 million rows of 100 bytes: 0.8 s of system time in the walsender
 * instead of 1.7.) Between machines the small buffer would be a limit, and is not set.
 *
 * If a message is larger than the window of so small a buffer, a kernel may hold it back until a
 * timer of 200 ms splits it. This was seen with a quarter of the size. When that seems to happen,
 * the buffer is made large and the low-water mark is used instead. */
#ifndef WALPIPE_PGWALREAD_LOWWATER_H
#define WALPIPE_PGWALREAD_LOWWATER_H

#include "lib/base.h"

enum lowwater_way { LOWWATER_TCP, LOWWATER_LOCAL_TCP, LOWWATER_UNIX };

struct lowwater {
    enum lowwater_way way;
    bool busy;
    uint64_t since; /* while not busy, the start of counting messages, of clock_micros */
    size_t messages;
    uint64_t waits_since; /* start of a wait for bytes alone, 0 without one */
    uint64_t stalled_at;
    uint32_t stalls;
};

/* fd is a connected socket. */
struct lowwater lowwater_start(int fd);

/* Call lowwater_wait before every wait. for_bytes is true if the caller waits for bytes of the
 * socket. Call lowwater_wake before every read, when there may be bytes. */
void lowwater_wait(struct lowwater *l, bool for_bytes);
void lowwater_wake(struct lowwater *l, int fd);

/* A read returned this many messages. With `more`, the socket has further ones. */
void lowwater_read(struct lowwater *l, int fd, size_t messages, bool more);

/* From now on every byte wakes us. */
void lowwater_end(struct lowwater *l, int fd);

/* Returns true if the caller must let bytes gather itself. It polls without the socket, then
 * reads. */
bool lowwater_gathers(const struct lowwater *l, int fd);

/* The longest poll while busy, in microseconds. Read the available bytes after it. */
uint64_t lowwater_patience(const struct lowwater *l);

#endif
