/* copyevent.h: the frames of the event stream that bring rows which exist already (docs/copy.md).
 * Encode and decode of each stand side by side in copyevent.c.
 *
 * A life is one run of copying one table. Its rows come in ranges, each read under a snapshot of
 * its own. life and number name a range, and neither is used twice in a run. */
#ifndef WALPIPE_COPYEVENT_H
#define WALPIPE_COPYEVENT_H

#include "lib/ctid.h"
#include "lib/event.h"
#include "lib/sinklist.h"
#include "lib/snapshot.h"

/* ---- table: begins a life, or asks the workers how much of it they have ---- */

/* Bytes of a table's definition. It has five words: a hash of the published rows and columns, one
 * of the partition's attachment ("-": it needs none), one of each entry of a publication that
 * publishes it, one of each other publication's, and one of the table's storage. A comma stands
 * behind each entry. */
#define COPY_DEFINITION_MAX 310u

struct copytable_event {
    uint64_t life; /* 0 for a question, which begins no life */
    uint32_t part; /* oid of the physical table that is read, relation.relid or a partition of it */
    uint64_t rows; /* estimates */
    uint64_t bytes;
    char definition[COPY_DEFINITION_MAX +
                    1];       /* describes the published rows and columns of the table; ranges that
                                 finished under another definition are void */
    struct sinklist sinks;    /* empty for all that take copies, and this table */
    struct relation relation; /* as it is published */
    bool resync;              /* the life is of a table that is copied again */
};

int copytable_encode(struct buf *buf, const struct copytable_event *table) MUST_CHECK;

/* Returns 0, or -1 with err if it is malformed or memory is out. Free relation after 0. */
int copytable_decode(struct cursor *body, uint32_t elements, struct copytable_event *table,
                     struct err *err) MUST_CHECK;

/* ---- range, its rows, its end ---- */

enum range_kind {
    RANGE_BLOCKS = 'b', /* of the physical table, from `from` on */
    RANGE_KEYS = 'k',   /* rows that were asked for by their keys */
    RANGE_ASKS = 'q'    /* no rows: each worker is to say which keys are missing */
};

struct range_event {
    uint64_t life;
    uint64_t number;
    enum range_kind kind;
    struct ctid from;
    uint32_t file; /* pg_relation_filenode; with another one the blocks hold other rows */
    struct snapshot snapshot; /* under which it is read */
    uint64_t mark;            /* not below the commit of anything that the snapshot contains */
    uint64_t floor;           /* a worker that began to track above it missed something */
    struct sinklist sinks;    /* empty for those of the life */
    struct relation relation; /* the columns of its rows, by name */
};

int range_encode(struct buf *buf, const struct range_event *range) MUST_CHECK;

/* Like copytable_decode. Free snapshot and relation after 0. */
int range_decode(struct cursor *body, uint32_t elements, struct range_event *range,
                 struct err *err) MUST_CHECK;

/* A frame has at most this many bytes of rows, unless it has a single row. */
#define ROWS_FRAME_MAX (1u << 20)

/* rows and absent. Any number of rows with the columns of the range's relation, one behind the
 * other, each as an insert has it. absent has the keys that were requested and do not exist. */
struct rows_event {
    uint64_t life;
    uint64_t number;
    uint32_t count;
    struct bytes rows;   /* encoded */
    struct bytes hashes; /* 8 bytes per row, big-endian, the hash of its key. route splits both
                            frames by it. Empty behind route. */
};

/* type is FRAME_ROWS or FRAME_ABSENT. */
int rows_encode(struct buf *buf, uint8_t type, const struct rows_event *rows) MUST_CHECK;
bool rows_decode(struct cursor *body, uint32_t elements, struct rows_event *rows) MUST_CHECK;

/* Appends a row to rows_event.rows. */
void rows_add(struct buf *rows, const struct tuple *row);

/* Takes the next row, whose values point into the frame. Returns false if it is malformed. */
bool rows_next(struct cursor *rows, struct tuple *row, struct value values[COLUMNS_MAX]) MUST_CHECK;

struct range_end_event {
    uint64_t life;
    uint64_t number;
    bool open; /* up to the end of the table, however much comes after it */
    struct ctid to;
    uint64_t rows; /* that were sent to this worker, and absent keys */
};

int range_end_encode(struct buf *buf, const struct range_end_event *end) MUST_CHECK;
bool range_end_decode(struct cursor *body, uint32_t elements,
                      struct range_end_event *end) MUST_CHECK;

/* ---- horizon: every range sent from now on contains all of this snapshot ---- */

int horizon_encode(struct buf *buf, const struct snapshot *snapshot) MUST_CHECK;
int horizon_decode(struct cursor *body, uint32_t elements, struct snapshot *snapshot,
                   struct err *err) MUST_CHECK;

/* ---- touched: another worker applied a change to rows of this one ---- */

struct touched_event {
    uint32_t relid;
    uint64_t ordinal;
    bool whole; /* all rows of the table, otherwise the row of this key */
    struct tuple key;
};

int touched_encode(struct buf *buf, const struct touched_event *touched) MUST_CHECK;
bool touched_decode(struct cursor *body, uint32_t elements, struct touched_event *touched,
                    struct value values[COLUMNS_MAX]) MUST_CHECK;

/* ---- table end ---- */

enum life_end {
    LIFE_DONE = 'd',  /* no further range comes */
    LIFE_GONE = 'g',  /* the table, or its publication, is gone */
    LIFE_AGAIN = 'a', /* another life of it follows */
    LIFE_KEPT = 'k',  /* a resync came to nothing before it began: the table stays as it was */
    LIFE_LISTED = 'l' /* of life 0, when the list of tables is complete */
};

int table_end_encode(struct buf *buf, uint64_t life, enum life_end how) MUST_CHECK;
bool table_end_decode(struct cursor *body, uint32_t elements, uint64_t *life,
                      enum life_end *how) MUST_CHECK;

#endif
