/* plots.h: takes the points of the status page's plots when they are due. */
#ifndef WALPIPE_ACKD_PLOTS_H
#define WALPIPE_ACKD_PLOTS_H

#include "ackd/ackd.h"

/* When the next point is due, of clock_micros. */
uint64_t plots_deadline(const struct ackd *ackd);

/* Takes a point if it is due. */
void plots_turn(struct ackd *ackd, uint64_t now);

#endif
