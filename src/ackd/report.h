/* report.h: ackd's reports about the pipeline to people. Health is text, status is a message. */
#ifndef WALPIPE_ACKD_REPORT_H
#define WALPIPE_ACKD_REPORT_H

#include "ackd/ackd.h"

/* Returns true when every part is well. Appends one line per part to page. */
bool report_health(const struct ackd *ackd, struct buf *page);

/* Returns true when this walpipe does its part. It streams, or it stands by for the walpipe that
 * does. Appends one line to page. */
bool report_ready(const struct ackd *ackd, struct buf *page);

/* Appends an ACK_STATUS message. */
int report_status(const struct ackd *ackd, struct buf *out) MUST_CHECK;

/* Returns the LSN up to which every sink has everything, from this run or from the checkpoint. 0 if
 * it is not known. */
uint64_t report_confirmed(const struct ackd *ackd);

/* The end of the source's WAL as far as it is known, 0 if it is not. */
uint64_t report_newest(const struct ackd *ackd);

/* The bytes of WAL that are not confirmed by all sinks, or that the worker does not have. Before a
 * run they are counted up to the last WAL end that was seen. Returns false, and 0 bytes, if they
 * are not known. */
bool report_lag(const struct ackd *ackd, uint64_t *bytes);
bool report_worker_lag(const struct ackd *ackd, uint32_t worker, uint64_t *bytes);

/* The same as a time in microseconds, which is how long ago the source's state was the one that is
 * in all sinks, or in the worker's target. Returns false, and 0, if it is not known. */
bool report_lag_micros(const struct ackd *ackd, uint64_t *micros);
bool report_worker_lag_micros(const struct ackd *ackd, uint32_t worker, uint64_t *micros);

#endif
