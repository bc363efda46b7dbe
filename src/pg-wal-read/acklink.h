/* acklink.h: the reader's side of the ack socket: who the source is, what was received; and ackd's
 * feedback bytes, checked before they go to the server. Never blocks once the source is accepted.
 */
#ifndef WALPIPE_ACKLINK_H
#define WALPIPE_ACKLINK_H

#include "lib/ackconn.h"
#include "lib/feedback.h"

struct acklink {
    struct ackconn conn;
    uint64_t reported_lsn; /* last received LSN said to ackd */
    uint64_t flushed_lsn;  /* highest flush LSN that went to the server */
    bool drained;
};

int acklink_connect(struct acklink *ack, const char *path, const struct run_id *run_id,
                    struct err *err) MUST_CHECK;

/* Says what is waited for; "" ends it. Before the source is accepted. */
int acklink_waiting(struct acklink *ack, const struct ack_waiting *waiting,
                    struct err *err) MUST_CHECK;

/* Waits so long. -1 with err when ackd goes meanwhile. */
int acklink_pause(struct acklink *ack, int millis, struct err *err) MUST_CHECK;

/* Says who the source is and waits for the answer; a refusal becomes err. */
int acklink_source(struct acklink *ack, const struct ack_source *source,
                   struct err *err) MUST_CHECK;

/* From here on nothing blocks; what could not be written waits in out. */
void acklink_make_nonblocking(struct acklink *ack);

/* Queues "received up to lsn", when it is news or the server wants a reply; then writes. */
int acklink_received(struct acklink *ack, uint64_t lsn, bool reply_requested,
                     struct err *err) MUST_CHECK;
int acklink_slot(struct acklink *ack, const struct ack_slot *slot, struct err *err) MUST_CHECK;
int acklink_draining(struct acklink *ack, struct err *err) MUST_CHECK;

/* Writes what is queued, as far as the socket takes it. */
int acklink_flush(struct acklink *ack, struct err *err) MUST_CHECK;

/* Takes what came from ackd. The last feedback goes to *feedback, *has_feedback says whether one
 * came; it was checked: not beyond received_lsn, never back (a violation is ackd's bug). Sets
 * drained. */
int acklink_take(struct acklink *ack, uint64_t received_lsn, uint8_t feedback[FEEDBACK_SIZE],
                 bool *has_feedback, struct err *err) MUST_CHECK;

void acklink_close(struct acklink *ack);

#endif
