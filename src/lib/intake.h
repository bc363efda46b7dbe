/* intake.h: the front door of every sink. It owns the input, hello, the link to ackd and the state
 * of the open transaction, holds the stream to the grammar of events(7), and hands out one item
 * after the other:
 *
 *     intake_init, intake_hello, intake_connect, (the target) and intake_register; then
 *     while ((rc = intake_next(intake, deadline, &item, err)) == 0)
 *         switch (item.kind) ...
 *
 * What the stream must not do ends the program with EXIT_BUG ("the event stream is not in order"),
 * what cannot be read with EXIT_REFUSED. Nothing is allocated per row. Knows no target. */
#ifndef WALPIPE_INTAKE_H
#define WALPIPE_INTAKE_H

#include "lib/ackclient.h"
#include "lib/backoff.h"
#include "lib/layout.h"

enum intake_kind {
    INTAKE_BEGIN,     /* begin */
    INTAKE_ORIGIN,    /* origin */
    INTAKE_RELATION,  /* frame; body and elements: relation_decode is the caller's */
    INTAKE_TABLEINFO, /* body and elements: tableinfo_decode is the caller's */
    INTAKE_ROW,       /* type, header; body is past the header: row_decode_rest is the caller's */
    INTAKE_TRUNCATE,  /* truncate */
    INTAKE_MESSAGE,   /* message */
    INTAKE_BARRIER,   /* barrier: make all before it durable, then intake_barrier_wait */
    INTAKE_TOUCHED,   /* body and elements: touched_decode is the caller's */
    INTAKE_COPY,   /* type, of FRAME_COPYTABLE to FRAME_TABLE_END; body and elements: copyevent.h's
                      decoders are the caller's */
    INTAKE_COMMIT, /* commit; in_transaction is false again */
    INTAKE_WATERMARK, /* watermark */
    INTAKE_END,       /* the last one; with in_transaction the open transaction comes again */
    INTAKE_IDLE,      /* the deadline has come, or the input has nothing at the moment; said once
                         before a wait */
    INTAKE_TARGET     /* target_fd can be read */
};

/* Valid until the next call of intake_next or intake_release, the truncate's list until the next
 * intake_next. Only what the kind says is set. */
struct intake_item {
    enum intake_kind kind;
    uint8_t type; /* of the frame */
    uint32_t elements;
    struct frame frame; /* whole */
    struct cursor body; /* past what was read of it */
    struct row_header header;
    struct begin_event begin;
    struct commit_event commit;
    struct barrier_event barrier;
    struct origin_event origin;
    struct message_event message;
    const struct truncate_event *truncate;
    uint64_t watermark;
};

struct intake {
    /* The caller's to set after intake_init. say tells a person that the target went (a warning)
     * or came back; target_fd is watched too (-1: none). */
    void (*say)(void *context, bool warning, const char *text);
    void *context;
    int target_fd;
    bool copies; /* a stream of STREAM_VERSION_COPY is taken */

    /* The caller's to read. */
    struct hello hello;
    struct layout layout; /* with several workers; else one of a single worker */
    struct ackconn ack;
    bool in_transaction;
    struct begin_event begin; /* of the open transaction */
    uint64_t ordinal;         /* of its last change; 0: none came */
    uint64_t events;          /* its changes that came */
    bool barrier_open;        /* this worker is the applier: its next or last change concerns all;
                                 to be made durable, then intake_barrier_done */
    uint64_t committed_lsn;   /* the end LSN of the last commit */
    bool down;                /* the target */

    /* The intake's own. */
    int fd;
    struct frame_reader reader;
    struct buf held; /* the item's memory, where the reader had to go on with other memory */
    struct truncate_event truncate;
    uint64_t watermark_lsn;
    uint64_t barrier_id; /* of the last barrier */
    bool barrier_served; /* the open barrier's change has come */
    bool begun;          /* the last frame was begin */
    bool range_open;     /* its rows come, or its end */
    bool idle;           /* INTAKE_IDLE was said since the input was read */
    bool ended;          /* INTAKE_END was handed out */
    bool all_read;       /* the input is closed; the reader holds what is left */
    bool registered, told_down;
    struct backoff backoff;
};

/* fd is the input. The struct may hold anything before. */
void intake_init(struct intake *in, int fd);
void intake_free(struct intake *in);

/* Reads the first frame, and the layout behind it where there are several workers. Enough for a
 * program that has no ackd (--check). */
int intake_hello(struct intake *in, struct err *err) MUST_CHECK;

/* Connects to ackd. EXIT_REFUSED when the stream is not for a sink's worker. program is the
 * sink's own name. */
int intake_connect(struct intake *in, const char *program, const char *ackd,
                   struct err *err) MUST_CHECK;

/* Registers with ackd; durable_lsn and timeline as in ackclient.h. From here on ackd is told about
 * the target, which is alive. */
int intake_register(struct intake *in, const char *program, uint64_t durable_lsn, uint32_t timeline,
                    struct err *err) MUST_CHECK;

/* The next item: 0; 1 after INTAKE_END was handed out; -1 with err. deadline is of clock_micros; 0:
 * none. */
int intake_next(struct intake *in, uint64_t deadline, struct intake_item *item,
                struct err *err) MUST_CHECK;

/* For --check, whose input is hello, relation events and end: the next relation, the caller's to
 * free: 0; 1 at the end; -1 with err. */
int intake_next_relation(struct intake *in, struct relation *relation, struct err *err) MUST_CHECK;

/* The item is not needed any more: a large one's memory is given back. */
void intake_release(struct intake *in);

/* The error for a change whose relation has not come. Always -1. */
int intake_unknown_relation(const struct intake *in, uint32_t relid, struct err *err);

/* ---- barriers ---- */

/* All before the item's barrier is durable: reports it, waits until ackd lets this worker go on. */
int intake_barrier_wait(struct intake *in, const struct intake_item *item,
                        struct err *err) MUST_CHECK;

/* The change behind the open barrier is durable. */
int intake_barrier_done(struct intake *in, struct err *err) MUST_CHECK;

/* ---- a target that is down ---- */

/* Says that the target is down and why: to ackd and through say, once until it is back. */
int intake_target_down(struct intake *in, const char *why, struct err *err) MUST_CHECK;

/* Says that it is back, if it was down, and begins the backoff anew. */
int intake_target_up(struct intake *in, struct err *err) MUST_CHECK;

/* Waits for the next step of the backoff. -1 with err when it is pointless to go on: ackd is gone,
 * or the input was closed and `end` is not among what it left. The item in hand stays valid. */
int intake_wait(struct intake *in, struct err *err) MUST_CHECK;

#endif
