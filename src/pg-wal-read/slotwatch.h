/* slotwatch.h: asks the source from time to time, on a connection of its own, how much WAL the slot
 * retains and whether it is in danger. The answers go to ackd's metrics. Failures of this
 * connection never end the pipeline. It also notices that the source wants to shut down (trap 4),
 * and that published tables cannot be read correctly any more (published.h). */
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
    uint64_t deadline;   /* when to ask again or to give up, of clock_micros */
    uint32_t questions;  /* so far, of which some are about the published tables */
    bool about_tables;   /* the open query is about tables */
    struct err *refused; /* set by the owner, receives the fault of a table */
    short events;        /* events of slotwatch_fd to poll for */
    uint32_t ending; /* answers in a row that show the walsender blocked in its final messages */
    char sync_state[16];    /* of our replication connection, usually "async" */
    uint64_t refused_since; /* when the source first refused all logins because it shuts down, 0 if
                               it does not */
};

/* options and refused must outlive the watch. refused->code is EXIT_REFUSED once a published table
 * has a fault. */
void slotwatch_init(struct slotwatch *watch, const struct source_options *options,
                    struct err *refused);

/* The descriptor to poll for watch->events, or -1. */
int slotwatch_fd(const struct slotwatch *watch);

/* Continues when the descriptor is ready or the deadline has passed. Returns true if *slot is
 * new. */
bool slotwatch_step(struct slotwatch *watch, bool ready, struct ack_slot *slot);

void slotwatch_free(struct slotwatch *watch);

#endif
