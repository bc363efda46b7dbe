/* ledger.h: computes the safe LSN. Pure arithmetic over the reports of the workers and of
 * pg-wal-read. It must not know a socket, a file or a clock.
 *
 * Until every worker has registered, nothing is safe beyond the slot's confirmed LSN at the start.
 * Then the safe LSN is the minimum of the LSNs that the workers reached, and it never goes back. It
 * stands still while a worker's target is ahead of the received LSN, because the source then sends
 * changes again that this target has, and nothing is lost by waiting. If the source lost WAL, new
 * changes could come at LSNs that the target has passed, and the worker would skip them.
 *
 * A worker of a paused sink does not run. Its target has everything up to the slot's LSN at the
 * start and perhaps no more, so nothing beyond this LSN is safe in the whole run.
 *
 * A worker of a detached sink does not run either, and nobody waits for it. Its target lacks what
 * was confirmed without it, so the sink does not run again before it has begun anew. */
#ifndef WALPIPE_ACKD_LEDGER_H
#define WALPIPE_ACKD_LEDGER_H

#include "lib/base.h"
#include "lib/limits.h"

struct ledger_worker {
    bool registered;
    bool paused;
    bool detached;
    uint64_t floor;   /* the LSN at registration, below which reports are ignored */
    uint64_t reached; /* >= floor */
};

struct ledger {
    uint64_t start;    /* the slot's confirmed LSN when the run began */
    uint64_t received; /* highest LSN received on this connection, >= start */
    uint64_t
        safe; /* start <= safe <= received, and <= reached of every attached worker when it moves */
    uint32_t workers_count;
    uint32_t registered_count;
    uint32_t paused_count;
    uint32_t detached_count; /* never all of them */
    struct ledger_worker workers[WORKERS_MAX];
};

enum ledger_verdict {
    LEDGER_OK,
    LEDGER_BACKWARDS,      /* lower than the peer's earlier report, which is its bug */
    LEDGER_BEYOND_RECEIVED /* durable before it was received, which is a bug unless `received` is on
                              its way */
};

/* A run of workers_count (1 to WORKERS_MAX) workers begins. */
void ledger_begin(struct ledger *ledger, uint32_t workers_count, uint64_t confirmed_lsn);

/* The worker's sink is paused for the whole run, so the worker does not register. To be called
 * right after ledger_begin, once for each such worker. */
void ledger_pause(struct ledger *ledger, uint32_t worker);

/* The same for a worker whose sink is detached. Some worker is not. */
void ledger_detach(struct ledger *ledger, uint32_t worker);

/* durable_lsn is the progress found in the target. If it is 0 the target keeps none, and the slot's
 * confirmed LSN counts. It may be beyond the received LSN, and then a replay follows. A worker
 * registers once. */
void ledger_register(struct ledger *ledger, uint32_t worker, uint64_t durable_lsn);

/* Changes nothing on a verdict other than LEDGER_OK. The worker must be registered. */
enum ledger_verdict ledger_reached(struct ledger *ledger, uint32_t worker, uint64_t lsn) MUST_CHECK;

/* Returns LEDGER_OK or LEDGER_BACKWARDS. */
enum ledger_verdict ledger_received(struct ledger *ledger, uint64_t lsn) MUST_CHECK;

bool
ledger_complete(const struct ledger *ledger); /* every worker has registered, or is set aside */

#endif
