/* intakestate.h: an item of the event stream, and the state of a sink's input. For intake.h and
 * grammar.h; a sink includes intake.h. */
#ifndef WALPIPE_INTAKESTATE_H
#define WALPIPE_INTAKESTATE_H

#include "lib/ackclient.h"
#include "lib/backoff.h"
#include "lib/layout.h"
#include "lib/tablecounts.h"

enum intake_kind {
    INTAKE_BEGIN,     /* begin */
    INTAKE_ORIGIN,    /* origin */
    INTAKE_RELATION,  /* frame; the caller calls relation_decode on body and elements */
    INTAKE_TABLEINFO, /* the caller calls tableinfo_decode on body and elements */
    INTAKE_LEFT_OUT,  /* left_out */
    INTAKE_ROW,       /* type, header; the caller calls row_decode_rest on body, past the header
                       */
    INTAKE_TRUNCATE,  /* truncate */
    INTAKE_MESSAGE,   /* message */
    INTAKE_BARRIER, /* barrier; make everything before it durable, then call intake_barrier_wait */
    INTAKE_TOUCHED, /* the caller calls touched_decode on body and elements */
    INTAKE_COPY,    /* type, of FRAME_COPYTABLE to FRAME_TABLE_END; the caller calls copyevent.h's
                       decoders on body and elements */
    INTAKE_COMMIT,  /* commit; in_transaction is false again */
    INTAKE_WATERMARK, /* watermark */
    INTAKE_END,   /* the last item; if in_transaction, the open transaction will be sent again */
    INTAKE_IDLE,  /* the deadline has come, or the input has nothing at the moment; returned once
                     before a wait */
    INTAKE_TARGET /* target_fd can be read */
};

/* Valid until the next call of intake_next or intake_release. The truncate's list is valid until
 * the next intake_next. Only the fields named above for the kind are set. */
struct intake_item {
    enum intake_kind kind;
    uint8_t type; /* of the frame */
    uint32_t elements;
    struct frame frame; /* whole */
    struct cursor body; /* past the part that was read */
    struct row_header header;
    struct begin_event begin;
    struct commit_event commit;
    struct barrier_event barrier;
    struct origin_event origin;
    struct message_event message;
    const struct truncate_event *truncate;
    uint64_t watermark;
    uint32_t left_out; /* the table's relid */
};

struct intake {
    /* Set by the caller after intake_init. say tells a person that the target went (a warning) or
     * came back. target_fd is polled too, unless it is -1. */
    void (*say)(void *context, bool warning, const char *text);
    void *context;
    int target_fd;
    bool copies; /* a stream of STREAM_VERSION_COPY is accepted */

    /* For the caller to read. */
    struct hello hello;
    struct layout layout; /* with several workers, otherwise a layout of a single worker */
    struct ackconn ack;
    bool in_transaction;
    struct begin_event begin; /* of the open transaction */
    uint64_t ordinal;         /* of its last change, 0 if none came */
    uint64_t events;          /* number of its changes so far */
    bool barrier_open;      /* this worker is the applier, and its next or last change concerns all
                               workers, or, outside of a transaction, the end of a resync's life;
                               make it durable, then call intake_barrier_done */
    uint64_t committed_lsn; /* the end LSN of the last commit */
    int64_t committed_time; /* its time, microseconds since 2000-01-01 UTC, 0 without one */
    bool down;              /* the target */

    /* The intake's own. */
    int fd;
    struct frame_reader reader;
    struct buf held; /* the item's memory, when the reader had to continue with other memory */
    struct truncate_event truncate;
    uint64_t watermark_lsn;
    uint64_t barrier_id; /* of the last barrier */
    bool barrier_served; /* the open barrier's change has come */
    bool begun;          /* the last frame was begin */
    bool range_open;     /* its rows or its end come next */
    bool idle;           /* INTAKE_IDLE was returned since the input was read */
    bool ended;          /* INTAKE_END was handed out */
    bool all_read;       /* the input is closed, and the reader holds the rest */
    bool registered, told_down;
    struct backoff backoff;
    struct tablecounts counts; /* of the changes that came */
    uint64_t reported_lsn;     /* of the last intake_reached */
};

#endif
