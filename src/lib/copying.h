/* copying.h: a worker's side of copying tables (docs/copy.md). It has the tables that are copied
 * and their progress, the tracked changes, the ranges that the worker holds, and the answers that
 * it owes pg-table-read. Knows no target. A sink keeps the notes, and writes the rows of ranges.
 *
 * Everything that changes here becomes durable with the sink's next commit. copying_collect marks
 * the ranges that are due at the commit's position. After the commit come copying_committed and
 * copyreport_send. */
#ifndef WALPIPE_COPYING_H
#define WALPIPE_COPYING_H

#include "lib/copyparts.h"

/* ---- the publications ---- */

/* A run that reads other publications than the one before may pass over changes of a table that it
 * does not read, and no list may come that says so. Until one does, the notes say which are read.
 * If the next run reads others again, the table is out. */

/* Names the stream's publications. */
void copying_name_read(const struct hello *hello, char read[COPYDEFINITION_READ_LEN + 1]);

/* Of one note. True if it has changed. */
bool copying_begin_read(struct copypart *part, const char *read);

/* Call it when the notes are loaded. */
void copying_begin(struct copying *c, const struct hello *hello);

/* Whether the notes say of any table that the target follows it, or has rows of it. A sink whose
 * position is gone must not count on that. A table that is out is refused when it comes back. */
bool copying_counts_on(const struct copying *c);

/* ---- the stream ---- */

/* The stream described a table, for the first time in this run or (changed) with another
 * description than before. The first one is compared with the description that the life began with.
 */
int copying_relation(struct copying *c, const struct relation *relation, uint32_t xid, bool changed,
                     struct err *err) MUST_CHECK;

/* route leaves the table's changes out from here on. Its note says so at the latest with the commit
 * of the first one. If the table's description comes again, its name has changed to and fro, and
 * copying_relation refuses it. */
int copying_left_out(struct copying *c, uint32_t relid, struct err *err) MUST_CHECK;

/* The same without a copy, where no note is in memory. copying_came_back is true once for each
 * time. */
int copying_skip(struct copying *c, uint32_t relid, struct err *err) MUST_CHECK;
bool copying_came_back(struct copying *c, uint32_t relid) MUST_CHECK;

/* The warning of it. */
#define COPYING_CAME_BACK                                                                          \
    "%s.%s had a name for a time that the sink's tables leave out; its changes of that time are "  \
    "lost"

/* Call it before a table's first change. A table without a note gets one, COPY_NEW. EXIT_REFUSED if
 * it cannot be copied. */
int copying_meet(struct copying *c, const struct relation *relation, struct err *err) MUST_CHECK;

/* The treatment of the table's changes. */
enum copying_way copying_way(const struct copying *c, uint32_t relid);

/* Whether a row may not be there though the table is COPYING_APPLY: a partition that was attached
 * may have rows that the stream did not bring, and changes of them come before the reader's list
 * has the partition. The key of such a row must be noted as missing. */
bool copying_may_lack(const struct copying *c, const struct relation *relation);

/* Whether the table waited when it met the transaction at this commit LSN for the first time. Then
 * its changes came in ranges. A sink whose target has no position of its own may meet it again. */
bool copying_passed(const struct copying *c, uint32_t relid, uint64_t commit_lsn);

/* Tracks a change of a row, for COPYING_UPSERT. */
int copying_row(struct copying *c, const struct relation *relation, uint32_t xid, uint8_t type,
                const struct row_event *row, struct err *err) MUST_CHECK;
int copying_truncate(struct copying *c, uint32_t relid, uint32_t xid, struct err *err) MUST_CHECK;
/* A TRUNCATE of the table, whatever becomes of its changes. */
void copying_truncated(struct copying *c, uint32_t relid);

int copying_touched(struct copying *c, const struct relation *relation, uint32_t xid,
                    const struct touched_event *touched, struct err *err) MUST_CHECK;

/* ---- the frames of a copy ---- */

/* Whether the frame is the end of a life, and would drop ranges of it that are due. */
bool copying_drops_due(const struct copying *c, uint8_t type, struct cursor body, uint32_t elements,
                       uint64_t position);

/* position is the stream's. EXIT_REFUSED for a table that cannot be copied. */
int copying_frame(struct copying *c, uint8_t type, struct cursor body, uint32_t elements,
                  uint64_t position, struct err *err) MUST_CHECK;

/* ---- the commit ---- */

/* Whether a commit has notes to write. */
bool copying_has_notes(const struct copying *c);

/* Whether a commit at this position has notes, or ranges that are due, to write. */
bool copying_is_due(const struct copying *c, uint64_t position);

/* Whether a range is due behind which no other one comes before it is reported. */
bool copying_last_is_due(const struct copying *c, uint64_t position);

/* The size of the rows of ranges that are due. */
size_t copying_due_bytes(const struct copying *c, uint64_t position);

/* Whether a commit may have them. That includes keys of rows that its changes do not find. */
bool copying_is_busy(const struct copying *c);

/* Marks the next ranges that a commit at this position writes, or drops, and enters them in the
 * notes. They have about `bytes` of rows, and there is one at least if any is due. */
int copying_collect(struct copying *c, uint64_t position, size_t bytes, struct err *err) MUST_CHECK;

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

/* When the reader's list has ended, the number of tables that this run takes as streaming without a
 * copy, because the sink has followed the stream before. 0 without a list, and the next time. Call
 * it before copyreport_send. */
uint32_t copying_taken(struct copying *c);

/* A part that a list has in another file, with the same columns, or NULL. Each is given once. Only
 * the worker that gets a TRUNCATE knows that none came. */
struct copypart *copying_refiled(struct copying *c);

void copying_free(struct copying *c);

#endif
