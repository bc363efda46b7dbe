/* copyreport.h: what a worker owes pg-table-read an answer for, told to ackd when it is durable. */
#ifndef WALPIPE_COPYREPORT_H
#define WALPIPE_COPYREPORT_H

#include "lib/ackconn.h"
#include "lib/copying.h"

/* After a commit and copying_committed: what has become of ranges, which are let go of, the states
 * that were asked for, the keys that are missing. */
int copyreport_send(struct copying *c, struct ackconn *ack, struct err *err) MUST_CHECK;

#endif
