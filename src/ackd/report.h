/* report.h: what ackd tells people about the pipeline: health as text, status as a message. */
#ifndef WALPIPE_ACKD_REPORT_H
#define WALPIPE_ACKD_REPORT_H

#include "ackd/ackd.h"

/* True when every part is well; page gets one line a part. */
bool report_health(const struct ackd *ackd, struct buf *page);

/* True when this walpipe does its part: it streams, or stands by for the one that does. page gets
 * one line. */
bool report_ready(const struct ackd *ackd, struct buf *page);

/* Appends an ACK_STATUS message. */
int report_status(const struct ackd *ackd, struct buf *out) MUST_CHECK;

/* What every sink has, as far as it is known: of this run, or by the checkpoint. 0: not known. */
uint64_t report_confirmed(const struct ackd *ackd);

/* Bytes of WAL that are not confirmed to be everywhere; that the worker does not have. Before a run
 * the source's end is the one that was seen last. False, and 0 bytes: not known. */
bool report_lag(const struct ackd *ackd, uint64_t *bytes);
bool report_worker_lag(const struct ackd *ackd, uint32_t worker, uint64_t *bytes);

#endif
