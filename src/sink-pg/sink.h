/* sink.h: the life of one worker: the event stream in, batches to the target, reports to ackd. */
#ifndef SINK_PG_SINK_H
#define SINK_PG_SINK_H

#include "sink-pg/deliver.h"
#include "sink-pg/options.h"

struct sink {
    const struct options *options;
    struct log *log;
    int in;
    struct frame_reader reader;
    struct hello hello;
    struct ackclient ack;
    struct deliver deliver;
    struct tables tables;
    struct batch batch;
    /* The transaction that is being read. */
    bool in_tx;
    bool skip; /* it is durable already */
    struct begin_event begin;
    uint64_t events;
    uint64_t last_ordinal;
    uint64_t last_end_lsn;    /* of the commit before */
    struct position position; /* where the target will be when the batch's whole transactions are
                                 applied */
    bool barrier_open;        /* we are the applier: the next change is the barrier's */
    uint64_t barrier_id;
    bool ended;
    /* Time. */
    uint64_t row_since;  /* the first row or commit of the batch came; 0: none waits */
    uint64_t written_at; /* the progress was */
    /* Reports. */
    uint64_t reported_lsn;
    uint64_t applied_rows; /* since the last report */
    uint64_t flush_micros;
};

/* Zero-initialise sink, set options, log, in and reader; reads to the end frame. 0, or -1 with
 * err. */
int sink_run(struct sink *sink, struct err *err) MUST_CHECK;
void sink_free(struct sink *sink);

/* Reads the stream's first frame. */
int sink_read_hello(int in, struct frame_reader *reader, struct hello *hello,
                    struct err *err) MUST_CHECK;

#endif
