/* ledger.h: which LSN is safe. Pure arithmetic over what the workers and pg-wal-read reported; it
 * must not know a socket, a file or a clock.
 *
 * The rule: until every worker has registered nothing is safe beyond the slot's confirmed LSN at
 * the start. Then the safe LSN is the minimum of what the workers reached, and it never goes back.
 * It stands still while a worker's target is ahead of what was received: during a replay of what it
 * already has there is no hurry, and if the source lost WAL, the worker would be skipping changes
 * that it never had. */
#ifndef WALPIPE_ACKD_LEDGER_H
#define WALPIPE_ACKD_LEDGER_H

#include "lib/base.h"
#include "lib/limits.h"

struct ledger_worker {
    bool registered;
    uint64_t floor;   /* what it had when it registered; a report below is no news */
    uint64_t reached; /* >= floor */
};

struct ledger {
    uint64_t start;    /* the slot's confirmed LSN when the run began */
    uint64_t received; /* highest LSN received on this connection, >= start */
    uint64_t safe;     /* start <= safe <= received; <= reached of every worker when it moves */
    uint32_t workers_count;
    uint32_t registered_count;
    struct ledger_worker workers[WORKERS_MAX];
};

enum ledger_verdict {
    LEDGER_OK,
    LEDGER_BACKWARDS,      /* lower than the same peer said before: its bug */
    LEDGER_BEYOND_RECEIVED /* durable before it was received: a bug, or `received` is on its way */
};

/* A run of workers_count (1 to WORKERS_MAX) workers begins. */
void ledger_begin(struct ledger *ledger, uint32_t workers_count, uint64_t confirmed_lsn);

/* durable_lsn: progress found in the target, 0: it keeps none, so the slot's confirmed LSN counts.
 * It may be beyond what was received: a replay follows. A worker registers once. */
void ledger_register(struct ledger *ledger, uint32_t worker, uint64_t durable_lsn);

/* On a verdict other than LEDGER_OK nothing was changed. The worker is registered. */
enum ledger_verdict ledger_reached(struct ledger *ledger, uint32_t worker, uint64_t lsn) MUST_CHECK;

/* LEDGER_OK or LEDGER_BACKWARDS. */
enum ledger_verdict ledger_received(struct ledger *ledger, uint64_t lsn) MUST_CHECK;

bool ledger_complete(const struct ledger *ledger); /* every worker has registered */

#endif
