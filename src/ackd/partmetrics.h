/* partmetrics.h: the metrics about single tables, and about the programs, which are CPU, memory,
 * and the things that they wait for. */
#ifndef WALPIPE_ACKD_PARTMETRICS_H
#define WALPIPE_ACKD_PARTMETRICS_H

#include "ackd/ackd.h"

/* Appends the families. */
void partmetrics_render(const struct ackd *ackd, struct buf *page);

#endif
