/* report.h: what ackd tells people about the pipeline: health as text, status as a message. */
#ifndef WALPIPE_ACKD_REPORT_H
#define WALPIPE_ACKD_REPORT_H

#include "ackd/ackd.h"

/* True when every part is well; page gets one line a part. */
bool report_health(const struct ackd *ackd, struct buf *page);

/* Appends an ACK_STATUS message. */
int report_status(const struct ackd *ackd, struct buf *out) MUST_CHECK;

/* Bytes of WAL that are not confirmed to be everywhere. */
uint64_t report_lag(const struct ackd *ackd);

#endif
