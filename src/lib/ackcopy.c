/* ackcopy.c: see ackcopy.h. */
#include "lib/ackcopy.h"

#include <stdio.h>

int
ackcopy_hello(struct ackconn *ack, const char *program, struct err *err)
{
    struct ack_message message = {.type = ACK_COPIER};

    ack->run_id = (struct run_id){0};
    snprintf(message.copier.program, sizeof message.copier.program, "%s", program);
    return ackconn_queue(ack, &message, err);
}

int
ackcopy_ask(struct ackconn *ack, uint64_t life, const struct sinklist *sinks, struct err *err)
{
    struct ack_message message = {.type = ACK_ASK, .ask = {.life = life, .sinks = *sinks}};

    return ackconn_queue(ack, &message, err);
}

int
ackcopy_controlled(struct ackconn *ack, const struct copy_controlled *controlled, struct err *err)
{
    struct ack_message message = {.type = ACK_CONTROLLED, .controlled = *controlled};

    return ackconn_queue(ack, &message, err);
}

static int
unexpected(const struct ack_message *message, struct err *err)
{
    return err_set(err, EXIT_BUG, "ackd sent message type %d, which is not for pg-table-read",
                   (int)message->type);
}

/* ackd forwards the array of a worker's frame. */
static int
take_relayed(struct ackcopy_report *report, struct err *err)
{
    const struct copy_relayed relayed = report->message.relayed;
    const struct frame frame = {.body = cursor_over(relayed.message.data, relayed.message.len)};

    memcpy(report->sink, relayed.sink, sizeof report->sink);
    report->shard = relayed.shard;
    if (ackmsg_decode(&frame, &report->message, err) != 0)
        return -1;
    switch (report->message.type) {
    case ACK_TABLE_STATE:
    case ACK_COPIED:
    case ACK_MISSING:
        return 1;
    default:
        return unexpected(&report->message, err);
    }
}

int
ackcopy_report(struct ackconn *ack, struct ackcopy_report *report, struct err *err)
{
    int found = ackconn_next(ack, &report->message, err);

    if (found != 1)
        return found;
    report->sink[0] = '\0';
    report->shard = 0;
    switch (report->message.type) {
    case ACK_RUN:
        ack->run_id = report->message.run_id;
        return 1;
    case ACK_ANSWERED:
    case ACK_DRAINING:
    case ACK_CONTROL:
        return 1;
    case ACK_RELAYED:
        return take_relayed(report, err);
    case ACK_REFUSED:
        err_set(err, EXIT_REFUSED, "ackd refused: %s", report->message.refusal.message);
        return err_hint(err, "%s", report->message.refusal.hint);
    default:
        return unexpected(&report->message, err);
    }
}
