/* hearing.h: what ackd and, through it, the workers say. */
#ifndef WALPIPE_PGTABLEREAD_HEARING_H
#define WALPIPE_PGTABLEREAD_HEARING_H

#include "pg-table-read/copy.h"

/* To be called when ackd's socket can be read: reads and does what it says. */
int hearing_read(struct copy *copy, struct err *err) MUST_CHECK;

/* The next program is gone. Waits for ackd's word on it: whether the main stream has ended. */
bool hearing_stream_has_ended(struct copy *copy);

#endif
