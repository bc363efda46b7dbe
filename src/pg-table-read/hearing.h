/* hearing.h: the messages of ackd and, through it, of the workers. */
#ifndef WALPIPE_PGTABLEREAD_HEARING_H
#define WALPIPE_PGTABLEREAD_HEARING_H

#include "pg-table-read/copy.h"

/* Call it when ackd's socket can be read. Reads the messages and acts on them. */
int hearing_read(struct copy *copy, struct err *err) MUST_CHECK;

/* The next program is gone. Waits for ackd's message whether the main stream has ended. */
bool hearing_stream_has_ended(struct copy *copy);

#endif
