/* ending.h: with --until-copied, whether nothing is left to copy (docs/copy.md, "copy = only"). */
#ifndef WALPIPE_PGTABLEREAD_ENDING_H
#define WALPIPE_PGTABLEREAD_ENDING_H

#include "pg-table-read/state.h"

/* One step, after the lives were looked at. With `look`, the source and ackd may be asked. Returns
 * 1 when every published table is streaming in all workers that take it, and they have everything
 * that was written before. Otherwise returns 0, or -1 with err. */
int ending_look(struct copy *copy, bool look, struct err *err) MUST_CHECK;

/* The workers have answered about all tables. */
void ending_answered(struct copy *copy);

#endif
