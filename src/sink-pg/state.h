/* state.h: a worker's state, for worker.c and copies.c. */
#ifndef SINK_PG_STATE_H
#define SINK_PG_STATE_H

#include "lib/intake.h"
#include "sink-pg/deliver.h"
#include "sink-pg/options.h"
#include "sink-pg/skipnotes.h"
#include "sink-pg/staging.h"

/* Zero-initialise to use, then set options and log. */
struct worker {
    const struct options *options;
    struct log *log;
    struct intake intake;
    struct deliver deliver;
    struct wholes wholes;
    struct copyranges copies; /* if hello is of a stream that brings them */
    struct row_values values; /* of the current row, lent to every file that decodes one */
    struct tables tables;
    struct batch batch;
    bool skip;          /* the open transaction is durable already */
    bool stands_still;  /* a barrier was reported, and the change behind it has not come */
    bool layered;       /* older layouts may have had a part of it */
    struct skips skips; /* transactions that a person skips */
    struct skipnotes skipnotes;
    char skips_directory[DEADLETTER_PATH_SIZE];
    struct ack_lacks lacks;   /* of the sink, as ackd knows them */
    struct position position; /* the target's, after the batch's whole transactions are applied */
    /* Ranges that are due, in the commit that is under way. */
    enum copies_turn { COPIES_WAIT, COPIES_SOME, COPIES_ALL } turn;
    /* Time. */
    uint64_t row_since;     /* when the first row or commit of the batch came, 0 if none waits */
    uint64_t written_at;    /* the progress was */
    uint64_t copied_at;     /* ranges had their turn */
    uint64_t streamed_at;   /* a commit of the stream came */
    uint64_t rests_until;   /* no range is written before, because the stream goes first */
    uint64_t skips_look_at; /* when to look again whether all workers have passed a skip */
    uint64_t lacks_look_at; /* when to look again for what the target lacks */
    uint64_t idle_until;    /* when to look again if nothing comes, 0 if never */
    /* Reports. */
    uint64_t reported_lsn;
    uint64_t applied_rows; /* since the last report */
    uint64_t flush_micros;
};

#endif
