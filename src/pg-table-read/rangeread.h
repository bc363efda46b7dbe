/* rangeread.h: a connection that reads one range after the other. It turns the server's answer into
 * the frames range, rows and range end, which are handed out when the range is complete. Nothing of
 * a range that fails is sent. Asynchronous. The loop calls rangeread_step when the connection's
 * descriptor is readable. */
#ifndef WALPIPE_PGTABLEREAD_RANGEREAD_H
#define WALPIPE_PGTABLEREAD_RANGEREAD_H

#include "pg-table-read/keyrows.h"
#include "pg-table-read/pieces.h"
#include "pg-table-read/rangesql.h"

enum rangeread_result {
    RANGEREAD_GOING,
    RANGEREAD_DONE, /* all that order asked for, in frames */
    RANGEREAD_CUT,  /* up to `next`, or all but the keys that are left; the rest is another range */
    RANGEREAD_DENSE,   /* its blocks have too many bytes to be read without ctids */
    RANGEREAD_MOVED,   /* the table has another file, event.file */
    RANGEREAD_CHANGED, /* its published rows, columns or name have changed */
    RANGEREAD_AGAIN,   /* err has the reason, and another try may help */
    RANGEREAD_FAILED   /* err is set; with EXIT_PEER the connection is gone */
};

/* A part of the rows that were read: a range of its own with the same snapshot. */
struct range_piece {
    struct ctid to;
    uint64_t bytes;
};

struct rangeread {
    PGconn *conn;
    const struct session_server *server;
    enum {
        RANGEREAD_IDLE,
        RANGEREAD_ASKED, /* for BEGIN, LOCK and the SELECT */
        RANGEREAD_COPYING,
        RANGEREAD_ENDING,  /* the results behind COPY */
        RANGEREAD_ROLLBACK /* the rest of a range that failed or was cut */
    } state;
    struct range_order order; /* its number is that of the last piece */
    struct range_event event;
    struct snapshot base; /* the range's snapshot is not older */
    uint32_t copies;      /* number of the COPY, see pieces.h */
    uint64_t copy_bytes;  /* that it has sent */
    struct ctid last;     /* of the row before, where it has ctids */
    struct ctid next;
    uint64_t blocks; /* of the table */
    uint64_t rows;   /* of this range so far */
    uint64_t bytes;
    struct range_piece pieces[RANGE_PIECES_MAX]; /* that are complete, without the last one */
    size_t pieces_count;
    uint64_t piece_rows; /* of the last one so far */
    uint64_t piece_bytes;
    uint64_t piece_enough; /* the size at which it is complete */
    struct buf frames;     /* of all pieces */
    struct rowpack pack;
    struct keyrows keyrows;
    enum rangeread_result result; /* the result after ROLLBACK */
};

/* Sends the commands. Takes over order and base. Returns 0, or -1 with err if the connection is
 * gone. */
int rangeread_start(struct rangeread *r, const char *publications, struct range_order *order,
                    struct snapshot *base, struct err *err) MUST_CHECK;

/* Takes the server's data. After a result other than RANGEREAD_GOING it is idle again. */
enum rangeread_result rangeread_step(struct rangeread *r, struct err *err) MUST_CHECK;

void rangeread_free(struct rangeread *r);

#endif
