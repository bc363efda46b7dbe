/* slotwatch.h: asks the source from time to time, on a connection of its own, how much WAL the slot
 * retains and whether it is in danger; for ackd's metrics. Its failures are never the pipeline's.
 * It also is who notices that the source wants to shut down (trap 4), and that published tables
 * cannot be read right any more (published.h). */
#ifndef WALPIPE_SLOTWATCH_H
#define WALPIPE_SLOTWATCH_H

#include <libpq-fe.h>

#include "lib/ackmsg.h"
#include "pg-wal-read/source.h"

enum slotwatch_state { SLOTWATCH_WAITING, SLOTWATCH_CONNECTING, SLOTWATCH_ASKED };

struct slotwatch {
    const struct source_options *options;
    PGconn *conn;
    enum slotwatch_state state;
    uint64_t deadline;      /* when to ask again or to give up, of clock_micros */
    uint32_t questions;     /* so far; now and then one is about the published tables */
    bool about_tables;      /* the one that is asked now */
    struct err *refused;    /* set by the owner: where it goes what is wrong with a table */
    short events;           /* what poll should look for on slotwatch_fd */
    uint32_t ending;        /* answers in a row that say: the walsender blocks in its last words */
    char sync_state[16];    /* of our replication connection: "async" is usual */
    uint64_t refused_since; /* the source lets nobody in: it shuts down; 0: it does */
};

/* options and refused must outlive the watch; refused->code is EXIT_REFUSED once something is wrong
 * with a published table. */
void slotwatch_init(struct slotwatch *watch, const struct source_options *options,
                    struct err *refused);

/* The descriptor to poll for watch->events, or -1. */
int slotwatch_fd(const struct slotwatch *watch);

/* Goes on when the descriptor is ready or the deadline has passed. True when *slot is new. */
bool slotwatch_step(struct slotwatch *watch, bool ready, struct ack_slot *slot);

void slotwatch_free(struct slotwatch *watch);

#endif
