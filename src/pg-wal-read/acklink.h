/* acklink.h: the reader's side of the ack socket. Sends ackd the description of the source and the
 * received LSN. Checks ackd's feedback bytes before they go to the server. Never blocks once the
 * source is accepted. */
#ifndef WALPIPE_ACKLINK_H
#define WALPIPE_ACKLINK_H

#include "lib/ackconn.h"
#include "lib/feedback.h"

struct acklink {
    struct ackconn conn;
    uint64_t reported_lsn; /* last received LSN that was reported to ackd */
    uint64_t flushed_lsn;  /* highest flush LSN that went to the server */
    bool drained;
};

int acklink_connect(struct acklink *ack, const char *path, const struct run_id *run_id,
                    struct err *err) MUST_CHECK;

/* Reports the condition that the reader waits for, or "" when the wait ends. Only before the source
 * is accepted. */
int acklink_waiting(struct acklink *ack, const struct ack_waiting *waiting,
                    struct err *err) MUST_CHECK;

/* Waits for millis. Returns -1 with err if ackd goes meanwhile. */
int acklink_pause(struct acklink *ack, int millis, struct err *err) MUST_CHECK;

/* Describes the source and waits for the answer. A refusal becomes err. */
int acklink_source(struct acklink *ack, const struct ack_source *source,
                   struct err *err) MUST_CHECK;

/* From here on nothing blocks. Bytes that could not be written wait in out. */
void acklink_make_nonblocking(struct acklink *ack);

/* Queues the message if its LSN is new or the server wants a reply, then writes. */
int acklink_received(struct acklink *ack, const struct ack_received *received,
                     struct err *err) MUST_CHECK;
int acklink_slot(struct acklink *ack, const struct ack_slot *slot, struct err *err) MUST_CHECK;
int acklink_draining(struct acklink *ack, struct err *err) MUST_CHECK;

/* Writes as much of the queue as the socket takes. */
int acklink_flush(struct acklink *ack, struct err *err) MUST_CHECK;

/* Takes ackd's messages. The last feedback goes to *feedback, and *has_feedback is set if one came.
 * It was checked to be not beyond received_lsn and never to go back. A violation is ackd's bug.
 * Sets drained. */
int acklink_take(struct acklink *ack, uint64_t received_lsn, uint8_t feedback[FEEDBACK_SIZE],
                 bool *has_feedback, struct err *err) MUST_CHECK;

void acklink_close(struct acklink *ack);

#endif
