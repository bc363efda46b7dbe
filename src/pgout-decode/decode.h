/* decode.h: turns the wal stream's frames into the event stream's. Pure, from bytes to bytes. */
#ifndef WALPIPE_DECODE_H
#define WALPIPE_DECODE_H

#include "lib/buf.h"
#include "lib/wal.h"
#include "pgout-decode/relations.h"

struct decoder {
    bool local_only; /* drop transactions with an origin, set by the caller */
    struct relations relations;
    bool in_transaction;
    bool foreign; /* the open transaction came to the source by replication, and local_only */
    bool ended;   /* the end frame was seen */
    struct begin_event begin;
    uint64_t ordinal;     /* of the open transaction's last change */
    uint64_t last_lsn;    /* end LSN or watermark last written, which never goes back */
    uint64_t held_lsn;    /* of a keepalive that came inside the open transaction */
    struct row_event row; /* scratch */
    struct row_values values;
    struct relation_column columns[COLUMNS_MAX];
};

/* Decodes the stream's first frame, which must be the wal stream's hello, and appends the event
 * stream's. */
int decode_hello(struct decoder *d, const struct frame *frame, struct buf *out,
                 struct err *err) MUST_CHECK;

/* Decodes any later frame and appends the events it makes, none or several. */
int decode_frame(struct decoder *d, const struct frame *frame, struct buf *out,
                 struct err *err) MUST_CHECK;

void decoder_free(struct decoder *d);

#endif
