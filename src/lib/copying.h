/* copying.h: a worker's side of copying tables (docs/copy.md). It has the tables that are copied
 * and their progress, the tracked changes, the ranges that the worker holds, and the answers that
 * it owes pg-table-read. Knows no target. A sink keeps the notes, and writes the rows of ranges.
 *
 * Everything that changes here becomes durable with the sink's next commit. copying_collect marks
 * the ranges that are due at the commit's position. After the commit come copying_committed and
 * copyreport_send. */
#ifndef WALPIPE_COPYING_H
#define WALPIPE_COPYING_H

#include "lib/heldranges.h"
#include "lib/relmap.h"
#include "lib/spans.h"
#include "lib/tracked.h"

enum copy_state {
    COPY_NEW = 'n',     /* the sink must check whether the target's table is empty */
    COPY_WAITING = 'w', /* waits for its first life, whose ranges will bring the changes that the
                           stream brings now */
    COPY_COPYING = 'c',
    COPY_STREAMING = 's'
};

/* A physical table, and its note in the target. */
struct copypart {
    struct copypart *next;       /* of all */
    struct copypart *table_next; /* of the same published table */
    uint32_t relid;              /* of the published table */
    uint32_t part; /* its own oid, 0 if it represents a table whose parts are not known */
    char schema[NAME_MAX_BYTES + 1]; /* of the published table */
    char name[NAME_MAX_BYTES + 1];
    enum copy_state state;
    uint64_t l0; /* where its first life began, 0 without one */
    uint32_t file;
    char definition[COPY_DEFINITION_MAX + 1];
    struct spans done; /* of that file, under that definition */
    uint64_t rows;     /* written */

    bool changed; /* the note must be written */
    bool gone;    /* no longer published, so the note must be removed */

    /* In this run. */
    uint64_t life;  /* 0 if none */
    uint64_t began; /* where it began */
    bool asked;     /* owes an answer to asked_life */
    uint64_t asked_life;
    uint64_t ended_life; /* ends as done by the commit that is under way, 0 if none */
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
    struct buf key, values; /* of the current row */
    bool listed;            /* owes an answer to the end of the list */
    bool pending;           /* something waits for the next commit */
    bool uncounted; /* a table's state has changed since ackd was told how many have which */
};

/* ---- notes ---- */

/* What the sink has found in the target: takes a part, which is copied but for its links. NULL: out
 * of memory. */
struct copypart *copying_add(struct copying *c, const struct copypart *part);

/* ---- the stream ---- */

/* A table got another description than before. */
int copying_relation(struct copying *c, const struct relation *relation, uint32_t xid,
                     struct err *err) MUST_CHECK;

/* Call it before a table's first change. A table without a note gets one, COPY_NEW. EXIT_REFUSED if
 * it cannot be copied. */
int copying_meet(struct copying *c, const struct relation *relation, struct err *err) MUST_CHECK;

enum copying_way {
    COPYING_APPLY, /* as without a copy */
    COPYING_PASS,  /* leave it: the ranges will have it */
    COPYING_UPSERT /* tell copying_row, copying_truncate, then apply it; a row that is not there
                      may not be there yet */
};

/* What becomes of the table's changes. */
enum copying_way copying_way(const struct copying *c, uint32_t relid);

/* Tracks a change of a row, for COPYING_UPSERT. */
int copying_row(struct copying *c, const struct relation *relation, uint32_t xid, uint8_t type,
                const struct row_event *row, struct err *err) MUST_CHECK;
int copying_truncate(struct copying *c, uint32_t relid, uint32_t xid, struct err *err) MUST_CHECK;
int copying_touched(struct copying *c, const struct relation *relation, uint32_t xid,
                    const struct touched_event *touched, struct err *err) MUST_CHECK;

/* ---- the frames of a copy ---- */

/* position is the stream's. EXIT_REFUSED for a table that cannot be copied. */
int copying_frame(struct copying *c, uint8_t type, struct cursor body, uint32_t elements,
                  uint64_t position, struct err *err) MUST_CHECK;

/* ---- the commit ---- */

/* Whether a commit at this position has notes, or ranges that are due, to write. */
bool copying_is_due(const struct copying *c, uint64_t position);

/* Whether a commit may have them. That includes keys of rows that its changes do not find. */
bool copying_is_busy(const struct copying *c);

/* Marks the ranges that a commit at this position writes, or drops, and enters them in the notes.
 */
int copying_collect(struct copying *c, uint64_t position, struct err *err) MUST_CHECK;

/* The next range to write at or behind `from` (NULL for the first). Returns NULL if there is
 * none. */
struct heldrange *copying_next(const struct copying *c, struct heldrange *from);

/* Decides about a row of a range, or about an absent key. Sets *verdict, and for TRACKED_LAY_OVER
 * puts the newer values into the row. values must hold the row's, and are changed. Returns -1 with
 * err if memory is out, or if the newer values are not of the range's columns. */
int copying_judge(struct copying *c, const struct heldrange *range, struct tuple *row,
                  enum tracked_verdict *verdict, struct err *err) MUST_CHECK;

/* Call it after the commit, when everything is durable. copyreport.h tells ackd. */
void copying_committed(struct copying *c);

void copying_free(struct copying *c);

#endif
