/* acklink.c: see acklink.h. */
#include "pg-wal-read/acklink.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "lib/io.h"
#include "lib/lsn.h"
#include "lib/sock.h"

static int
ackd_gone(struct err *err)
{
    err_set(err, EXIT_PEER, "ackd closed the connection");
    return err_hint(err, "its own log says why");
}

int
acklink_connect(struct acklink *ack, const char *path, const struct run_id *run_id, struct err *err)
{
    *ack = (struct acklink){.run_id = *run_id};
    frame_reader_init(&ack->reader, ACK_FRAME_MAX);
    ack->fd = sock_connect(path, IO_CONNECT_PATIENCE_MILLIS, err);
    return ack->fd < 0 ? -1 : 0;
}

void
acklink_close(struct acklink *ack)
{
    if (ack->fd >= 0)
        close(ack->fd);
    ack->fd = -1;
    frame_reader_free(&ack->reader);
    buf_free(&ack->out);
}

static int
queue(struct acklink *ack, struct ack_message *message, struct err *err)
{
    message->run_id = ack->run_id;
    if (ackmsg_encode(&ack->out, message) != 0)
        return err_set(err, EXIT_PEER, "out of memory for a message to ackd");
    return 0;
}

int
acklink_flush(struct acklink *ack, struct err *err)
{
    while (buf_len(&ack->out) > 0) {
        struct bytes data = {.data = ack->out.data + ack->out.start, .len = buf_len(&ack->out)};
        int64_t n = io_write_some(ack->fd, data, err);

        if (n < 0)
            return ackd_gone(err);
        if (n == 0)
            return 0;
        buf_consume(&ack->out, (size_t)n);
    }
    return 0;
}

/* The next message: 1, or 0 when none is here, or -1. */
static int
next_message(struct acklink *ack, struct ack_message *message, struct err *err)
{
    struct frame frame;

    switch (frame_next(&ack->reader, &frame, err)) {
    case FRAME_READY:
        return ackmsg_decode(&frame, message, err) == 0 ? 1 : -1;
    case FRAME_NEED_MORE:
        return 0;
    case FRAME_BAD:
        break;
    }
    return -1;
}

/* While the socket still blocks. */
static int
say(struct acklink *ack, struct ack_message *message, struct err *err)
{
    struct bytes data;

    if (queue(ack, message, err) != 0)
        return -1;
    data = (struct bytes){.data = ack->out.data + ack->out.start, .len = buf_len(&ack->out)};
    if (io_write_all(ack->fd, data, err) != 0)
        return ackd_gone(err);
    buf_reset(&ack->out, 4096);
    return 0;
}

/* Waits for the next message. */
static int
hear(struct acklink *ack, struct ack_message *message, struct err *err)
{
    int status;

    while ((status = next_message(ack, message, err)) == 0)
        switch (frame_fill(&ack->reader, ack->fd, err)) {
        case FILL_READ:
        case FILL_AGAIN:
            break;
        case FILL_EOF:
            return ackd_gone(err);
        case FILL_FAILED:
            return -1;
        }
    return status < 0 ? -1 : 0;
}

int
acklink_waiting(struct acklink *ack, const struct ack_waiting *waiting, struct err *err)
{
    struct ack_message message = {.type = ACK_WAITING, .waiting = *waiting};

    return say(ack, &message, err);
}

int
acklink_pause(struct acklink *ack, int millis, struct err *err)
{
    struct pollfd waiting = {.fd = ack->fd, .events = POLLRDHUP};

    return poll(&waiting, 1, millis) > 0 ? ackd_gone(err) : 0;
}

int
acklink_source(struct acklink *ack, const struct ack_source *source, struct err *err)
{
    struct ack_message message = {.type = ACK_SOURCE, .source = *source};
    int status;

    if (say(ack, &message, err) != 0)
        return -1;
    do
        status = hear(ack, &message, err);
    /* Feedback of a beginning that came to nothing, because another process had the slot. */
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
    fcntl(ack->fd, F_SETFL, O_NONBLOCK); /* the socket is ours alone */
}

int
acklink_received(struct acklink *ack, uint64_t lsn, bool reply_requested, struct err *err)
{
    struct ack_message message = {.type = ACK_RECEIVED};

    if (lsn <= ack->reported_lsn && !reply_requested)
        return 0;
    /* The server may ask in a tight loop while it shuts down; ackd needs to hear it once. */
    if (lsn <= ack->reported_lsn && buf_len(&ack->out) > 0)
        return acklink_flush(ack, err);
    message.received.lsn = lsn;
    message.received.reply_requested = reply_requested;
    if (queue(ack, &message, err) != 0)
        return -1;
    ack->reported_lsn = lsn;
    return acklink_flush(ack, err);
}

int
acklink_slot(struct acklink *ack, const struct ack_slot *slot, struct err *err)
{
    struct ack_message message = {.type = ACK_SLOT, .slot = *slot};

    return queue(ack, &message, err) != 0 ? -1 : acklink_flush(ack, err);
}

int
acklink_draining(struct acklink *ack, struct err *err)
{
    struct ack_message message = {.type = ACK_DRAINING};

    return queue(ack, &message, err) != 0 ? -1 : acklink_flush(ack, err);
}

/* The server checks nothing it is told: an LSN beyond what it sent makes it skip changes for ever.
 */
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

    if (!run_id_equal(&message->run_id, &ack->run_id))
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

        while ((status = next_message(ack, &message, err)) == 1)
            if (take_message(ack, &message, received_lsn, feedback, has_feedback, err) != 0)
                return -1;
        if (status < 0)
            return -1;
        switch (frame_fill(&ack->reader, ack->fd, err)) {
        case FILL_READ:
            break;
        case FILL_AGAIN:
            return 0;
        case FILL_EOF:
            return ack->drained ? 0 : ackd_gone(err);
        case FILL_FAILED:
            return -1;
        }
    }
}
