/* control.h: requests of commands, such as walpipe resync. ackd forwards each to pg-table-read, and
 * its answer to the command. A connection has one request at a time. */
#ifndef WALPIPE_ACKD_CONTROL_H
#define WALPIPE_ACKD_CONTROL_H

#include "ackd/ackd.h"

/* A command sent its request. */
void control_request(struct ackd *ackd, struct conn *conn, const struct copy_control *control);

/* pg-table-read was told of the run. */
void control_copier_served(struct ackd *ackd);

/* pg-table-read has answered. */
void control_answer(struct ackd *ackd, const struct copy_controlled *controlled);

/* The connection is closed, of a command or of pg-table-read. Nobody waits for an answer of
 * pg-table-read any more. */
void control_conn_gone(struct ackd *ackd, const struct conn *conn);
void control_copier_gone(struct ackd *ackd);

#endif
