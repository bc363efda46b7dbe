/* copyreport.h: the answers that a worker owes pg-table-read, sent to ackd when their content is
 * durable. */
#ifndef WALPIPE_COPYREPORT_H
#define WALPIPE_COPYREPORT_H

#include "lib/ackconn.h"
#include "lib/copying.h"

/* Call it after a commit and copying_committed. Sends the results of ranges, which are then freed,
 * the states that were asked for, and the keys that are missing. */
int copyreport_send(struct copying *c, struct ackconn *ack, struct err *err) MUST_CHECK;

#endif
