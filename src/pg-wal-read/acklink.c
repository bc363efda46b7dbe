/* acklink.c: see acklink.h. */
#include "pg-wal-read/acklink.h"

#include <fcntl.h>

#include "lib/io.h"
#include "lib/lsn.h"

int
acklink_connect(struct acklink *ack, const char *path, const struct run_id *run_id, struct err *err)
{
    *ack = (struct acklink){0};
    if (ackconn_open(&ack->conn, path, IO_CONNECT_PATIENCE_MILLIS, err) != 0)
        return -1;
    ack->conn.run_id = *run_id;
    return 0;
}

void
acklink_close(struct acklink *ack)
{
    ackconn_close(&ack->conn);
}

int
acklink_flush(struct acklink *ack, struct err *err)
{
    return ackconn_flush(&ack->conn, err);
}

int
acklink_waiting(struct acklink *ack, const struct ack_waiting *waiting, struct err *err)
{
    struct ack_message message = {.type = ACK_WAITING, .waiting = *waiting};

    return ackconn_say(&ack->conn, &message, err);
}

int
acklink_pause(struct acklink *ack, int millis, struct err *err)
{
    return ackconn_gone(&ack->conn, millis) ? ackconn_gone_error(err) : 0;
}

int
acklink_source(struct acklink *ack, const struct ack_source *source, struct err *err)
{
    struct ack_message message = {.type = ACK_SOURCE, .source = *source};
    int status;

    if (ackconn_say(&ack->conn, &message, err) != 0)
        return -1;
    do
        status = ackconn_hear(&ack->conn, &message, err);
    /* Skips feedback of an attempt that failed because another process had the slot. */
    while (status == 0 && message.type == ACK_FEEDBACK);
    if (status < 0)
        return -1;
    if (message.type == ACK_REFUSED) {
        err_set(err, EXIT_REFUSED, "%s", message.refusal.message);
        return err_hint(err, "%s", message.refusal.hint);
    }
    if (message.type != ACK_ACCEPTED)
        return err_set(err, EXIT_BUG, "ackd answered with message type %d, not with accepted",
                       (int)message.type);
    ack->reported_lsn = ack->flushed_lsn = source->confirmed_lsn;
    return 0;
}

void
acklink_make_nonblocking(struct acklink *ack)
{
    fcntl(ack->conn.fd, F_SETFL, O_NONBLOCK); /* the socket is ours alone */
}

int
acklink_received(struct acklink *ack, const struct ack_received *received, struct err *err)
{
    struct ack_message message = {.type = ACK_RECEIVED, .received = *received};

    if (received->lsn <= ack->reported_lsn && !received->reply_requested)
        return 0;
    /* The server may ask in a tight loop while it shuts down. ackd needs to hear it only once. */
    if (received->lsn <= ack->reported_lsn && buf_len(&ack->conn.out) > 0)
        return acklink_flush(ack, err);
    if (ackconn_queue(&ack->conn, &message, err) != 0)
        return -1;
    ack->reported_lsn = received->lsn;
    return acklink_flush(ack, err);
}

int
acklink_slot(struct acklink *ack, const struct ack_slot *slot, struct err *err)
{
    struct ack_message message = {.type = ACK_SLOT, .slot = *slot};

    return ackconn_queue(&ack->conn, &message, err) != 0 ? -1 : acklink_flush(ack, err);
}

int
acklink_draining(struct acklink *ack, struct err *err)
{
    struct ack_message message = {.type = ACK_DRAINING};

    return ackconn_queue(&ack->conn, &message, err) != 0 ? -1 : acklink_flush(ack, err);
}

/* The server checks no feedback. An LSN beyond the last one that it sent makes it skip changes for
 * ever. */
static int
check_feedback(struct acklink *ack, const struct feedback *f, uint64_t received_lsn,
               struct err *err)
{
    struct lsn_text flush = lsn_format(f->flush_lsn), received = lsn_format(received_lsn);

    if (f->flush_lsn > received_lsn || f->apply_lsn > received_lsn || f->write_lsn > received_lsn)
        return err_set(err, EXIT_BUG,
                       "ackd wants to confirm up to %s (write %s), but only %s was received",
                       flush.text, lsn_format(f->write_lsn).text, received.text);
    if (f->flush_lsn < ack->flushed_lsn)
        return err_set(err, EXIT_BUG, "ackd wants to go back from %s to %s",
                       lsn_format(ack->flushed_lsn).text, flush.text);
    ack->flushed_lsn = f->flush_lsn;
    return 0;
}

static int
take_message(struct acklink *ack, const struct ack_message *message, uint64_t received_lsn,
             uint8_t out[FEEDBACK_SIZE], bool *has_feedback, struct err *err)
{
    struct feedback feedback;

    if (!run_id_equal(&message->run_id, &ack->conn.run_id))
        return err_set(err, EXIT_BUG, "ackd sent a message of another run");
    if (message->type == ACK_DRAINED) {
        ack->drained = true;
        return 0;
    }
    if (message->type != ACK_FEEDBACK || !feedback_decode(message->feedback, &feedback))
        return err_set(err, EXIT_BUG, "ackd sent an unexpected message of type %d",
                       (int)message->type);
    if (check_feedback(ack, &feedback, received_lsn, err) != 0)
        return -1;
    memcpy(out, message->feedback.data, FEEDBACK_SIZE);
    *has_feedback = true;
    return 0;
}

int
acklink_take(struct acklink *ack, uint64_t received_lsn, uint8_t feedback[FEEDBACK_SIZE],
             bool *has_feedback, struct err *err)
{
    struct ack_message message;

    *has_feedback = false;
    for (;;) {
        int status;

        while ((status = ackconn_next(&ack->conn, &message, err)) == 1)
            if (take_message(ack, &message, received_lsn, feedback, has_feedback, err) != 0)
                return -1;
        if (status < 0)
            return -1;
        switch (frame_fill(&ack->conn.reader, ack->conn.fd, err)) {
        case FILL_READ:
            break;
        case FILL_AGAIN:
            return 0;
        case FILL_EOF:
            return ack->drained ? 0 : ackconn_gone_error(err);
        case FILL_FAILED:
            return -1;
        }
    }
}
