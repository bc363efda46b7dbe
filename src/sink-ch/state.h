/* state.h: the state of one worker, which the files that apply events share. */
#ifndef WALPIPE_SINKCH_STATE_H
#define WALPIPE_SINKCH_STATE_H

#include "lib/intake.h"
#include "lib/relmap.h"
#include "lib/skips.h"
#include "sink-ch/batch.h"
#include "sink-ch/copyheld.h"
#include "sink-ch/copyhot.h"
#include "sink-ch/copymissing.h"
#include "sink-ch/copynotes.h"
#include "sink-ch/journal.h"
#include "sink-ch/table.h"
#include "sink-ch/written.h"

/* Encoded bytes that wait, over all tables. */
#define BATCH_BYTES_MAX ((size_t)16 << 20)

/* LSNs are multiples of 4, and a commit record is longer: nothing of the stream has the LSN that
 * lies so far below the end of all that was received. An end of a timeline there has it still. It
 * is that of the versions of copied rows. */
#define COPIES_BELOW_POSITION 4

/* Tables that are copied: copies.h. */
struct copies {
    struct copying copying;
    struct copynotes notes;
    struct copymissing missing;
    struct copyhot hot;
    struct copyheld held;
    bool stands_still;  /* behind a barrier */
    uint64_t due_since; /* ranges wait to be written, 0 if none */
    uint64_t pause_at;  /* when the input pauses for so long that they are, 0 while it goes on */
    struct buf key;
};

/* The open transaction. */
struct transaction {
    bool open;
    uint64_t commit_lsn;
    uint32_t mark; /* the batch's entries before it */
};

struct progress {
    uint64_t committed; /* everything up to here was received */
    uint64_t noted;     /* durable, and in the journal */
    uint64_t noted_at;
    uint64_t reported; /* reported to ackd as durable */
    uint64_t reported_at;
    uint64_t events;       /* received since the last report */
    uint64_t first_row_at; /* clock_micros of the batch's first row, 0 without rows */
};

struct worker {
    const struct options *options;
    const struct log *log;
    struct intake intake;
    struct server server;
    struct journal journal;
    struct relmap tables;       /* that the stream has described */
    struct relmap range_tables; /* of ranges that have other columns: tables.h */
    struct table **by_number;
    uint32_t tables_count;
    struct batch batch;
    struct convert convert;
    struct row_values values; /* of the current row event */
    struct buf old_key;
    struct buf old_row;
    struct buf body; /* of a request */
    struct transaction transaction;
    struct written written; /* by the open transaction */
    struct progress progress;
    struct copies copies;
    struct skips skips; /* transactions that a person skips */
    char skips_directory[DEADLETTER_PATH_SIZE];
    struct ack_lacks lacks; /* of the sink, as ackd knows them */
    uint64_t lacks_look_at; /* when to look again for them */
};

/* The position in the stream up to which everything has come. */
static inline uint64_t
state_position(const struct worker *w)
{
    uint64_t start = w->intake.hello.start_lsn;

    return w->progress.committed > start ? w->progress.committed : start;
}

#endif
