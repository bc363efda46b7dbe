/* confirm.h: confirms LSNs to the source. Writes the checkpoint first, then sends the feedback. */
#ifndef WALPIPE_ACKD_CONFIRM_H
#define WALPIPE_ACKD_CONFIRM_H

#include "ackd/ackd.h"

/* Begins to confirm for the run whose source is set. Makes the checkpoint match the source, at once
 * or after every worker has proved that its target has everything. */
int confirm_begin(struct ackd *ackd, bool new_timeline, struct err *err) MUST_CHECK;

/* Every worker has registered, so everything that had to be proved is proved, unless a
 * sink is paused. */
void confirm_proved(struct ackd *ackd);

/* Returns when confirm_turn has something to do next (clock_micros), 0 if nothing is planned. */
uint64_t confirm_deadline(const struct ackd *ackd);

/* Writes the checkpoint and sends feedback if they are due. Ends the drain when everything is
 * confirmed. */
int confirm_turn(struct ackd *ackd, uint64_t now, struct err *err) MUST_CHECK;

#endif
