/* comparemetrics.h: the metrics about the last walpipe compare of each sink. */
#ifndef WALPIPE_ACKD_COMPAREMETRICS_H
#define WALPIPE_ACKD_COMPAREMETRICS_H

#include "ackd/ackd.h"

/* Appends the families. */
void comparemetrics_render(const struct ackd *ackd, struct buf *page);

#endif
