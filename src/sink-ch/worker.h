/* worker.h: one worker: its state, and what the files that apply events do with it.
 *
 *     worker.c    the loop: frames in, deadlines, acks
 *     rows.c      a row event to rows of the batch
 *     displaced.c rows that share a key for a moment
 *     readback.c  values that were not sent, from ClickHouse
 *     send.c      the batch to ClickHouse
 *     truncate.c  TRUNCATE
 *     journal.c   how far ClickHouse is, in ClickHouse
 */
#ifndef WALPIPE_SINKCH_WORKER_H
#define WALPIPE_SINKCH_WORKER_H

#include "lib/relmap.h"
#include "sink-ch/batch.h"
#include "sink-ch/journal.h"
#include "sink-ch/schema.h"
#include "sink-ch/written.h"

/* The open transaction. */
struct transaction {
    bool open;
    uint64_t commit_lsn;
    uint64_t events; /* received so far */
    uint32_t mark;   /* the batch's entries before it */
};

struct progress {
    uint64_t committed; /* everything up to here was received */
    uint64_t noted;     /* durable, and in the journal */
    uint64_t noted_at;
    uint64_t reported; /* told to ackd as durable */
    uint64_t reported_at;
    uint64_t events;       /* received since the last report */
    uint64_t first_row_at; /* clock_micros of the batch's first row; 0: no rows */
};

/* A barrier that this worker is to apply: the next change. */
struct open_barrier {
    bool open;
    uint64_t id;
};

struct worker {
    const struct options *options;
    const struct log *log;
    struct hello hello;
    struct frame_reader reader;
    int input_fd;
    struct ackclient ack;
    struct server server;
    struct journal journal;
    struct relmap tables;
    struct table **by_number;
    uint32_t tables_count;
    struct batch batch;
    struct convert convert;
    struct row_values values; /* of the row event in hand */
    struct buf old_key;
    struct buf old_row;
    struct buf body; /* of a request */
    struct transaction transaction;
    struct written written; /* by the open transaction */
    struct progress progress;
    struct open_barrier barrier;
};

/* ---- worker.c ---- */

/* Reads the stream to its end. 0, or -1 with err. */
int worker_run(struct worker *worker, struct err *err) MUST_CHECK;
void worker_free(struct worker *worker);

/* ---- rows.c ---- */

/* Adds what a decoded insert, update or delete leaves behind to the batch. */
int rows_apply(struct worker *worker, struct table *table, uint8_t type,
               const struct row_event *row, struct err *err) MUST_CHECK;

struct version rows_version(const struct worker *worker, const struct table *table,
                            uint64_t ordinal);

/* ---- displaced.c ---- */

/* Remembers what the open transaction's part of the batch leaves in ClickHouse. */
void displaced_keep_written(struct worker *worker);

/* ---- truncate.c ---- */

/* Reads which truncate the table has seen last; after schema_load. */
int truncate_read_mark(struct worker *worker, struct table *table, struct err *err) MUST_CHECK;

/* Empties the table, by the truncate event of this ordinal; unless that was done before. */
int truncate_apply(struct worker *worker, struct table *table, uint64_t ordinal,
                   struct err *err) MUST_CHECK;

/* ---- readback.c ---- */

/* Fills the holes of a table's rows. Rows that ClickHouse already has in a newer version leave the
 * batch. */
int readback_fill(struct worker *worker, const struct table *table, struct err *err) MUST_CHECK;

/* ---- send.c ---- */

/* Sends every table's rows and forgets them; returns when ClickHouse has them all. The frame in
 * hand is gone afterwards. */
int send_batch(struct worker *worker, struct err *err) MUST_CHECK;

#endif
