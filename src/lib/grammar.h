/* grammar.h: the grammar of the event stream (events(7)). It decodes the head of each frame, checks
 * that the frame may come at this place, and keeps the state of the open transaction in struct
 * intake. For intake.c, which reads the input. Knows no descriptor and no connection. */
#ifndef WALPIPE_GRAMMAR_H
#define WALPIPE_GRAMMAR_H

#include "lib/intakestate.h"

/* Takes item->frame, and fills in the rest of the item. EXIT_BUG ("the event stream is not in
 * order") for a frame that must not come here, EXIT_REFUSED for bytes that cannot be decoded. */
int grammar_take(struct intake *in, struct intake_item *item, struct err *err) MUST_CHECK;

/* The error for a stream that breaks the grammar, with the LSN of the open or the last transaction.
 * Always -1. */
int grammar_broken(const struct intake *in, const char *what, struct err *err);

#endif
