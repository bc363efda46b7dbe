/* ackd.h: what the files of this room share: the state of one ackd, which lives for one run, and
 * what each file does to it. The parts that can be reasoned about alone (ledger, pace, barrier,
 * admission, checkpoint, conn, metrics) have headers of their own and do not include this one.
 *
 * Functions that return int return 0, or -1 with err: ackd then ends, and with it the run. A
 * connection that is merely unwelcome is closed with a line in the log. */
#ifndef WALPIPE_ACKD_ACKD_H
#define WALPIPE_ACKD_ACKD_H

#include "ackd/admission.h"
#include "ackd/barrier.h"
#include "ackd/checkpoint.h"
#include "ackd/conn.h"
#include "ackd/ledger.h"
#include "ackd/metrics.h"
#include "ackd/pace.h"
#include "lib/log.h"

/* Every worker, pg-wal-read, and some `walpipe status`. */
#define CONNS_MAX (WORKERS_MAX + 32)

struct sink {
    char name[NAME_MAX_BYTES + 1];
    uint32_t shards;
    uint32_t first_worker;
    struct barrier barrier;
};

struct worker {
    uint32_t sink; /* index */
    uint32_t shard;
    struct conn *conn; /* NULL: not connected */
    bool registered;
    bool finished;
    bool target_alive;
    char target_message[256]; /* why not */
    uint64_t heard_at;        /* its last message */
    struct worker_metrics metrics;
};

struct ackd {
    struct log log;
    uint64_t started_at;
    uint64_t restarts; /* of the unit, as the supervisor says */

    /* --pipeline, --state, --sink */
    char pipeline[NAME_MAX_BYTES + 1];
    const char *dir_path;
    int dir;
    uint32_t sinks_count, workers_count;
    struct sink sinks[WORKERS_MAX];
    struct worker workers[WORKERS_MAX];
    char sinks_line[CHECKPOINT_SINKS_SIZE]; /* for the checkpoint */

    /* the checkpoint on disk */
    bool checkpoint_known;
    bool checkpoint_failing;       /* the last attempt to write failed */
    uint64_t checkpoint_retry_at;  /* then */
    uint64_t checkpoint_safe_seen; /* safe LSN in the file when ackd started; 0: no file */
    struct checkpoint checkpoint;
    bool proving; /* the slot is ahead of it, and not every worker has proved that this is well */

    /* the run */
    struct conn *reader;
    struct ack_waiting waiting; /* what the reader waits for; message "": for nothing */
    bool running; /* pg-wal-read was accepted: run_id, source, ledger and pace are set */
    bool draining, drained, done;
    struct run_id run_id;
    struct ack_source source;
    bool slot_known;
    bool slot_warned;
    bool wal_end_short; /* the last `slot` message said that WAL was lost */
    struct ack_slot slot;
    struct ledger ledger;
    struct pace pace;

    int listener;
    uint64_t accept_again_at; /* accept(2) failed: not before */
    struct conn conns[CONNS_MAX];
};

/* ---- loop.c ---- */

struct http;

/* Serves until the run is over (0) or broke (-1 with err). http may be NULL. */
int loop_run(struct ackd *ackd, struct http *http, struct err *err) MUST_CHECK;

/* Reads what pg-wal-read has written so far and acts on it. */
int loop_hear_reader(struct ackd *ackd, struct err *err) MUST_CHECK;

/* ---- source.c: pg-wal-read's messages ---- */

int source_hello(struct ackd *ackd, struct conn *conn, const struct ack_message *message,
                 struct err *err) MUST_CHECK;
/* Before the source is known: what pg-wal-read waits for. */
int source_waiting(struct ackd *ackd, struct conn *conn, const struct ack_message *message,
                   struct err *err) MUST_CHECK;
int source_received(struct ackd *ackd, const struct ack_received *received,
                    struct err *err) MUST_CHECK;
int source_slot(struct ackd *ackd, const struct ack_slot *slot, struct err *err) MUST_CHECK;
int source_draining(struct ackd *ackd, struct err *err) MUST_CHECK;
/* The connection is closed. */
int source_gone(struct ackd *ackd, struct err *err) MUST_CHECK;

/* ---- worker.c: a worker's messages ---- */

int worker_register(struct ackd *ackd, struct conn *conn, const struct ack_message *message,
                    struct err *err) MUST_CHECK;
int worker_message(struct ackd *ackd, struct worker *worker, const struct ack_message *message,
                   struct err *err) MUST_CHECK;
int worker_gone(struct ackd *ackd, struct worker *worker, struct err *err) MUST_CHECK;

struct worker_name {
    char text[NAME_MAX_BYTES + 16]; /* "dst/0" */
};
struct worker_name worker_name(const struct ackd *ackd, const struct worker *worker);

/* ---- confirm.c: checkpoint first, then the feedback ---- */

/* Begins to confirm for the run whose source is set: the checkpoint is made to match it, at once or
 * when every worker has proved that it may be. */
int confirm_begin(struct ackd *ackd, bool new_timeline, struct err *err) MUST_CHECK;

/* Every worker has registered: what had to be proved is. */
void confirm_proved(struct ackd *ackd);

/* When confirm_turn has something to do next (clock_micros); 0: nothing is planned. */
uint64_t confirm_deadline(const struct ackd *ackd);

/* Writes the checkpoint and sends feedback if they are due; ends the drain when all is said. */
int confirm_turn(struct ackd *ackd, uint64_t now, struct err *err) MUST_CHECK;

/* ---- report.c ---- */

/* True when every part is well; page gets one line a part. */
bool report_health(const struct ackd *ackd, struct buf *page);
/* Appends an ACK_STATUS message. */
int report_status(const struct ackd *ackd, struct buf *out) MUST_CHECK;
/* Bytes of WAL that are not confirmed to be everywhere. */
uint64_t report_lag(const struct ackd *ackd);

/* ---- http.c ---- */

/* Listens on "ADDR:PORT" ("[ADDR]:PORT" for IPv6). NULL with err. */
struct http *http_open(struct ackd *ackd, const char *address, struct err *err);
void http_close(struct http *http);
/* To be polled for reading. */
int http_descriptor(const struct http *http);
/* When http_turn must be called at the latest (clock_micros); 0: when the descriptor says so. */
uint64_t http_deadline(const struct http *http, uint64_t now);
void http_turn(struct http *http);

#endif
