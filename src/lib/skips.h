/* skips.h: the transactions that a worker passes over, because a person asked for it (`walpipe
 * skip`), and the tables that lack changes by that. A sink keeps both in its target. Changes that
 * are skipped go to a file first, see deadletter.h. Knows no target. */
#ifndef WALPIPE_SKIPS_H
#define WALPIPE_SKIPS_H

#include "lib/deadletter.h"
#include "lib/intakestate.h"
#include "lib/names.h"

struct skip {
    uint64_t lsn;            /* of the transaction's commit record */
    struct table_name table; /* of the source, empty names for all */
    bool met;                /* the stream has brought the transaction */
};

/* Changes of one table and one transaction that were skipped. */
struct lack {
    uint64_t lsn;
    uint32_t relid;
    struct table_name table;
    uint64_t changes;
};

/* Zero-initialise, then set letter.directory and letter.hello. */
struct skips {
    struct skip *list;
    size_t count;
    struct lack *lacks; /* of which the target has no note yet */
    size_t lacks_count;
    bool open;  /* the open transaction is one of them */
    bool helps; /* the last error is of data, which another transaction does not have */
    struct deadletter letter;
};

int skips_add(struct skips *s, const struct skip *skip, struct err *err) MUST_CHECK;

/* Forgets those below lsn. */
void skips_forget(struct skips *s, uint64_t lsn);

/* The lowest one's LSN, 0 if there is none. */
uint64_t skips_lowest(const struct skips *s);

/* ---- the stream's items ---- */

void skips_begin(struct skips *s, uint64_t commit_lsn);

/* Whether the change of this table, in the open transaction, is skipped. */
bool skips_take(const struct skips *s, uint64_t commit_lsn, const struct relation *relation);

/* Writes the row's frame to the file. */
int skips_row(struct skips *s, const struct begin_event *begin, const struct intake_item *item,
              const struct relation *relation, struct err *err) MUST_CHECK;

/* The same for the tables of a truncate whose relation is not NULL. */
int skips_truncate(struct skips *s, const struct begin_event *begin,
                   const struct truncate_event *truncate, const struct relation *const *relations,
                   struct err *err) MUST_CHECK;

/* ---- notes ---- */

/* Whether a position passes the changes. partial is the commit LSN of a transaction of which it
 * passes a part, or 0. */
bool skips_passes(uint64_t commit_lsn, uint64_t lsn, uint64_t partial);

/* Call it before such a position is written. The file is on disk then. */
int skips_finish(struct skips *s, uint64_t lsn, uint64_t partial, struct err *err) MUST_CHECK;

/* The target has notes of what the position passes. */
void skips_noted(struct skips *s, uint64_t lsn, uint64_t partial);

/* Adds to the hint of an error of data how its transaction, at err->lsn, can be skipped. */
void skips_hint(const char *sink, struct err *err);

void skips_free(struct skips *s);

#endif
