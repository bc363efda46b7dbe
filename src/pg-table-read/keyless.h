/* keyless.h: tables without a key (docs/copy.md): one snapshot for the whole table. A connection of
 * its own exports it and stays in that transaction as long as the life lasts; the connections that
 * read import it. */
#ifndef WALPIPE_PGTABLEREAD_KEYLESS_H
#define WALPIPE_PGTABLEREAD_KEYLESS_H

#include "pg-table-read/state.h"

/* EXIT_REFUSED for a table that cannot be read so: one whose rows are in several partitions. Any
 * other table passes. */
int keyless_check(const struct life *life, struct err *err) MUST_CHECK;

/* Not while a table rests whose last life came to nothing. */
bool keyless_may_begin(const struct life *life);

/* Its transactions have ended: exports the snapshot. snapshot, mark and file are the life's then. A
 * table that is gone becomes LIFE_CHANGED. -1 with err: the source cannot be asked. */
int keyless_export(struct copy *copy, struct life *life, struct err *err) MUST_CHECK;

/* The life ends: lets go of its snapshot, if it has one. To be called before life_end. */
void keyless_drop(struct copy *copy, const struct life *life);

/* After life_end: one that is to be read again rests, longer each time. */
void keyless_rest(struct life *life);

void keyless_free(struct copy *copy);

#endif
