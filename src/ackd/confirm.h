/* confirm.h: what is confirmed to the source: the checkpoint first, then the feedback. */
#ifndef WALPIPE_ACKD_CONFIRM_H
#define WALPIPE_ACKD_CONFIRM_H

#include "ackd/ackd.h"

/* Begins to confirm for the run whose source is set: the checkpoint is made to match it, at once or
 * when every worker has proved that it may be. */
int confirm_begin(struct ackd *ackd, bool new_timeline, struct err *err) MUST_CHECK;

/* Every worker has registered: what had to be proved is. */
void confirm_proved(struct ackd *ackd);

/* When confirm_turn has something to do next (clock_micros); 0: nothing is planned. */
uint64_t confirm_deadline(const struct ackd *ackd);

/* Writes the checkpoint and sends feedback if they are due; ends the drain when all is said. */
int confirm_turn(struct ackd *ackd, uint64_t now, struct err *err) MUST_CHECK;

#endif
