/* ackmsg.h: the messages that workers, pg-wal-read, pg-table-read and `walpipe status` send to ackd
 * over its Unix socket, and its answers. They use the same frames as the streams, of at most
 * ACK_FRAME_MAX bytes. Every message of a run carries its run id, and ackd ignores messages of any
 * other run (docs/ack.7).
 *
 * The rule (docs/guarantees.7) is that "X is reached" means that every transaction with end_lsn <=
 * X that this worker was sent is durable in its target. */
#ifndef WALPIPE_ACKMSG_H
#define WALPIPE_ACKMSG_H

#include "lib/copymsg.h"
#include "lib/frame.h"

enum ack_type {
    /* pg-wal-read to ackd */
    ACK_SOURCE = 1,   /* describes the source, answered by accepted or refused */
    ACK_RECEIVED = 2, /* the highest LSN received, and whether the server asked for a reply */
    ACK_SLOT = 3,     /* the slot's state on the source, for metrics */
    ACK_DRAINING =
        4, /* `end` is written and nothing more will come, which ackd tells pg-table-read */
    ACK_WAITING = 5, /* sent before `source`, the reason why there is no run yet */
    /* pg-table-read to ackd */
    ACK_COPIER = 6, /* the first message, answered by run when there is one, or by refused */
    ACK_ASK = 7,    /* which workers must answer a life, sent before its `table` is written */
    /* worker to ackd */
    ACK_REGISTER = 8,         /* describes the worker, answered by accepted or refused */
    ACK_REACHED = 9,          /* everything up to lsn is durable here */
    ACK_TARGET = 10,          /* the target came up or went down */
    ACK_BARRIER_REACHED = 11, /* everything before barrier id is durable, waits for ACK_GO */
    ACK_BARRIER_DONE = 12,    /* the applier made the barrier's change durable */
    ACK_FINISHED = 13,        /* has read `end`, flushed and reported everything */
    ACK_DIFFERENCES = 14,     /* changes that found another row in the target than the source had */
    ACK_TABLE_STATE = 15,     /* ackd forwards this one and the next two to pg-table-read */
    ACK_COPIED = 17,
    ACK_MISSING = 18,
    ACK_COPY_COUNTS = 19,  /* for people: its tables by state, and the rows that it wrote */
    ACK_TABLE_COUNTS = 20, /* for people: the changes of a table, and the state of its copy */
    /* anybody to ackd */
    ACK_LACKS = 21, /* for people: changes that its sink's target lacks by walpipe skip */
    ACK_STATUS_REQUEST = 16,
    ACK_CONTROL = 22,    /* a command; ackd forwards it to pg-table-read */
    ACK_CONTROLLED = 23, /* the answer, from pg-table-read to ackd, and from ackd to the command */
    /* ackd's answers */
    ACK_ACCEPTED = 32,
    ACK_REFUSED = 33,
    ACK_FEEDBACK = 34, /* to pg-wal-read, bytes for the replication connection */
    ACK_DRAINED = 35, /* to pg-wal-read when every worker finished and the last feedback was sent */
    ACK_GO = 36,      /* to a worker, which continues past barrier id */
    ACK_STATUS = 37,
    ACK_RUN = 38,     /* to pg-table-read when all workers have registered, like the next two */
    ACK_RELAYED = 39, /* a worker's message about a copy */
    ACK_ANSWERED = 40 /* all workers that were asked have answered */
};

/* The condition that pg-wal-read waits for before it can begin. */
struct ack_waiting {
    bool standby;      /* for a slot that another process uses, which this walpipe will take over */
    char message[256]; /* for people, "" once it continues */
};

struct ack_source {
    uint64_t system_identifier;
    uint32_t timeline;
    char database[NAME_MAX_BYTES + 1];
    char slot[NAME_MAX_BYTES + 1];
    uint32_t server_version;
    uint64_t confirmed_lsn;         /* the slot's confirmed_flush_lsn, 0 if there is no such slot */
    uint32_t wal_sender_timeout_ms; /* 0 if none */
    uint32_t previous_timeline;     /* the timeline that this one left, 0 if none */
    uint64_t switch_lsn;            /* where it left */
    bool standby; /* the stream comes from a server in recovery. Not in a status. */
};

struct ack_received {
    uint64_t lsn;
    bool reply_requested;
    int64_t commit_time; /* of the last commit in it, microseconds since 2000-01-01 UTC, 0 if it is
                            not known */
};

struct ack_slot {
    uint64_t current_lsn; /* pg_current_wal_lsn() */
    uint64_t restart_lsn;
    uint64_t retained_bytes; /* current_lsn - restart_lsn */
    char wal_status[32];     /* reserved, extended, unreserved, lost */
    int64_t safe_wal_size;   /* bytes left before the slot may be lost, -1 without a limit */
    uint64_t xmin_age; /* age(catalog_xmin), the number of transactions whose dead catalog rows are
                          kept */
    bool output_full;  /* pg-wal-read waits for the next program, not for the source */
};

/* What the worker knows of its position in the target. */
enum ack_position {
    ACK_POSITION_UNKNOWN, /* the target keeps none, or the program does not say */
    ACK_POSITION_FOUND,   /* there is one, though it may be of an earlier timeline */
    ACK_POSITION_NEW,     /* there is none, and all tables are to be copied */
    ACK_POSITION_NONE     /* there is none, and tables count as the source's without a copy */
};

struct ack_register {
    char program[32];
    char sink[NAME_MAX_BYTES + 1];
    uint32_t shard;
    uint32_t shards;
    uint64_t durable_lsn; /* progress found in the target, 0 if the target keeps none */
    uint32_t timeline;    /* timeline of that progress; 0, or left out, for the source's */
    uint32_t version;     /* version of the stream that it reads, STREAM_VERSION if left out */
    uint32_t position;    /* enum ack_position, ACK_POSITION_UNKNOWN if left out */
};

struct ack_reached {
    uint64_t lsn;
    uint64_t events;       /* changes made durable since the last report, 0 without a batch */
    uint64_t batch_rows;   /* rows written in the batch that this report ends */
    uint64_t flush_micros; /* time that the target took for it */
    int64_t commit_time;   /* of the last transaction up to lsn, microseconds since 2000-01-01 UTC,
                              0 if it is not known */
    bool kept;             /* the target has lsn as the worker's position, false if left out */
};

struct ack_target {
    bool alive;
    char message[256]; /* why it is not alive */
};

/* The content of the barrier frame. ackd sees no stream, so every worker sends it, and all must
 * agree. */
struct ack_barrier {
    uint64_t id;
    uint32_t applier; /* shard that continues first */
};

/* Counts, for one target table, the durable changes that did not find the row that they should have
 * found. They cover the time since the last report, or a run. */
struct ack_differences {
    char relation[132];        /* "schema.table" */
    uint64_t updates_missing;  /* updates that found no row, and inserted it */
    uint64_t deletes_missing;  /* deletes that found none */
    uint64_t inserts_existing; /* inserts that overwrote a row with the same key and other values */
    uint64_t schema_changes;   /* of the source, after which older rows may differ */
};

/* Of one table, since the last report, and durable. */
struct ack_table_counts {
    char table[132]; /* of the source, "schema.table" */
    char state[16];  /* of its copy, as copyparts_state_name has it, "" if it is not known */
    uint64_t inserts, updates, deletes, truncates;
};

/* Of a sink whose target says that it lacks changes, because they were skipped. */
struct ack_lacks {
    uint64_t tables;
    uint64_t changes;
};

struct ack_refusal {
    char message[512];
    char hint[512];
};

struct ack_message {
    enum ack_type type;
    struct run_id run_id; /* all zero in ACK_STATUS_REQUEST, ACK_COPIER and a
                             command's ACK_CONTROL */
    struct bytes body;    /* after decoding, the whole array in the frame */
    union {
        struct ack_source source; /* ACK_SOURCE, ACK_RUN */
        struct ack_received received;
        struct ack_slot slot;
        struct ack_waiting waiting;
        struct ack_register registration;
        struct ack_reached reached;
        struct ack_target target;
        struct ack_barrier barrier; /* ACK_BARRIER_REACHED */
        uint64_t barrier_id;        /* ACK_BARRIER_DONE, ACK_GO */
        struct ack_differences differences;
        struct ack_table_counts table_counts;
        struct ack_lacks lacks;
        struct ack_refusal refusal;
        struct copy_hello copier;
        struct copy_ask ask;
        struct table_state table_state; /* these may point into the frame */
        struct range_copied copied;
        struct keys_missing missing;
        struct copy_counts copy_counts;
        struct copy_relayed relayed;
        struct copy_answered answered;
        struct copy_control control;
        struct copy_controlled controlled;
        struct bytes feedback; /* into the frame */
        struct bytes status;   /* ack_status, points into the frame, see ackmsg_status_* */
    };
};

int ackmsg_encode(struct buf *buf, const struct ack_message *message) MUST_CHECK;

/* Returns -1 with err (EXIT_REFUSED) for anything that is not exactly one of the messages above. */
int ackmsg_decode(const struct frame *frame, struct ack_message *message,
                  struct err *err) MUST_CHECK;

/* ---- ACK_STATUS ---- */

/* A worker that has work to do and is silent for this long is busy with something large, or
 * stuck. */
#define ACK_SILENT_MILLIS UINT64_C(5000)

struct ack_worker_status {
    char sink[NAME_MAX_BYTES + 1];
    uint32_t shard;
    bool registered;
    bool target_alive;
    char target_message[256];
    uint64_t reached_lsn; /* 0 if not known */
    uint64_t lag_bytes;   /* set if the status' lag is known */
    int64_t lag_micros;   /* -1 if not known */
    uint64_t events;      /* of this run */
    uint64_t batches;
    uint64_t silent_millis;    /* since its last report */
    bool copies_known;         /* the worker has said how its tables are; then */
    struct copy_counts copies; /* rows and bytes of this run */
    uint64_t paused_since;     /* Unix time, 0 if its sink is not set aside */
    bool detached;             /* it is detached since then, not paused */
    struct ack_lacks lacks;    /* of its sink */
};

/* Tables with differences that ackd counts one by one. All others of a sink are counted
 * together. */
#define ACK_DIFFERENCES_MAX 200u

struct ack_table_status {
    char sink[NAME_MAX_BYTES + 1];
    struct ack_differences differences; /* relation is "" for the sink's other tables */
};

struct ack_status {
    struct run_id run_id;
    bool source_alive;
    struct ack_waiting waiting;
    uint64_t uptime_millis;
    struct ack_source source;
    struct ack_slot slot;  /* current_lsn is 0 if not known */
    uint64_t received_lsn; /* 0 if nothing yet */
    uint64_t safe_lsn;     /* 0 if nothing yet */
    bool lag_known;
    uint64_t lag_bytes; /* the last known one while the source is away */
    int64_t lag_micros; /* -1 if not known */
    uint64_t restarts;
    uint32_t workers_count;
    struct ack_worker_status workers[WORKERS_MAX];
    uint32_t tables_count;
    struct ack_table_status tables[ACK_DIFFERENCES_MAX + WORKERS_MAX];
};

/* Encodes an ACK_STATUS message. */
int ackmsg_status_encode(struct buf *buf, const struct ack_status *status) MUST_CHECK;
/* Decodes message->status of an ACK_STATUS message. */
bool ackmsg_status_decode(struct bytes encoded, struct ack_status *status) MUST_CHECK;

#endif
