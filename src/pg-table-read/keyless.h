/* keyless.h: tables without a key (docs/copy.md): one snapshot for the whole table. A connection of
 * its own exports it and stays in that transaction as long as the life lasts; the connections that
 * read import it. */
#ifndef WALPIPE_PGTABLEREAD_KEYLESS_H
#define WALPIPE_PGTABLEREAD_KEYLESS_H

#include "pg-table-read/state.h"

/* EXIT_REFUSED for a table that cannot be read under one snapshot, because its rows are in several
 * partitions. */
int keyless_check(const struct life *life, struct err *err) MUST_CHECK;

/* Returns false while the table must wait because its last life failed. */
bool keyless_may_begin(const struct life *life);

/* Exports the snapshot, after the transactions that the life waited for have ended. Sets snapshot,
 * mark and file of the life. If the table is gone, the life becomes LIFE_CHANGED. Returns -1 with
 * err if the source does not answer. */
int keyless_export(struct copy *copy, struct life *life, struct err *err) MUST_CHECK;

/* Releases the snapshot of a life that ends, if it has one. Call it before life_end. */
void keyless_drop(struct copy *copy, const struct life *life);

/* Call it after life_end. If the table must be read again, it waits before that, longer each time.
 */
void keyless_rest(struct life *life);

void keyless_free(struct copy *copy);

#endif
