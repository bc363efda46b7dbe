/* rangeread.h: one connection that reads one range after the other. What the server sends becomes
 * the frames range, rows and range end, which are handed out when the range is complete: of a range
 * that fails nobody hears. Asynchronous: the loop calls rangeread_step when the connection's
 * descriptor is readable. */
#ifndef WALPIPE_PGTABLEREAD_RANGEREAD_H
#define WALPIPE_PGTABLEREAD_RANGEREAD_H

#include "pg-table-read/keyrows.h"
#include "pg-table-read/rangesql.h"

/* A range ends behind the row with which so many bytes of rows are reached: a worker holds all
 * ranges in flight. */
#define RANGE_BYTES_MAX (4u << 20)

enum rangeread_result {
    RANGEREAD_GOING,
    RANGEREAD_DONE,    /* as far as order says: frames has it */
    RANGEREAD_CUT,     /* the same up to `next`, or but for the keys that are left: the rest is
                          another range */
    RANGEREAD_MOVED,   /* the table has another file: event.file */
    RANGEREAD_CHANGED, /* what is published of it, its columns or its name have changed */
    RANGEREAD_AGAIN,   /* err says why; trying again may help */
    RANGEREAD_FAILED   /* err is set; code EXIT_PEER: the connection is gone */
};

struct rangeread {
    PGconn *conn;
    const struct session_server *server;
    enum {
        RANGEREAD_IDLE,
        RANGEREAD_ASKED, /* for BEGIN, LOCK and the SELECT */
        RANGEREAD_COPYING,
        RANGEREAD_ENDING,  /* the results behind COPY */
        RANGEREAD_ROLLBACK /* what is left of a range that failed or was cut */
    } state;
    struct range_order order;
    struct range_event event;
    struct snapshot base; /* the range's is not older */
    struct ctid last;     /* of the row before */
    struct ctid next;
    uint64_t blocks; /* of the table */
    uint64_t rows;   /* of this range so far */
    uint64_t bytes;
    struct buf frames; /* of this range */
    struct rowpack pack;
    struct keyrows keyrows;
    enum rangeread_result result; /* while ROLLBACK: what comes of it */
};

/* Sends the commands. Takes order and base. 0, or -1 with err: the connection is gone. */
int rangeread_start(struct rangeread *r, const char *publications, struct range_order *order,
                    struct snapshot *base, struct err *err) MUST_CHECK;

/* Takes what the server has sent. A result other than RANGEREAD_GOING: it is idle again. */
enum rangeread_result rangeread_step(struct rangeread *r, struct err *err) MUST_CHECK;

void rangeread_free(struct rangeread *r);

#endif
