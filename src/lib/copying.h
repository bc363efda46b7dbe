/* copying.h: a worker's side of copying tables (docs/copy.md): which tables are copied and how far,
 * what it tracks, which ranges it holds, and what it owes pg-table-read an answer for. Knows no
 * target: a sink keeps the notes, and writes the rows of ranges.
 *
 * Everything that changes here becomes durable with the sink's next commit, under whose position
 * copying_collect marks what is due; after the commit come copying_committed and copyreport_send.
 */
#ifndef WALPIPE_COPYING_H
#define WALPIPE_COPYING_H

#include "lib/heldranges.h"
#include "lib/relmap.h"
#include "lib/spans.h"
#include "lib/tracked.h"

enum copy_state {
    COPY_NEW = 'n',     /* the sink must look whether the target's table is empty */
    COPY_WAITING = 'w', /* for its first life: the ranges will bring what the stream brings now */
    COPY_COPYING = 'c',
    COPY_STREAMING = 's'
};

/* A physical table, and its note in the target. */
struct copypart {
    struct copypart *next;       /* of all */
    struct copypart *table_next; /* of the same published table */
    uint32_t relid;              /* of the published table */
    uint32_t part; /* its own oid; 0: it stands for a table whose parts are not known */
    char schema[NAME_MAX_BYTES + 1]; /* of the published table */
    char name[NAME_MAX_BYTES + 1];
    enum copy_state state;
    uint64_t l0; /* where its first life began; 0: none did */
    uint32_t file;
    char definition[COPY_DEFINITION_MAX + 1];
    struct spans done; /* of that file, under that definition */
    uint64_t rows;     /* written */

    bool changed; /* the note is to be written */
    bool gone;    /* no longer published; the note is to be removed */

    /* In this run. */
    uint64_t life;  /* 0: none */
    uint64_t began; /* where it began */
    bool asked;     /* owes an answer to asked_life */
    uint64_t asked_life;
    uint64_t ended_life; /* that ends as done by the commit that is under way; 0: none */
    struct buf missing;  /* of that life: keys that are missing still, as copydetail.h has them */
};

/* Zero-initialise to use. */
struct copying {
    const char *sink;
    bool carried_over; /* every table without a note is streaming: an older walpipe made them so */
    struct copypart *parts;
    struct relmap tables; /* relid to its first part */
    uint32_t unfinished;  /* tables that are not all streaming */
    struct tracked tracked;
    struct heldranges held;
    struct buf key, values; /* of the row in hand */
    bool listed;            /* owes an answer to the end of the list */
    bool pending;           /* something waits for the next commit */
};

/* ---- notes ---- */

/* What the sink has found in the target: takes a part, which is copied but for its links. NULL: out
 * of memory. */
struct copypart *copying_add(struct copying *c, const struct copypart *part);

/* ---- the stream ---- */

/* A table was described otherwise than before. */
int copying_relation(struct copying *c, const struct relation *relation, uint32_t xid,
                     struct err *err) MUST_CHECK;

/* Before a table's first change: one that has no note gets one, COPY_NEW. EXIT_REFUSED when it
 * cannot be copied. */
int copying_meet(struct copying *c, const struct relation *relation, struct err *err) MUST_CHECK;

enum copying_way {
    COPYING_APPLY, /* as ever */
    COPYING_PASS,  /* leave it: the ranges will have it */
    COPYING_UPSERT /* tell copying_row, copying_truncate, then apply it; a row that is not there
                      may not be there yet */
};

/* What becomes of the table's changes. */
enum copying_way copying_way(const struct copying *c, uint32_t relid);

/* Tracks a change of a row, which is COPYING_UPSERT's. */
int copying_row(struct copying *c, const struct relation *relation, uint32_t xid, uint8_t type,
                const struct row_event *row, struct err *err) MUST_CHECK;
int copying_truncate(struct copying *c, uint32_t relid, uint32_t xid, struct err *err) MUST_CHECK;
int copying_touched(struct copying *c, const struct relation *relation, uint32_t xid,
                    const struct touched_event *touched, struct err *err) MUST_CHECK;

/* ---- the frames of a copy ---- */

/* position: that of the stream. EXIT_REFUSED for a table that cannot be copied. */
int copying_frame(struct copying *c, uint8_t type, struct cursor body, uint32_t elements,
                  uint64_t position, struct err *err) MUST_CHECK;

/* ---- the commit ---- */

/* Whether a commit at this position has something to write: notes, or ranges that are due. */
bool copying_is_due(const struct copying *c, uint64_t position);

/* Whether a commit may have: also keys of rows that its changes do not meet. */
bool copying_is_busy(const struct copying *c);

/* Marks the ranges that a commit at this position writes, or drops, and enters them in the notes.
 */
int copying_collect(struct copying *c, uint64_t position, struct err *err) MUST_CHECK;

/* The next range to write at or behind `from` (NULL: the first). NULL: there is none. */
struct heldrange *copying_next(const struct copying *c, struct heldrange *from);

/* What is to be done with a row of a range, or with an absent key: verdict, and for
 * TRACKED_LAY_OVER the row with the newer values in it. values must hold the row's, and are
 * changed. -1 with err: out of memory, or the newer values are not of the range's columns. */
int copying_judge(struct copying *c, const struct heldrange *range, struct tuple *row,
                  enum tracked_verdict *verdict, struct err *err) MUST_CHECK;

/* After the commit: everything is durable; copyreport.h tells ackd. */
void copying_committed(struct copying *c);

void copying_free(struct copying *c);

#endif
