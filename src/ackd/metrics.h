/* metrics.h: the Prometheus text of all metrics. */
#ifndef WALPIPE_ACKD_METRICS_H
#define WALPIPE_ACKD_METRICS_H

#include "ackd/ackd.h"

/* Appends the whole page. If memory runs out, the buf remembers it. */
void metrics_render(const struct ackd *ackd, struct buf *page);

#endif
